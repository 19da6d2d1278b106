/* The record of the search, a row a square, from which decisions are learnt. Recording writes nothing that libaom reads.
 * Measured times are recorded and never looked at by a decision, so that streams repeat. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "av1/encoder/context_tree.h"
#include "search.h"
#include "pruner.h"
#include "square.h"

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void av1part_search_frame(av1part_encoder *e, const AV1_COMP *cpi) {
  if (cpi->source == e->search_source) e->search_rows_used = e->search_rows_kept; /* coded again: the last search counts */
  e->search_rows_kept = e->search_rows_used;
  e->search_source = cpi->source;
  av1part_frame_features(e, cpi);
}

/* A number drawn for the superblock around this sample: a hash of its place, so that whole paths from the superblock
 * down are kept together, and another seed draws others. */
static uint32_t draw(const av1part_encoder *e, int mi_row, int mi_col) {
  uint32_t h = (uint32_t)(mi_row >> 4) * 0x9E3779B1u ^ (uint32_t)(mi_col >> 4) * 0x85EBCA77u ^ e->search_seed;
  h ^= (uint32_t)e->packets * 0xC2B2AE3Du;
  h = (h ^ h >> 15) * 0x2C1B3C6Du;
  h = (h ^ h >> 12) * 0x297A2D39u;
  return h ^ h >> 15;
}

/* Recording is for one thread (av1part_record_search refuses others), so rows need no lock. */
static int new_row(av1part_encoder *e) {
  if (e->search_rows_used == e->search_rows_room) {
    const size_t room = e->search_rows_room ? 2 * e->search_rows_room : 4096;
    av1part_search_row *const grown = realloc(e->search_rows, room * sizeof(*grown));
    if (!grown) {
      e->search_lost = true;
      return -1;
    }
    e->search_rows = grown;
    e->search_rows_room = room;
  }
  memset(&e->search_rows[e->search_rows_used], 0, sizeof(*e->search_rows));
  return (int)e->search_rows_used++;
}

static bool decides_at(const av1part_pruner *pruner, int side) {
  bool any = false;
  for (int d = 0; d < AV1PART_DECISIONS; ++d) any |= av1part_pruner_decides(pruner, side, d);
  return any;
}

/* Whether a recorded square is searched whole, whatever a pruner says. With a pruner, that is so for one size in each
 * superblock, drawn among those at which it decides: what lies around and below such a square is searched as in an
 * encode with the pruner, and only there is known what a decision would have lost and saved. */
static bool searched_whole(const av1part_square *s, uint32_t number) {
  const av1part_pruner *const pruner = s->encoder->pruner;
  int sides[AV1PART_SQUARES], count = 0;
  if (!pruner || !decides_at(pruner, side_of(s))) return true;
  for (int side = 8; side <= 128; side *= 2) {
    if (decides_at(pruner, side)) sides[count++] = side;
  }
  return side_of(s) == sides[number % (unsigned)count];
}

void av1part_open_row(av1part_square *s) {
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  const av1part_square *const parent = s->parent;
  s->row = -1;
  if (!s->encoder->search_share || !s->whole || side_of(s) < 8) return;
  const uint32_t number = draw(s->encoder, place->mi_row, place->mi_col);
  if (number >> 16 >= s->encoder->search_share) return;
  s->open = searched_whole(s, number & 0xFFFF);
  s->row = new_row(s->encoder);
  if (s->row < 0) return;
  av1part_node_features(s);
  av1part_search_row *const row = &s->encoder->search_rows[s->row];
  row->row = place->mi_row * MI_SIZE;
  row->column = place->mi_col * MI_SIZE;
  row->side = side_of(s);
  row->parent = parent ? parent->row : -1;
  row->quarter = (uint8_t)(parent ? parent->quarters : 0);
  s->clock = cpu_seconds();
}

void av1part_close_row(av1part_square *s, const PC_TREE *tree) {
  if (s->row < 0) return;
  av1part_search_row *const row = &s->encoder->search_rows[s->row];
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
  e->search_share = (uint32_t)(share * 65536);
  e->search_seed = seed;
  e->search_rows_used = e->search_rows_kept = 0;
  return AV1PART_OK;
}

int av1part_search_rows(const av1part_encoder *e, const av1part_search_row **rows, size_t *count) {
  if (!e || !rows || !count) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return AV1PART_ERR_STATE;
  if (e->search_lost) return AV1PART_ERR_MEMORY;
  *rows = e->search_rows;
  *count = e->search_rows_used;
  return AV1PART_OK;
}
