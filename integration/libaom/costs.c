/* RD cost and CPU time of every partition that libaom tried at a node of an intra frame.
 *
 * Costs are read when libaom is done with the node, just before it frees the results of the partitions that
 * lost: each holds rate and distortion of its blocks, from which the sums are made as libaom makes them, with
 * the rate of the partition symbol. A search that libaom gave up leaves a lower bound: what its finished blocks
 * cost, and at least the best cost that it could not beat. Nothing that libaom reads is written. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <limits.h>
#include <math.h>
#include <time.h>

#include "av1/encoder/context_tree.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/rd.h"
#include "av1/encoder/rdopt.h"
#include "costs.h"
#include "search.h"

__typeof__(av1_rd_pick_intra_mode_sb) __real_av1_rd_pick_intra_mode_sb, __wrap_av1_rd_pick_intra_mode_sb;
__typeof__(av1_free_pc_tree_recursive) __real_av1_free_pc_tree_recursive, __wrap_av1_free_pc_tree_recursive;

enum { QUARTERS = 4 };

/* The node of one size that a thread searches. libaom's states live on its stack until their square is done. */
typedef struct {
  av1part_node_costs *target; /* NULL: no node of this size is being recorded */
  const PartitionSearchState *node;
  const PartitionSearchState *quarter; /* of the square that is being searched for SPLIT, or NULL */
  bool superblock; /* the node is one: no square is around it */
  int rdmult;
  unsigned timed;      /* bit k: partition k has begun, at begun[k] */
  unsigned ab_allowed; /* likewise: some blocks of an AB are taken over, without a search of their modes */
  int blocks[AV1PART_PARTITIONS]; /* blocks whose modes were searched; for SPLIT, quarters that were done */
  RD_STATS split;                 /* their sum */
  double limit;                   /* what the node must stay under; infinite: unknown */
  double begun[AV1PART_PARTITIONS];
  /* Of the square around the node. libaom leaves a square's final cost in it: valid while a node ends. */
  const PartitionSearchState *parent;
} node_search;

/* This thread's nodes, by level: a node of one size is a quarter of one of the next, and both may be recorded. */
static _Thread_local node_search searches[AV1PART_LEVELS];

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void start(node_search *s, int partition) {
  if (s->timed >> partition & 1) return;
  s->timed |= 1u << partition;
  s->begun[partition] = cpu_seconds();
}

static void stop(node_search *s, int partition) {
  s->target->seconds[partition] = (float)(cpu_seconds() - s->begun[partition]);
}

static void clear_node(av1part_node_costs *node) {
  for (int k = 0; k < AV1PART_PARTITIONS; ++k) {
    node->rd[k] = NAN;
    node->seconds[k] = 0;
  }
  node->bound = 0;
}

void av1part_costs_clear(av1part_encoder *encoder) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &encoder->levels[l];
    for (size_t node = 0; level->costs && node < node_count(level); ++node) clear_node(&level->costs[node]);
  }
}

void av1part_costs_begin(const av1part_encoder *e, const AV1_COMP *cpi, const MACROBLOCK *x,
                         const PartitionSearchState *state) {
  const PartitionBlkParams *const square = &state->part_blk_params;
  const bool superblock = square->bsize == cpi->common.seq_params->sb_size;
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    node_search *const s = &searches[l];
    const int side = AV1PART_NODE_SIZE(l), width = square->width;
    const av1part_level *const level = e && e->levels[l].costs ? &e->levels[l] : NULL;
    if (!level || width > side) s->target = NULL; /* what an error has left unfinished */
    if (width == 2 * side) s->parent = state;
    if (width == side && superblock) s->parent = NULL; /* what is there is another encoder's, and gone */
    if (2 * width == side && s->target) {
      start(s, PARTITION_SPLIT);
      s->quarter = state;
      const PartitionBlkParams *const node = &s->node->part_blk_params;
      if (square->mi_row == node->mi_row && square->mi_col == node->mi_col) { /* the first: of a second attempt, too */
        s->blocks[PARTITION_SPLIT] = 0;
        s->split = (RD_STATS){ 0 };
      }
    } else if (width == side) { /* what an error may have left unfinished ends here too */
      const int node = level ? av1part_whole_node(e, level, square->mi_row * MI_SIZE, square->mi_col * MI_SIZE) : -1;
      *s = (node_search){ .parent = s->parent, .node = state, .superblock = superblock, .rdmult = x->rdmult,
                          .limit = INFINITY };
      if (node < 0) continue;
      s->target = &level->costs[node];
      clear_node(s->target);
    }
  }
}

void av1part_costs_ab(const PartitionSearchState *state, const int *ab_partitions_allowed) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    node_search *const s = &searches[l];
    for (int ab = 0; s->target && state == s->node && ab < NUM_AB_PARTS; ++ab) {
      if (ab_partitions_allowed[ab]) s->ab_allowed |= 1u << (PARTITION_HORZ_A + ab);
    }
  }
}

/* The node whose own blocks are being searched, not those of its quarters; NULL where it is not recorded. */
static node_search *innermost(void) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    if (searches[l].target && !searches[l].quarter) return &searches[l];
  }
  return NULL;
}

void __wrap_av1_rd_pick_intra_mode_sb(const AV1_COMP *cpi, MACROBLOCK *x, RD_STATS *rd_cost, BLOCK_SIZE bsize,
                                      PICK_MODE_CONTEXT *ctx, int64_t best_rd) {
  node_search *const s = innermost();
  const int partition = x->e_mbd.mi[0]->partition;
  if (s) start(s, partition);
  av1part_search_modes(partition, ctx, best_rd);
  __real_av1_rd_pick_intra_mode_sb(cpi, x, rd_cost, bsize, ctx, best_rd);
  if (!s) return;
  stop(s, partition);
  ++s->blocks[partition];
  if (partition == PARTITION_NONE && best_rd < INT64_MAX) {
    s->limit = (double)RDCOST(s->rdmult, s->node->partition_cost[partition], 0) + (double)best_rd;
  }
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
static bool sum_partition(const node_search *s, const PC_TREE *tree, int k, RD_STATS *sum) {
  const int searched = s->blocks[k];
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
    default: *sum = s->split; return searched == QUARTERS;
  }
}

static void end_node(node_search *s, const PC_TREE *tree) {
  static const int order[] = { PARTITION_NONE,   PARTITION_SPLIT,  PARTITION_HORZ,   PARTITION_VERT,
                               PARTITION_HORZ_A, PARTITION_HORZ_B, PARTITION_VERT_A, PARTITION_VERT_B,
                               PARTITION_HORZ_4, PARTITION_VERT_4 };
  av1part_node_costs *const target = s->target;
  const double final = s->parent && s->parent->this_rdc.rdcost < INT64_MAX ? (double)s->parent->this_rdc.rdcost : 0;
  double best = s->limit;
  for (size_t i = 0; i < sizeof(order) / sizeof(*order); ++i) {
    const int k = order[i];
    if (!((s->timed | s->ab_allowed) >> k & 1)) continue;
    RD_STATS sum = { 0 };
    const bool whole = sum_partition(s, tree, k, &sum);
    sum.rate += s->node->partition_cost[k];
    const double cost = (double)RDCOST(s->rdmult, sum.rate, sum.dist);
    if (whole) {
      target->rd[k] = (float)cost;
      best = AOMMIN(best, cost);
    } else {
      target->bound |= (uint16_t)(1u << k);
      target->rd[k] = (float)AOMMAX(cost, isfinite(best) ? best : final);
    }
  }
  s->target = NULL;
}

void __wrap_av1_free_pc_tree_recursive(PC_TREE *tree, int num_planes, int keep_best, int keep_none,
                                       PARTITION_SEARCH_TYPE partition_search_type) {
  /* Where both are kept, a square below the superblock has been searched; a superblock's tree is freed whole. */
  const bool below = keep_best && keep_none;
  for (int l = 0; l < AV1PART_LEVELS && tree; ++l) {
    node_search *const s = &searches[l];
    const int width = block_size_wide[tree->block_size];
    if (!s->target) continue;
    if (width == AV1PART_NODE_SIZE(l) && below != s->superblock) {
      end_node(s, tree);
    } else if (2 * width == AV1PART_NODE_SIZE(l) && below) {
      if (s->quarter->found_best_partition) {
        s->split.rate += s->node->this_rdc.rate;
        s->split.dist += s->node->this_rdc.dist;
        ++s->blocks[PARTITION_SPLIT];
      }
      stop(s, PARTITION_SPLIT);
      s->quarter = NULL;
    }
  }
  av1part_search_end(tree);
  __real_av1_free_pc_tree_recursive(tree, num_planes, keep_best, keep_none, partition_search_type);
}
