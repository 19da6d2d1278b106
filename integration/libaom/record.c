/* What is recorded of the search: a row a square, from which decisions are learnt, and the RD cost and CPU time of every
 * partition that libaom tried at a node of an intra frame. Recording writes nothing that libaom reads. Measured times are
 * recorded and never looked at by a decision, so that streams repeat.
 *
 * Costs are read when libaom is done with the square, just before it frees the results of the partitions that lost: each
 * holds rate and distortion of its blocks, from which the sums are made as libaom makes them, with the rate of the
 * partition symbol. A search that libaom gave up leaves a lower bound: what its finished blocks cost, and at least the
 * best cost that it could not beat. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "av1/encoder/context_tree.h"
#include "av1/encoder/rd.h"
#include "references.h"
#include "search.h"
#include "square.h"

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct av1part_recording av1part_recording;

struct av1part_recording {
  uint32_t share, seed;     /* of the superblocks that are recorded, in 1/65536 */
  bool active;              /* this frame is */
  av1part_search_row *rows; /* of the last packet's frames */
  size_t used, room;
  size_t kept;        /* of frames before this one in the same packet */
  const void *source; /* this one's picture */
  bool lost;          /* out of memory: rows are missing */
};

int av1part_record_open(av1part_encoder *e) {
  e->recording = calloc(1, sizeof(*e->recording));
  return e->recording ? AV1PART_OK : AV1PART_ERR_MEMORY;
}

void av1part_record_close(av1part_encoder *e) {
  if (e->recording) free(e->recording->rows);
  free(e->recording);
  e->recording = NULL;
}

void av1part_record_packet(av1part_encoder *e) {
  e->recording->used = e->recording->kept = 0;
  e->recording->source = NULL;
  e->recording->lost = false;
}

bool av1part_record_frame(av1part_encoder *e, bool wanted) {
  return e->recording->active = wanted && e->recording->share;
}

/* ---- the row ---- */

/* Whether features of motion are recorded, or decided by. */
static bool wants_motion(const av1part_encoder *e) {
  const bool recorded = e->recording && e->recording->share && e->search_inter;
  return recorded || av1part_decides_by_motion(e);
}

void av1part_search_frame(av1part_encoder *e, const AV1_COMP *cpi) {
  av1part_recording *const r = e->recording;
  if (r) {
    if (cpi->source == r->source) r->used = r->kept; /* coded again: the last search counts */
    r->kept = r->used;
    r->source = cpi->source;
  }
  av1part_frame_features(e, cpi);
  e->knows_motion = !frame_is_intra_only(&cpi->common) && wants_motion(e);
  if (e->knows_motion) av1part_motion_frame(e, cpi);
}

void av1part_search_frame_end(av1part_encoder *e, const AV1_COMP *cpi) {
  if (wants_motion(e)) {
    av1part_motion_keep(e, cpi);
  } else { /* from this frame on, buffers hold frames whose blocks are not known */
    av1part_references_free(e->references);
    e->references = NULL;
  }
}

/* A number drawn for the superblock around this sample: a hash of its place, so that whole paths from the superblock
 * down are kept together, and another seed draws others. */
static uint32_t draw(const av1part_encoder *e, int mi_row, int mi_col) {
  uint32_t h = (uint32_t)(mi_row >> 4) * 0x9E3779B1u ^ (uint32_t)(mi_col >> 4) * 0x85EBCA77u ^ e->recording->seed;
  h ^= (uint32_t)e->packets * 0xC2B2AE3Du;
  h = (h ^ h >> 15) * 0x2C1B3C6Du;
  h = (h ^ h >> 12) * 0x297A2D39u;
  return h ^ h >> 15;
}

/* Recording is for one thread (av1part_record_search refuses others), so rows need no lock. */
static int new_row(av1part_recording *r) {
  if (r->used == r->room) {
    const size_t room = r->room ? 2 * r->room : 4096;
    av1part_search_row *const grown = realloc(r->rows, room * sizeof(*grown));
    if (!grown) {
      r->lost = true;
      return -1;
    }
    r->rows = grown;
    r->room = room;
  }
  memset(&r->rows[r->used], 0, sizeof(*r->rows));
  return (int)r->used++;
}

static void open_row(av1part_square *s) {
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  const av1part_square *const parent = s->parent;
  s->row = -1;
  av1part_recording *const r = s->encoder->recording;
  if (!s->active || !r || !r->active || !s->whole || side_of(s) < 8) return;
  if (draw(s->encoder, place->mi_row, place->mi_col) >> 16 >= r->share) return;
  s->row = new_row(r);
  if (s->row < 0) return;
  av1part_node_features(s);
  av1part_search_row *const row = &s->encoder->recording->rows[s->row];
  row->row = place->mi_row * MI_SIZE;
  row->column = place->mi_col * MI_SIZE;
  row->side = side_of(s);
  row->parent = parent ? parent->row : -1;
  row->quarter = (uint8_t)(parent ? parent->quarters : 0);
  s->clock = cpu_seconds();
}

static void close_row(av1part_square *s, const PC_TREE *tree) {
  if (s->row < 0) return;
  av1part_search_row *const row = &s->encoder->recording->rows[s->row];
  const av1part_square *const parent = s->parent;
  /* libaom keeps the sum of an AB to itself; of the one that it chose, the square's final cost tells. */
  if (s->state->found_best_partition && parent) {
    s->bits[tree->partitioning] = to_bits(s, parent->state->this_rdc.rdcost);
  }
  row->partition = s->state->found_best_partition ? tree->partitioning : AV1PART_INSIDE_LARGER;
  row->reached = (uint16_t)s->reached;
  row->limit = isfinite(s->limit) ? (float)s->limit : NAN;
  for (int k = 0; k < AV1PART_PARTITIONS; ++k) row->bits[k] = (float)s->bits[k];
  memcpy(row->seconds, s->seconds, sizeof(row->seconds));
  memcpy(row->features, s->features, sizeof(row->features));
}

void av1part_book(av1part_square *s, int stage) {
  if (s->row < 0) return;
  const double now = cpu_seconds();
  s->seconds[stage] += (float)(now - s->clock);
  s->clock = now;
}

/* ---- the costs ---- */

bool av1part_wants_costs(const av1part_encoder *e, const AV1_COMP *cpi) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    if (e->levels[l].costs) return frame_is_intra_only(&cpi->common);
  }
  return false;
}

static void clear_node(av1part_node_costs *node) {
  for (int k = 0; k < AV1PART_PARTITIONS; ++k) {
    node->rd[k] = NAN;
    node->seconds[k] = 0;
  }
  node->bound = 0;
}

void av1part_clear_costs(av1part_encoder *e) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &e->levels[l];
    for (size_t node = 0; level->costs && node < node_count(level); ++node) clear_node(&level->costs[node]);
  }
}

static void open_costs(av1part_square *s) {
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  s->spent.limit = INFINITY;
  if (!s->whole || !av1part_wants_costs(s->encoder, s->cpi)) return;
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const av1part_level *const level = &s->encoder->levels[l];
    if (level->side != side_of(s) || !level->costs) continue;
    s->spent.target = &level->costs[av1part_whole_node(s->encoder, level, place->mi_row * MI_SIZE, place->mi_col * MI_SIZE)];
    clear_node(s->spent.target);
  }
}

void av1part_start(av1part_square *s, int partition) {
  av1part_spent *const spent = &s->spent;
  if (!spent->target || spent->timed >> partition & 1) return;
  spent->timed |= 1u << partition;
  spent->begun[partition] = cpu_seconds();
}

void av1part_stop(av1part_square *s, int partition) {
  if (s->spent.target) s->spent.target->seconds[partition] = (float)(cpu_seconds() - s->spent.begun[partition]);
}

/* Sum of the first `count` blocks that have a valid result; returns how many have. */
static int add_blocks(PICK_MODE_CONTEXT *const *blocks, int count, RD_STATS *sum) {
  for (int i = 0; i < count; ++i) {
    if (!blocks[i] || blocks[i]->rd_stats.rate == INT_MAX) return i;
    sum->rate += blocks[i]->rd_stats.rate;
    sum->dist += blocks[i]->rd_stats.dist;
  }
  return count;
}

/* What partition k cost as far as it was searched; true where that is all of it. */
static bool sum_partition(const av1part_square *s, const PC_TREE *tree, int k, RD_STATS *sum) {
  const int searched = s->spent.blocks[k];
  switch (k) {
    case PARTITION_NONE: return searched && add_blocks(&tree->none, 1, sum) == 1;
    case PARTITION_HORZ: return add_blocks(tree->horizontal, AOMMIN(searched, 2), sum) == 2;
    case PARTITION_VERT: return add_blocks(tree->vertical, AOMMIN(searched, 2), sum) == 2;
    case PARTITION_HORZ_A: return add_blocks(tree->horizontala, 3, sum) == 3;
    case PARTITION_HORZ_B: return add_blocks(tree->horizontalb, 3, sum) == 3;
    case PARTITION_VERT_A: return add_blocks(tree->verticala, 3, sum) == 3;
    case PARTITION_VERT_B: return add_blocks(tree->verticalb, 3, sum) == 3;
    case PARTITION_HORZ_4: return add_blocks(tree->horizontal4, AOMMIN(searched, 4), sum) == 4;
    case PARTITION_VERT_4: return add_blocks(tree->vertical4, AOMMIN(searched, 4), sum) == 4;
    default: *sum = s->spent.split; return s->quarters == QUARTERS;
  }
}

static void close_costs(av1part_square *s, const PC_TREE *tree) {
  static const int order[] = { PARTITION_NONE,   PARTITION_SPLIT,  PARTITION_HORZ,   PARTITION_VERT,
                               PARTITION_HORZ_A, PARTITION_HORZ_B, PARTITION_VERT_A, PARTITION_VERT_B,
                               PARTITION_HORZ_4, PARTITION_VERT_4 };
  const av1part_spent *const spent = &s->spent;
  av1part_node_costs *const target = spent->target;
  if (!target) return;
  /* libaom leaves a square's final cost in the square around it: valid while the square ends. */
  const int64_t left = s->parent ? s->parent->state->this_rdc.rdcost : INT64_MAX;
  const double final = left < INT64_MAX ? (double)left : 0;
  double best = spent->limit;
  for (size_t i = 0; i < sizeof(order) / sizeof(*order); ++i) {
    const int k = order[i];
    if (!((spent->timed | spent->ab_allowed) >> k & 1)) continue;
    RD_STATS sum = { 0 };
    const bool whole = sum_partition(s, tree, k, &sum);
    sum.rate += s->state->partition_cost[k];
    const double cost = (double)RDCOST(s->rdmult, sum.rate, sum.dist);
    if (whole) {
      target->rd[k] = (float)cost;
      best = AOMMIN(best, cost);
    } else {
      target->bound |= (uint16_t)(1u << k);
      target->rd[k] = (float)AOMMAX(cost, isfinite(best) ? best : final);
    }
  }
}

/* ---- both ---- */

void av1part_open_record(av1part_square *s) {
  open_costs(s);
  open_row(s);
}

void av1part_close_record(av1part_square *s, const PC_TREE *tree) {
  close_costs(s, tree);
  close_row(s, tree);
}

/* ---- the interface ---- */

int av1part_record_search(av1part_encoder *e, double share, uint32_t seed) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "recording was switched during an encode");
  if (!(share >= 0 && share <= 1)) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "share: expected 0 to 1");
  if (share > 0 && e->config.threads > 1) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "share: the search is recorded with one thread alone");
  }
  const int status = share > 0 ? av1part_check_search(e) : AV1PART_OK;
  if (status != AV1PART_OK) return status;
  e->recording->share = (uint32_t)(share * 65536);
  e->recording->seed = seed;
  e->recording->used = e->recording->kept = 0;
  return AV1PART_OK;
}

int av1part_search_rows(const av1part_encoder *e, const av1part_search_row **rows, size_t *count) {
  if (!e || !rows || !count) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return AV1PART_ERR_STATE;
  if (e->recording->lost) return AV1PART_ERR_MEMORY;
  *rows = e->recording->rows;
  *count = e->recording->used;
  return AV1PART_OK;
}
