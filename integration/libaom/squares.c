/* The squares that libaom searches, one inside the other, and what is done at each point of a square's search.
 *
 * libaom searches a square in the order NONE, SPLIT (each quarter in its turn), HORZ, VERT, AB, 4-way, and restores the
 * square's saved context after each: this is where a stage's end is seen. The address of the saved context names the
 * recursion's level. A square's end is seen where libaom frees the results of the partitions that lost.
 *
 * Inter frames are searched in the same order. There libaom has networks of its own after NONE, which have answered when
 * it restores the context, and after SPLIT, which answer later (network_follows). */
#include <string.h>

#include "av1/encoder/context_tree.h"
#include "av1/encoder/encodeframe.h"
#include "av1/encoder/rd.h"
#include "av1/encoder/rdopt.h"
#include "search.h"
#include "square.h"

__typeof__(av1_save_context) __real_av1_save_context, __wrap_av1_save_context;
__typeof__(av1_restore_context) __real_av1_restore_context, __wrap_av1_restore_context;
__typeof__(av1_rd_pick_intra_mode_sb) __real_av1_rd_pick_intra_mode_sb, __wrap_av1_rd_pick_intra_mode_sb;
__typeof__(av1_free_pc_tree_recursive) __real_av1_free_pc_tree_recursive, __wrap_av1_free_pc_tree_recursive;
__typeof__(av1_ml_prune_4_partition) __real_av1_ml_prune_4_partition, __wrap_av1_ml_prune_4_partition;
__typeof__(av1_rd_pick_inter_mode) __real_av1_rd_pick_inter_mode, __wrap_av1_rd_pick_inter_mode;
__typeof__(av1_ml_early_term_after_split) __real_av1_ml_early_term_after_split, __wrap_av1_ml_early_term_after_split;
__typeof__(av1_ml_prune_rect_partition) __real_av1_ml_prune_rect_partition, __wrap_av1_ml_prune_rect_partition;

/* This thread's squares by log2(width) - 2, and the one that is being searched, -1 for none. */
static _Thread_local av1part_square squares[LEVELS];
static _Thread_local int current = -1;
static _Thread_local const void *last_saved;

static av1part_square *parent_of(const av1part_square *s) {
  const ptrdiff_t above = s - squares + 1;
  if (above >= LEVELS) return NULL;
  av1part_square *const parent = &squares[above];
  return parent->encoder == s->encoder && parent->x == s->x ? parent : NULL;
}

/* The square that is being searched, where libaom searches this one now and what it finds is recorded or decided about. */
static av1part_square *active(const PartitionSearchState *state) {
  av1part_square *const s = current >= 0 ? &squares[current] : NULL;
  return s && s->active && s->state == state ? s : NULL;
}

static void none_done(av1part_square *s) {
  av1part_book(s, AV1PART_STAGE_NONE);
  PartitionSearchState *const state = s->state;
  if (state->this_rdc.rate == INT_MAX) return;
  s->bits[PARTITION_NONE] = to_bits(s, state->this_rdc.rdcost);
  s->none_found = state->this_rdc;
  if (state->part_blk_params.bsize_at_least_8x8) s->none_found.rate -= state->partition_cost[PARTITION_NONE];
  av1part_none_features(s);
  if (state->terminate_partition_search || side_of(s) < 8) return;
  if (av1part_skip(s, AV1PART_STOP)) {
    state->terminate_partition_search = 1;
  } else if (state->do_square_split && av1part_skip(s, AV1PART_NO_SPLIT)) {
    state->do_square_split = 0;
  }
}

/* Whether libaom is about to ask a network of its own whether to go on after SPLIT, as it does in inter frames. */
static bool network_follows(const av1part_square *s) {
  const PARTITION_SPEED_FEATURES *const sf = &s->cpi->sf.part_sf;
  const PartitionSearchState *const state = s->state;
  if (frame_is_intra_only(&s->cpi->common) || state->terminate_partition_search) return false;
  if (!state->partition_rect_allowed[HORZ] && !state->partition_rect_allowed[VERT]) return false;
  if (sf->ml_early_term_after_part_split_level) return state->do_rectangular_split;
  return sf->ml_prune_partition && !state->prune_rect_part[HORZ] && !state->prune_rect_part[VERT];
}

static void decide_rectangles(av1part_square *s) {
  PartitionSearchState *const state = s->state;
  if (state->terminate_partition_search || !state->do_rectangular_split || side_of(s) < 8) return;
  if (av1part_skip(s, AV1PART_NO_RECT)) { /* nor AB, nor 4-way: libaom searches them only where it may search rectangles */
    state->do_rectangular_split = 0;
    state->partition_rect_allowed[HORZ] = state->partition_rect_allowed[VERT] = 0;
  }
}

static void split_done(av1part_square *s) {
  av1part_book(s, AV1PART_STAGE_SPLIT);
  s->split_done = true;
  if (s->quarters == QUARTERS) s->bits[PARTITION_SPLIT] = av1part_split_so_far(s);
  av1part_split_features(s);
  if (!network_follows(s)) decide_rectangles(s);
}

/* libaom's network has answered about the square that is being searched. */
static void network_answered(const PartitionSearchState *state) {
  av1part_square *const s = active(state);
  if (s && s->split_done) decide_rectangles(s);
}

static int stage_of(int partition) {
  if (partition <= PARTITION_VERT) return AV1PART_STAGE_RECT;
  if (partition > PARTITION_VERT_B) return AV1PART_STAGE_FOUR_WAY;
  return AV1PART_STAGE_HORZ_A + partition - PARTITION_HORZ_A;
}

static void stage_done(av1part_square *s) {
  const int partition = s->modes;
  s->modes = NO_MODES;
  if (!s->active) return;
  if (partition == PARTITION_NONE) {
    none_done(s);
  } else if (partition == NO_MODES || partition == PARTITION_SPLIT) {
    if (!s->split_done) split_done(s);
  } else {
    av1part_book(s, stage_of(partition));
    const bool summed = partition < PARTITION_HORZ_A || partition > PARTITION_VERT_B;
    if (summed && s->state->sum_rdc.rate < INT_MAX) s->bits[partition] = to_bits(s, s->state->sum_rdc.rdcost);
  }
}

/* A quarter of the square begins: the first one again where libaom searches a superblock a second time. */
static void begin_quarter(av1part_square *s, const av1part_square *quarter) {
  const PartitionBlkParams *const own = &s->state->part_blk_params, *const place = &quarter->state->part_blk_params;
  if (own->mi_row == place->mi_row && own->mi_col == place->mi_col) {
    s->quarters = 0;
    s->spent.split = (RD_STATS){ 0 };
  }
  av1part_start(s, PARTITION_SPLIT);
}

/* Before a quarter but the first. A quarter without a result ends SPLIT, as libaom itself ends it where it costs more
 * than the best. */
static void decide_quarter(av1part_square *s) {
  const av1part_square *const parent = s->parent;
  if (!s->active || !parent || !parent->quarters || !s->whole || side_of(s) < 8) return;
  if (av1part_skip_for(parent, s, AV1PART_NO_MORE_SPLIT)) s->state->terminate_partition_search = 1;
}

void av1part_search_reset(void) { current = -1; }

void av1part_search_begin(av1part_encoder *e, const AV1_COMP *cpi, const MACROBLOCK *x,
                          const SIMPLE_MOTION_DATA_TREE *sms_tree, PartitionSearchState *state) {
  const PartitionBlkParams *const place = &state->part_blk_params;
  const int level = level_of(place->width);
  for (int l = 0; l <= level && l < LEVELS; ++l) squares[l].encoder = NULL; /* what an error has left unfinished */
  current = -1;
  if (!e || level >= LEVELS || !(e->search_active || av1part_wants_costs(e, cpi))) return;
  av1part_square *const s = &squares[level];
  memset(s, 0, sizeof(*s));
  s->encoder = e;
  s->cpi = cpi;
  s->x = x;
  s->rdmult = x->rdmult;
  s->state = state;
  s->context = last_saved;
  s->active = e->search_active;
  s->whole = (place->mi_row * MI_SIZE + place->width <= e->config.height) &&
             (place->mi_col * MI_SIZE + place->width <= e->config.width);
  s->modes = NO_MODES;
  s->limit = INFINITY;
  for (int k = 0; k < AV1PART_PARTITIONS; ++k) s->bits[k] = NAN;
  if (place->bsize == cpi->common.seq_params->sb_size) { /* what lies above is of an earlier superblock */
    for (int l = level + 1; l < LEVELS; ++l) squares[l].encoder = NULL;
  }
  s->parent = parent_of(s);
  if (s->parent) begin_quarter(s->parent, s);
  s->features[AV1PART_FEATURE_QINDEX] = (float)x->qindex;
  if (s->active && e->knows_motion) av1part_motion_begin(s, sms_tree);
  av1part_open_record(s);
  current = level;
  decide_quarter(s);
}

static void decide_ab(av1part_square *s, int *allowed) {
  if (!(allowed[0] | allowed[1] | allowed[2] | allowed[3]) || side_of(s) < 8) return;
  av1part_rectangle_features(s);
  const bool none = av1part_skip(s, AV1PART_NO_AB);
  for (int k = 0; k < NUM_AB_PARTS; ++k) {
    if (allowed[k] && (none || av1part_skip(s, AV1PART_NO_HORZ_A + k))) allowed[k] = 0;
  }
}

void av1part_search_ab(const PartitionSearchState *state, int *allowed) {
  if (current < 0 || squares[current].state != state) return;
  av1part_square *const s = &squares[current];
  if (s->active) decide_ab(s, allowed);
  for (int k = 0; k < NUM_AB_PARTS; ++k) {
    if (allowed[k]) s->spent.ab_allowed |= 1u << (PARTITION_HORZ_A + k);
  }
}

/* The modes of a block are about to be searched, for the square that is being searched. */
static void modes_begin(int partition, const PICK_MODE_CONTEXT *block, int64_t best_rd) {
  if (current < 0) return;
  av1part_square *const s = &squares[current];
  s->modes = partition;
  av1part_start(s, partition);
  if (partition != PARTITION_NONE) return;
  s->none = block;
  if (best_rd == INT64_MAX) return;
  s->limit = to_bits(s, best_rd) + av1part_symbol_bits(s, PARTITION_NONE);
  s->spent.limit = (double)RDCOST(s->rdmult, s->state->partition_cost[PARTITION_NONE], 0) + (double)best_rd;
}

static void modes_end(int partition) {
  if (current < 0) return;
  av1part_stop(&squares[current], partition);
  ++squares[current].spent.blocks[partition];
}

void __wrap_av1_rd_pick_intra_mode_sb(const AV1_COMP *cpi, MACROBLOCK *x, RD_STATS *rd_cost, BLOCK_SIZE bsize,
                                      PICK_MODE_CONTEXT *ctx, int64_t best_rd) {
  const int partition = x->e_mbd.mi[0]->partition;
  modes_begin(partition, ctx, best_rd);
  __real_av1_rd_pick_intra_mode_sb(cpi, x, rd_cost, bsize, ctx, best_rd);
  modes_end(partition);
}

void __wrap_av1_rd_pick_inter_mode(AV1_COMP *cpi, TileDataEnc *tile_data, MACROBLOCK *x, RD_STATS *rd_cost,
                                   BLOCK_SIZE bsize, PICK_MODE_CONTEXT *ctx, int64_t best_rd) {
  modes_begin(x->e_mbd.mi[0]->partition, ctx, best_rd);
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
  av1part_square *const s = active(state);
  if (!s || state->terminate_partition_search || !(part4_allowed[0] | part4_allowed[1])) return;
  av1part_rectangle_features(s);
  av1part_ab_features(s, part_ctx, best_rd);
  if (av1part_skip(s, AV1PART_NO_FOUR_WAY)) part4_allowed[0] = part4_allowed[1] = 0;
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

/* The quarter's final cost lies in its parent's state by now, at the quarter's own rdmult: the parent counts it anew. */
static void add_quarter(av1part_square *parent, const av1part_square *child, const PC_TREE *tree) {
  const RD_STATS *const found = &parent->state->this_rdc;
  av1part_stop(parent, PARTITION_SPLIT);
  if (!child->state->found_best_partition || parent->quarters == QUARTERS) return;
  const bool none = !isnan(child->bits[PARTITION_NONE]);
  parent->kinds[parent->quarters] = tree->partitioning;
  parent->quarter_none[parent->quarters] = none ? bits_of(parent, &child->none_found) : NAN;
  parent->quarter[parent->quarters++] = bits_of(parent, found);
  parent->spent.split.rate += found->rate;
  parent->spent.split.dist += found->dist;
}

static void search_end(const PC_TREE *tree) {
  if (current < 0 || !tree) return; /* libaom frees what it never made, too */
  av1part_square *const s = &squares[current];
  if (block_size_wide[tree->block_size] != side_of(s)) return;
  av1part_square *const parent = s->parent;
  av1part_close_record(s, tree);
  if (parent) add_quarter(parent, s, tree);
  s->encoder = NULL;
  current = parent ? current + 1 : -1;
}

void __wrap_av1_free_pc_tree_recursive(PC_TREE *tree, int num_planes, int keep_best, int keep_none,
                                       PARTITION_SEARCH_TYPE partition_search_type) {
  search_end(tree);
  __real_av1_free_pc_tree_recursive(tree, num_planes, keep_best, keep_none, partition_search_type);
}
