/* Decisions inside the search of a node, and the record from which they are learnt.
 *
 * libaom searches a square in the order NONE, SPLIT (each quarter in its turn), HORZ, VERT, AB, 4-way, and restores the
 * square's saved context after each: this is where a stage's end is seen. The address of the saved context names the
 * recursion's level. A decision only takes away, and only where the square has something that it can be coded as, so
 * that no square is left without a choice. Recording writes nothing that libaom reads. Measured times are recorded and
 * never looked at by a decision, so that streams repeat.
 *
 * Inter frames are searched in the same order. What differs: libaom has networks of its own after NONE, which have
 * answered when it restores the context, and after SPLIT, which answer later (network_follows). Its motion searches on
 * the way move its pointers to source, neighbours and modes, so that features are read from the frame itself. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "av1/common/quant_common.h"
#include "av1/encoder/context_tree.h"
#include "av1/encoder/encodeframe.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "av1/encoder/rd.h"
#include "av1/encoder/rdopt.h"
#include "node_features.h"
#include "luma.h"
#include "pruner.h"
#include "pruner_file.h"
#include "inside_search.h"

__typeof__(av1_save_context) __real_av1_save_context, __wrap_av1_save_context;
__typeof__(av1_restore_context) __real_av1_restore_context, __wrap_av1_restore_context;
__typeof__(av1_ml_prune_4_partition) __real_av1_ml_prune_4_partition, __wrap_av1_ml_prune_4_partition;
__typeof__(av1_rd_pick_inter_mode) __real_av1_rd_pick_inter_mode, __wrap_av1_rd_pick_inter_mode;
__typeof__(av1_ml_early_term_after_split) __real_av1_ml_early_term_after_split, __wrap_av1_ml_early_term_after_split;
__typeof__(av1_ml_prune_rect_partition) __real_av1_ml_prune_rect_partition, __wrap_av1_ml_prune_rect_partition;

enum { LEVELS = 6, QUARTERS = 4, NO_MODES = -1 };

/* A square that is being searched. Costs are in bits: libaom's RD cost divided by its rdmult. */
typedef struct {
  av1part_encoder *encoder; /* NULL: this level is idle */
  const AV1_COMP *cpi;
  const MACROBLOCK *x;
  PartitionSearchState *state;
  const void *context; /* libaom's saved context of the node_search */
  bool whole;          /* no edge of the frame cuts it */
  bool split_done;
  int row;           /* of the record, -1: not recorded */
  bool open;         /* recorded, and no decision is taken at it */
  int modes;         /* partition whose modes were searched last, NO_MODES since the last stage ended */
  const PICK_MODE_CONTEXT *none; /* results of NONE's search */
  int quarters;      /* of SPLIT that are done, each at the costs of `quarter` */
  int kinds[QUARTERS];
  double quarter[QUARTERS];
  double limit;      /* to be beaten; infinite: unknown */
  double bits[AV1PART_PARTITIONS]; /* NAN: not searched to its end */
  double clock;
  float seconds[AV1PART_STAGES];
  unsigned reached;  /* bit d: decision d could be taken */
  bool node_known;   /* the features of POINT_NODE are there: luma takes time, and many squares are never asked about */
  float features[FEATURE_COUNT];
} node_search;

/* This thread's squares by log2(width) - 2, and the one that is being searched, -1 for none. */
static _Thread_local node_search squares[LEVELS];
static _Thread_local int current = -1;
static _Thread_local const void *last_saved;

static int level_of(int width) {
  int level = 0;
  while (4 << level < width) ++level;
  return level;
}

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int side_of(const node_search *s) { return s->state->part_blk_params.width; }

static double to_bits(const node_search *s, int64_t rdcost) {
  return rdcost == INT64_MAX ? INFINITY : (double)rdcost / s->x->rdmult;
}

static float ratio(double value, double to) {
  if (!(to > 0) || !isfinite(value)) return RATIO_MOST;
  return (float)fmin(value / to, RATIO_MOST);
}

static float per_pixel(const node_search *s, double bits) {
  return (float)log2(0.001 + fmax(bits, 0) / ((double)side_of(s) * side_of(s)));
}

static node_search *parent_of(const node_search *s) {
  const ptrdiff_t above = s - squares + 1;
  if (above >= LEVELS) return NULL;
  node_search *const parent = &squares[above];
  return parent->encoder == s->encoder && parent->x == s->x ? parent : NULL;
}

/* ---- the frame ---- */

/* The dequantiser's step is 8 times that on the samples' scale for transforms of size 8x8, as rd.c takes it. */
static double step_of(const AV1_COMP *cpi, int qindex) {
  return av1_ac_quant_QTX(qindex, 0, cpi->common.seq_params->bit_depth) / 8.0;
}

/* Luma features of the square at this sample of the source. */
static void luma_features(const AV1_COMP *cpi, int row, int column, int side, double step, float *features) {
  const YV12_BUFFER_CONFIG *const source = cpi->source;
  const bool deep = (source->flags & YV12_FLAG_HIGHBITDEPTH) != 0;
  const uint8_t *const start = source->y_buffer + (ptrdiff_t)row * source->y_stride + column;
  const void *const luma = deep ? (const void *)CONVERT_TO_SHORTPTR(start) : (const void *)start;
  av1part_luma_features(luma, source->y_stride, deep, side, step, features);
}

/* How plain the picture is: loss counts in the picture's own average pixels, so what a square may lose depends on what
 * the rest of the picture is like. The mean gradient tells most of the bits that a picture takes. In a frame that holds
 * no 64x64 square, smaller ones. */
static void frame_features(av1part_encoder *e, const AV1_COMP *cpi) {
  const int width = cpi->common.width, height = cpi->common.height;
  const double step = step_of(cpi, cpi->common.quant_params.base_qindex);
  float own[FEATURE_COUNT];
  double gradient = 0, least = 0;
  int side = 64, count = 0;
  while (side > 8 && (side > width || side > height)) side /= 2;
  for (int row = 0; row + side <= height; row += side) {
    for (int column = 0; column + side <= width; column += side, ++count) {
      luma_features(cpi, row, column, side, step, own);
      gradient += exp2(own[FEATURE_GRADIENT_X]) / 2 + exp2(own[FEATURE_GRADIENT_Y]) / 2;
      least += own[FEATURE_QUARTER_LEAST];
    }
  }
  e->frame_gradient = (float)log2(0.001 + (count ? gradient / count : 0));
  e->frame_quarter_least = (float)(count ? least / count : 0);
}

/* ---- the record ---- */

void av1part_search_frame(av1part_encoder *e, const AV1_COMP *cpi) {
  if (cpi->source == e->search_source) e->search_rows_used = e->search_rows_kept; /* coded again: the last search counts */
  e->search_rows_kept = e->search_rows_used;
  e->search_source = cpi->source;
  frame_features(e, cpi);
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
static bool searched_whole(const node_search *s, uint32_t number) {
  const av1part_pruner *const pruner = s->encoder->pruner;
  int sides[AV1PART_SQUARES], count = 0;
  if (!pruner || !decides_at(pruner, side_of(s))) return true;
  for (int side = 8; side <= 128; side *= 2) {
    if (decides_at(pruner, side)) sides[count++] = side;
  }
  return side_of(s) == sides[number % (unsigned)count];
}

static void open_row(node_search *s) {
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  const node_search *const parent = parent_of(s);
  s->row = -1;
  if (!s->encoder->search_share || !s->whole || side_of(s) < 8) return;
  const uint32_t number = draw(s->encoder, place->mi_row, place->mi_col);
  if (number >> 16 >= s->encoder->search_share) return;
  s->open = searched_whole(s, number & 0xFFFF);
  s->row = new_row(s->encoder);
  if (s->row < 0) return;
  av1part_search_row *const row = &s->encoder->search_rows[s->row];
  row->row = place->mi_row * MI_SIZE;
  row->column = place->mi_col * MI_SIZE;
  row->side = side_of(s);
  row->parent = parent ? parent->row : -1;
  row->quarter = (uint8_t)(parent ? parent->quarters : 0);
}

static void close_row(node_search *s, const PC_TREE *tree) {
  if (s->row < 0) return;
  av1part_search_row *const row = &s->encoder->search_rows[s->row];
  const node_search *const parent = parent_of(s);
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

/* ---- features ---- */

static double best_of(const node_search *s, int first, int last, int *which) {
  double best = INFINITY;
  for (int k = first; k <= last; ++k) {
    if (s->bits[k] < best) {
      best = s->bits[k];
      *which = k;
    }
  }
  return best;
}

/* The block at a place of the frame that is coded already, NULL outside the tile. */
static const MB_MODE_INFO *coded_block(const node_search *s, int mi_row, int mi_col) {
  const CommonModeInfoParams *const mi = &s->cpi->common.mi_params;
  const TileInfo *const tile = &s->x->e_mbd.tile;
  if (mi_row < tile->mi_row_start || mi_col < tile->mi_col_start) return NULL;
  return mi->mi_grid_base[(ptrdiff_t)mi_row * mi->mi_stride + mi_col];
}

static void neighbour_features(node_search *s, const MB_MODE_INFO *block, int width, int height) {
  const double side = log2(side_of(s));
  s->features[width] = block ? (float)(log2(block_size_wide[block->bsize]) - side) : -8;
  s->features[height] = block ? (float)(log2(block_size_high[block->bsize]) - side) : -8;
}

static float symbol_bits(const node_search *s, int partition) {
  const int cost = s->state->partition_cost[partition];
  return (float)fmin((double)cost / (1 << AV1_PROB_COST_SHIFT), 64);
}

/* Cost of SPLIT, of the quarters that are done. */
static double split_so_far(const node_search *s) {
  double bits = symbol_bits(s, PARTITION_SPLIT);
  for (int q = 0; q < s->quarters; ++q) bits += s->quarter[q];
  return bits;
}

static void node_features(node_search *s) {
  if (s->node_known) return;
  s->node_known = true;
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  const double step = step_of(s->cpi, (int)s->features[FEATURE_QINDEX]);
  const node_search *const parent = parent_of(s);
  luma_features(s->cpi, place->mi_row * MI_SIZE, place->mi_col * MI_SIZE, side_of(s), step, s->features);
  neighbour_features(s, coded_block(s, place->mi_row - 1, place->mi_col), FEATURE_ABOVE_WIDTH, FEATURE_ABOVE_HEIGHT);
  neighbour_features(s, coded_block(s, place->mi_row, place->mi_col - 1), FEATURE_LEFT_WIDTH, FEATURE_LEFT_HEIGHT);
  s->features[FEATURE_SYMBOL_NONE] = symbol_bits(s, PARTITION_NONE);
  s->features[FEATURE_SYMBOL_SPLIT] = symbol_bits(s, PARTITION_SPLIT);
  s->features[FEATURE_SYMBOL_HORZ] = symbol_bits(s, PARTITION_HORZ);
  s->features[FEATURE_SYMBOL_VERT] = symbol_bits(s, PARTITION_VERT);
  const bool known = parent && isfinite(parent->bits[PARTITION_NONE]);
  s->features[FEATURE_PARENT_NONE] = known ? per_pixel(parent, parent->bits[PARTITION_NONE]) : -8;
  s->features[FEATURE_QUARTER] = (float)(parent ? parent->quarters : 0);
  s->features[FEATURE_SIBLINGS] = known && parent->quarters ? ratio(split_so_far(parent), parent->bits[PARTITION_NONE]) : 0;
  s->features[FEATURE_FRAME_GRADIENT] = s->encoder->frame_gradient;
  s->features[FEATURE_FRAME_LEAST] = s->encoder->frame_quarter_least;
}

static void none_features(node_search *s) {
  const MB_MODE_INFO *const block = &s->none->mic;
  const RD_STATS *const found = &s->state->this_rdc;
  const double cost = s->bits[PARTITION_NONE], rate = (double)found->rate / (1 << AV1_PROB_COST_SHIFT);
  const node_search *const parent = parent_of(s);
  const double above = parent ? parent->bits[PARTITION_NONE] / QUARTERS : NAN;
  s->features[FEATURE_NONE_COST] = per_pixel(s, cost);
  s->features[FEATURE_NONE_RATE] = per_pixel(s, rate);
  s->features[FEATURE_NONE_RATE_SHARE] = (float)(cost > 0 ? fmin(rate / cost, 1) : 0);
  s->features[FEATURE_NONE_TO_LIMIT] = isfinite(s->limit) ? ratio(cost, s->limit) : 0;
  s->features[FEATURE_NONE_TO_PARENT] = isfinite(above) ? ratio(cost, above) : 0;
  s->features[FEATURE_NONE_MODE] = block->mode;
  s->features[FEATURE_NONE_CFL] = block->uv_mode == UV_CFL_PRED;
  s->features[FEATURE_NONE_TRANSFORM] = (float)(log2(tx_size_wide[block->tx_size]) - log2(side_of(s)));
  s->features[FEATURE_NONE_SKIP] = s->none->skippable != 0;
  s->features[FEATURE_NONE_TOOLS] =
      block->palette_mode_info.palette_size[0] ? 2 : (float)(block->filter_intra_mode_info.use_filter_intra != 0);
}

static void split_features(node_search *s) {
  double total = 0, most = 0, least = INFINITY, nones = 0;
  int whole = 0, again = 0;
  for (int q = 0; q < s->quarters; ++q) {
    total += s->quarter[q];
    most = fmax(most, s->quarter[q]);
    least = fmin(least, s->quarter[q]);
    const int64_t none = s->state->split_rd[q];
    nones += none > 0 && none < INT64_MAX ? to_bits(s, none) : s->quarter[q];
    whole += s->kinds[q] == PARTITION_NONE;
    again += s->kinds[q] == PARTITION_SPLIT;
  }
  const double none = s->bits[PARTITION_NONE];
  int which;
  const bool all = s->quarters == QUARTERS && total > 0;
  s->features[FEATURE_SPLIT_TO_NONE] = s->quarters ? ratio(total + symbol_bits(s, PARTITION_SPLIT), none) : (float)RATIO_MOST;
  s->features[FEATURE_SPLIT_DONE] = (float)s->quarters;
  s->features[FEATURE_SPLIT_NONES] = s->quarters ? ratio(nones, none) : (float)RATIO_MOST;
  s->features[FEATURE_SPLIT_LARGEST] = (float)(total > 0 ? most / total : 0);
  s->features[FEATURE_SPLIT_SMALLEST] = (float)(all ? least / total : 0);
  s->features[FEATURE_SPLIT_TOP] = (float)(all ? (s->quarter[0] + s->quarter[1]) / total : 0.5);
  s->features[FEATURE_SPLIT_LEFT] = (float)(all ? (s->quarter[0] + s->quarter[2]) / total : 0.5);
  s->features[FEATURE_SPLIT_WHOLE] = (float)whole;
  s->features[FEATURE_SPLIT_AGAIN] = (float)again;
  s->features[FEATURE_BEST_TO_LIMIT] =
      isfinite(s->limit) ? ratio(best_of(s, PARTITION_NONE, PARTITION_SPLIT, &which), s->limit) : 0;
}

static void rectangle_features(node_search *s) {
  int which = PARTITION_NONE;
  const double best = best_of(s, PARTITION_NONE, PARTITION_SPLIT, &which);
  const int64_t *const horz = s->state->rect_part_rd[HORZ], *const vert = s->state->rect_part_rd[VERT];
  s->features[FEATURE_HORZ_TO_BEST] = ratio(s->bits[PARTITION_HORZ], best);
  s->features[FEATURE_VERT_TO_BEST] = ratio(s->bits[PARTITION_VERT], best);
  s->features[FEATURE_NONE_TO_BEST] = ratio(s->bits[PARTITION_NONE], best);
  s->features[FEATURE_SPLIT_TO_BEST] = ratio(s->bits[PARTITION_SPLIT], best);
  s->features[FEATURE_HORZ_FIRST] = ratio(horz[0] > 0 ? to_bits(s, horz[0]) : INFINITY, best);
  s->features[FEATURE_VERT_FIRST] = ratio(vert[0] > 0 ? to_bits(s, vert[0]) : INFINITY, best);
  s->features[FEATURE_BEST] = (float)which;
}

static void ab_features(node_search *s, int best_partition, int64_t best_rdcost) {
  int which = PARTITION_NONE;
  const double before = best_of(s, PARTITION_NONE, PARTITION_SPLIT, &which);
  s->features[FEATURE_AB_GAIN] = ratio(to_bits(s, best_rdcost), before);
  s->features[FEATURE_BEST_WITH_AB] = (float)best_partition;
}

/* ---- decisions ---- */

/* Whether something may be taken from a square: where an edge cuts it or it has no result yet, nothing. */
static bool may_lose(const node_search *s) {
  return s->whole && s->state->found_best_partition && !s->x->must_find_valid_partition;
}

/* Whether the pruner skips, by what is known at this square. */
static bool pays(node_search *s, int decision) {
  const av1part_encoder *const e = s->encoder;
  double loss, time;
  if (!e->pruner || !av1part_pruner_decides(e->pruner, side_of(s), decision)) return false;
  node_features(s);
  if (!av1part_pruner_predict(e->pruner, side_of(s), decision, s->features, &loss, &time)) return false;
  const bool taken = loss < e->prune_log_price + time && loss < e->prune_log_most;
  atomic_int *const count = s->encoder->decisions[level_of(side_of(s))][decision];
  atomic_fetch_add_explicit(&count[0], 1, memory_order_relaxed);
  if (taken) atomic_fetch_add_explicit(&count[1], 1, memory_order_relaxed);
  return taken;
}

/* Whether to skip what a decision is about, at the square `loser` and by what is known at `s`. */
static bool skip_for(const node_search *loser, node_search *s, int decision) {
  if (!may_lose(loser)) return false;
  if (!loser->open) return pays(s, decision);
  s->reached |= 1u << decision;
  return false;
}

static bool skip(node_search *s, int decision) { return skip_for(s, s, decision); }

/* ---- the stages of a square ---- */

/* Book the time since the last stage's end. */
static void book(node_search *s, int stage) {
  if (s->row < 0) return;
  const double now = cpu_seconds();
  s->seconds[stage] += (float)(now - s->clock);
  s->clock = now;
}

static void none_done(node_search *s) {
  book(s, AV1PART_STAGE_NONE);
  PartitionSearchState *const state = s->state;
  if (state->this_rdc.rate == INT_MAX) return;
  s->bits[PARTITION_NONE] = to_bits(s, state->this_rdc.rdcost);
  none_features(s);
  if (state->terminate_partition_search || side_of(s) < 8) return;
  if (skip(s, AV1PART_STOP)) {
    state->terminate_partition_search = 1;
  } else if (state->do_square_split && skip(s, AV1PART_NO_SPLIT)) {
    state->do_square_split = 0;
  }
}

/* Whether libaom is about to ask a network of its own whether to go on after SPLIT, as it does in inter frames. */
static bool network_follows(const node_search *s) {
  const PARTITION_SPEED_FEATURES *const sf = &s->cpi->sf.part_sf;
  const PartitionSearchState *const state = s->state;
  if (frame_is_intra_only(&s->cpi->common) || state->terminate_partition_search) return false;
  if (!state->partition_rect_allowed[HORZ] && !state->partition_rect_allowed[VERT]) return false;
  if (sf->ml_early_term_after_part_split_level) return state->do_rectangular_split;
  return sf->ml_prune_partition && !state->prune_rect_part[HORZ] && !state->prune_rect_part[VERT];
}

static void decide_rectangles(node_search *s) {
  PartitionSearchState *const state = s->state;
  if (state->terminate_partition_search || !state->do_rectangular_split || side_of(s) < 8) return;
  if (skip(s, AV1PART_NO_RECT)) { /* nor AB, nor 4-way: libaom searches them only where it may search rectangles */
    state->do_rectangular_split = 0;
    state->partition_rect_allowed[HORZ] = state->partition_rect_allowed[VERT] = 0;
  }
}

static void split_done(node_search *s) {
  book(s, AV1PART_STAGE_SPLIT);
  s->split_done = true;
  if (s->quarters == QUARTERS) s->bits[PARTITION_SPLIT] = split_so_far(s);
  split_features(s);
  if (!network_follows(s)) decide_rectangles(s);
}

/* libaom's network has answered about the square that is being searched. */
static void network_answered(const PartitionSearchState *state) {
  if (current >= 0 && squares[current].state == state && squares[current].split_done) decide_rectangles(&squares[current]);
}

static int stage_of(int partition) {
  if (partition <= PARTITION_VERT) return AV1PART_STAGE_RECT;
  if (partition > PARTITION_VERT_B) return AV1PART_STAGE_FOUR_WAY;
  return AV1PART_STAGE_HORZ_A + partition - PARTITION_HORZ_A;
}

static void stage_done(node_search *s) {
  const int partition = s->modes;
  s->modes = NO_MODES;
  if (partition == PARTITION_NONE) {
    none_done(s);
  } else if (partition == NO_MODES || partition == PARTITION_SPLIT) {
    if (!s->split_done) split_done(s);
  } else {
    book(s, stage_of(partition));
    const bool summed = partition < PARTITION_HORZ_A || partition > PARTITION_VERT_B;
    if (summed && s->state->sum_rdc.rate < INT_MAX) s->bits[partition] = to_bits(s, s->state->sum_rdc.rdcost);
  }
}

/* Before a quarter but the first. A quarter without a result ends SPLIT, as libaom itself ends it where it costs more
 * than the best. */
static void decide_quarter(node_search *s) {
  const node_search *const parent = parent_of(s);
  if (!parent || !parent->quarters || !s->whole || side_of(s) < 8) return;
  if (skip_for(parent, s, AV1PART_NO_MORE_SPLIT)) s->state->terminate_partition_search = 1;
}

void av1part_search_begin(av1part_encoder *e, const AV1_COMP *cpi, const MACROBLOCK *x, PartitionSearchState *state) {
  const PartitionBlkParams *const place = &state->part_blk_params;
  const int level = level_of(place->width);
  for (int l = 0; l <= level && l < LEVELS; ++l) squares[l].encoder = NULL; /* what an error has left unfinished */
  current = -1;
  if (!e || level >= LEVELS) return;
  node_search *const s = &squares[level];
  memset(s, 0, sizeof(*s));
  s->encoder = e;
  s->cpi = cpi;
  s->x = x;
  s->state = state;
  s->context = last_saved;
  s->whole = (place->mi_row * MI_SIZE + place->width <= e->config.height) &&
             (place->mi_col * MI_SIZE + place->width <= e->config.width);
  s->modes = NO_MODES;
  s->limit = INFINITY;
  for (int k = 0; k < AV1PART_PARTITIONS; ++k) s->bits[k] = NAN;
  if (place->bsize == cpi->common.seq_params->sb_size) { /* what lies above is of an earlier superblock */
    for (int l = level + 1; l < LEVELS; ++l) squares[l].encoder = NULL;
  }
  open_row(s);
  s->features[FEATURE_QINDEX] = (float)x->qindex;
  if (s->row >= 0) node_features(s);
  if (s->row >= 0) s->clock = cpu_seconds();
  current = level;
  decide_quarter(s);
}

void av1part_search_modes(int partition, const PICK_MODE_CONTEXT *block, int64_t best_rd) {
  if (current < 0) return;
  node_search *const s = &squares[current];
  s->modes = partition;
  if (partition == PARTITION_NONE) s->none = block;
  if (partition == PARTITION_NONE && best_rd < INT64_MAX) s->limit = to_bits(s, best_rd) + symbol_bits(s, PARTITION_NONE);
}

void av1part_search_ab(const PartitionSearchState *state, int *allowed) {
  if (current < 0 || squares[current].state != state) return;
  node_search *const s = &squares[current];
  if (!(allowed[0] | allowed[1] | allowed[2] | allowed[3]) || side_of(s) < 8) return;
  rectangle_features(s);
  const bool none = skip(s, AV1PART_NO_AB);
  for (int k = 0; k < NUM_AB_PARTS; ++k) {
    if (allowed[k] && (none || skip(s, AV1PART_NO_HORZ_A + k))) allowed[k] = 0;
  }
}

void __wrap_av1_rd_pick_inter_mode(AV1_COMP *cpi, TileDataEnc *tile_data, MACROBLOCK *x, RD_STATS *rd_cost,
                                   BLOCK_SIZE bsize, PICK_MODE_CONTEXT *ctx, int64_t best_rd) {
  av1part_search_modes(x->e_mbd.mi[0]->partition, ctx, best_rd);
  __real_av1_rd_pick_inter_mode(cpi, tile_data, x, rd_cost, bsize, ctx, best_rd);
}

void __wrap_av1_ml_early_term_after_split(AV1_COMP *const cpi, MACROBLOCK *const x,
                                          SIMPLE_MOTION_DATA_TREE *const sms_tree, int64_t best_rd, int64_t none_rd,
                                          int64_t split_rd, int64_t *quarters_rd, PartitionSearchState *state) {
  __real_av1_ml_early_term_after_split(cpi, x, sms_tree, best_rd, none_rd, split_rd, quarters_rd, state);
  network_answered(state);
}

void __wrap_av1_ml_prune_rect_partition(AV1_COMP *const cpi, const MACROBLOCK *const x, int64_t best_rd,
                                        int64_t none_rd, const int64_t *quarters_rd, PartitionSearchState *state) {
  __real_av1_ml_prune_rect_partition(cpi, x, best_rd, none_rd, quarters_rd, state);
  network_answered(state);
}

void __wrap_av1_ml_prune_4_partition(AV1_COMP *const cpi, MACROBLOCK *const x, int part_ctx, int64_t best_rd,
                                     PartitionSearchState *state, int *part4_allowed,
                                     unsigned int pb_source_variance) {
  __real_av1_ml_prune_4_partition(cpi, x, part_ctx, best_rd, state, part4_allowed, pb_source_variance);
  av1part_mask_four_way(cpi, state, part4_allowed);
  if (current < 0 || squares[current].state != state || !(part4_allowed[0] | part4_allowed[1])) return;
  if (state->terminate_partition_search) return;
  rectangle_features(&squares[current]);
  ab_features(&squares[current], part_ctx, best_rd);
  if (skip(&squares[current], AV1PART_NO_FOUR_WAY)) part4_allowed[0] = part4_allowed[1] = 0;
}

void __wrap_av1_save_context(const MACROBLOCK *x, RD_SEARCH_MACROBLOCK_CONTEXT *context, int mi_row, int mi_col,
                             BLOCK_SIZE bsize, const int num_planes) {
  last_saved = context;
  __real_av1_save_context(x, context, mi_row, mi_col, bsize, num_planes);
}

void __wrap_av1_restore_context(MACROBLOCK *x, const RD_SEARCH_MACROBLOCK_CONTEXT *context, int mi_row, int mi_col,
                                BLOCK_SIZE bsize, const int num_planes) {
  if (current >= 0 && squares[current].context == context) stage_done(&squares[current]);
  __real_av1_restore_context(x, context, mi_row, mi_col, bsize, num_planes);
}

/* The quarter's final cost lies in its parent's state by now. */
static void add_quarter(node_search *parent, const node_search *child, const PC_TREE *tree) {
  if (!child->state->found_best_partition || parent->quarters == QUARTERS) return;
  parent->kinds[parent->quarters] = tree->partitioning;
  parent->quarter[parent->quarters++] = to_bits(parent, parent->state->this_rdc.rdcost);
}

void av1part_search_end(const PC_TREE *tree) {
  if (current < 0) return;
  node_search *const s = &squares[current];
  if (block_size_wide[tree->block_size] != side_of(s)) return;
  node_search *const parent = parent_of(s);
  close_row(s, tree);
  if (parent) add_quarter(parent, s, tree);
  s->encoder = NULL;
  current = parent ? current + 1 : -1;
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

int av1part_search_inter(av1part_encoder *e, int inter) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the frames to be searched were changed during an encode");
  if (inter != 0 && inter != 1) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "inter: expected 0 or 1");
  if (inter && e->config.keyint == 1) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "inter: with keyint 1 there are key frames alone");
  }
  e->search_inter = inter;
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

int av1part_set_pruner(av1part_encoder *e, const void *data, size_t size, double price, double most) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the pruner was changed during an encode");
  av1part_pruner *pruner = NULL;
  const int status = data ? av1part_check_search(e) : AV1PART_OK;
  if (status != AV1PART_OK) return status;
  if (data) {
    const char *why;
    if (!(price > 0) || !(most > 0)) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "price or most: expected above 0");
    pruner = av1part_pruner_load(data, size, &why);
    if (!pruner) return av1part_fail(e, AV1PART_ERR_PRUNER, why);
    e->prune_log_price = log(price);
    e->prune_log_most = log(most);
  }
  av1part_pruner_free(e->pruner);
  e->pruner = pruner;
  return AV1PART_OK;
}

/* Whether the encoder codes what the pruner was made for, at either bit depth; else the detail says what that is. */
static bool made_for(av1part_encoder *e, const av1part_pruner_file *file) {
  const av1part_config *const c = &e->config;
  const bool served = av1part_pruner_file_serves(file, c->cpu_used);
  if (file->inter && c->keyint == 1) {
    snprintf(e->detail, sizeof(e->detail), "the pruner was made for inter frames, and keyint is 1");
    return false;
  }
  if (c->all_intra == file->all_intra && served && c->four_way == file->four_way) return true;
  snprintf(e->detail, sizeof(e->detail), "the pruner serves all_intra %d, each cpu_used of %s, four_way %d",
           file->all_intra, file->speeds, file->four_way);
  return false;
}

int av1part_load_pruner(av1part_encoder *e, const char *folder) {
  if (!e || !folder) return AV1PART_ERR_ARGUMENT;
  av1part_pruner_file file;
  if (!av1part_pruner_file_read(folder, &file, e->detail, sizeof(e->detail))) return AV1PART_ERR_PRUNER;
  int status = made_for(e, &file) ? AV1PART_OK : AV1PART_ERR_PRUNER;
  if (status == AV1PART_OK) status = av1part_set_pruner(e, file.data, file.size, file.price, file.most);
  if (status == AV1PART_OK) status = av1part_search_inter(e, file.inter);
  av1part_pruner_file_free(&file);
  return status;
}

int av1part_decisions(const av1part_encoder *e, av1part_decision_counts *counts) {
  if (!e || !counts) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return AV1PART_ERR_STATE;
  memset(counts, 0, sizeof(*counts));
  for (int l = 1; l < LEVELS; ++l) {
    for (int d = 0; d < AV1PART_DECISIONS; ++d) {
      counts->asked[l - 1][d] = atomic_load(&e->decisions[l][d][0]);
      counts->taken[l - 1][d] = atomic_load(&e->decisions[l][d][1]);
    }
  }
  return AV1PART_OK;
}
