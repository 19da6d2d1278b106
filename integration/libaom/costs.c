/* RD cost and CPU time of every partition that libaom tried at a node of an intra frame.
 *
 * Costs are read when libaom is done with the node, just before it frees the results of the partitions that
 * lost: each holds rate and distortion of its blocks, from which the sums are made as libaom makes them, with
 * the rate of the partition symbol. A search that libaom gave up leaves a lower bound: what its finished blocks
 * cost, and at least the best cost that it could not beat. Nothing that libaom reads is written. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <limits.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "av1/encoder/context_tree.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/rd.h"
#include "av1/encoder/rdopt.h"
#include "costs.h"
#include "inside_search.h"

__typeof__(av1_rd_pick_intra_mode_sb) __real_av1_rd_pick_intra_mode_sb, __wrap_av1_rd_pick_intra_mode_sb;
__typeof__(av1_free_pc_tree_recursive) __real_av1_free_pc_tree_recursive, __wrap_av1_free_pc_tree_recursive;

enum { QUARTERS = 4 };

/* The node that this thread searches. libaom's states live on its stack until their square is done. */
static _Thread_local struct {
  int side; /* of the nodes that are recorded, 0: none are */
  av1part_node_costs *target; /* NULL: this node is not recorded */
  const PartitionSearchState *node;
  const PartitionSearchState *quarter; /* of the square that is being searched for SPLIT, or NULL */
  int rdmult;
  unsigned timed;      /* bit k: partition k has begun, at begun[k] */
  unsigned ab_allowed; /* likewise: some blocks of an AB are taken over, without a search of their modes */
  int blocks[AV1PART_PARTITIONS]; /* blocks whose modes were searched; for SPLIT, quarters that were done */
  RD_STATS split;                 /* their sum */
  double limit;                   /* what the node must stay under; infinite: unknown */
  double begun[AV1PART_PARTITIONS];
} search;

/* Of the square around the node. libaom leaves a square's final cost in it: valid while a node ends. */
static _Thread_local const PartitionSearchState *parent;

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void start(int partition) {
  if (search.timed >> partition & 1) return;
  search.timed |= 1u << partition;
  search.begun[partition] = cpu_seconds();
}

static void stop(int partition) {
  search.target->seconds[partition] = (float)(cpu_seconds() - search.begun[partition]);
}

static double symbol_cost(int partition) {
  return (double)RDCOST(search.rdmult, search.node->partition_cost[partition], 0);
}

void av1part_costs_clear(av1part_encoder *encoder) {
  for (int node = 0; node < encoder->costs_level->rows * encoder->costs_level->columns; ++node) {
    for (int k = 0; k < AV1PART_PARTITIONS; ++k) {
      encoder->costs[node].rd[k] = NAN;
      encoder->costs[node].seconds[k] = 0;
    }
    encoder->costs[node].bound = 0;
  }
}

void av1part_costs_begin(const MACROBLOCK *x, const PartitionSearchState *state, int side,
                         av1part_node_costs *target) {
  const int width = state->part_blk_params.width;
  if (side != search.side || width > side) search.target = NULL; /* what an error has left unfinished */
  search.side = side;
  if (width == 2 * side) parent = state;
  if (2 * width == side && search.target) {
    start(PARTITION_SPLIT);
    search.quarter = state;
  } else if (width == side) { /* what an error may have left unfinished ends here too */
    memset(&search, 0, sizeof(search));
    search.side = side;
    search.target = target;
    search.node = state;
    search.rdmult = x->rdmult;
    search.limit = INFINITY;
    for (int k = 0; target && k < AV1PART_PARTITIONS; ++k) {
      target->rd[k] = NAN;
      target->seconds[k] = 0;
    }
    if (target) target->bound = 0;
  }
}

void av1part_costs_ab(const PartitionSearchState *state, const int *ab_partitions_allowed) {
  if (!search.target || state != search.node) return;
  for (int ab = 0; ab < NUM_AB_PARTS; ++ab) {
    if (ab_partitions_allowed[ab]) search.ab_allowed |= 1u << (PARTITION_HORZ_A + ab);
  }
}

void __wrap_av1_rd_pick_intra_mode_sb(const AV1_COMP *cpi, MACROBLOCK *x, RD_STATS *rd_cost, BLOCK_SIZE bsize,
                                      PICK_MODE_CONTEXT *ctx, int64_t best_rd) {
  const bool ours = search.target && !search.quarter;
  const int partition = x->e_mbd.mi[0]->partition;
  if (ours) start(partition);
  av1part_search_modes(partition, ctx, best_rd);
  __real_av1_rd_pick_intra_mode_sb(cpi, x, rd_cost, bsize, ctx, best_rd);
  if (!ours) return;
  stop(partition);
  ++search.blocks[partition];
  if (partition == PARTITION_NONE && best_rd < INT64_MAX) search.limit = symbol_cost(partition) + (double)best_rd;
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
static bool sum_partition(const PC_TREE *tree, int k, RD_STATS *sum) {
  const int searched = search.blocks[k];
  switch (k) {
    case PARTITION_NONE: return searched == 1 && add_blocks(&tree->none, 1, sum) == 1;
    case PARTITION_HORZ: return add_blocks(tree->horizontal, AOMMIN(searched, 2), sum) == 2;
    case PARTITION_VERT: return add_blocks(tree->vertical, AOMMIN(searched, 2), sum) == 2;
    case PARTITION_HORZ_A: return add_blocks(tree->horizontala, 3, sum) == 3;
    case PARTITION_HORZ_B: return add_blocks(tree->horizontalb, 3, sum) == 3;
    case PARTITION_VERT_A: return add_blocks(tree->verticala, 3, sum) == 3;
    case PARTITION_VERT_B: return add_blocks(tree->verticalb, 3, sum) == 3;
    default: *sum = search.split; return searched == QUARTERS;
  }
}

static void end_node(const PC_TREE *tree) {
  static const int order[] = { PARTITION_NONE,   PARTITION_SPLIT,  PARTITION_HORZ,   PARTITION_VERT,
                               PARTITION_HORZ_A, PARTITION_HORZ_B, PARTITION_VERT_A, PARTITION_VERT_B };
  av1part_node_costs *const target = search.target;
  const double final = parent && parent->this_rdc.rdcost < INT64_MAX ? (double)parent->this_rdc.rdcost : 0;
  double best = search.limit;
  for (size_t i = 0; i < sizeof(order) / sizeof(*order); ++i) {
    const int k = order[i];
    if (!((search.timed | search.ab_allowed) >> k & 1)) continue;
    RD_STATS sum = { 0 };
    const bool whole = sum_partition(tree, k, &sum);
    sum.rate += search.node->partition_cost[k];
    const double cost = (double)RDCOST(search.rdmult, sum.rate, sum.dist);
    if (whole) {
      target->rd[k] = (float)cost;
      best = AOMMIN(best, cost);
    } else {
      target->bound |= (uint16_t)(1u << k);
      target->rd[k] = (float)AOMMAX(cost, isfinite(best) ? best : final);
    }
  }
  search.target = NULL;
}

void __wrap_av1_free_pc_tree_recursive(PC_TREE *tree, int num_planes, int keep_best, int keep_none,
                                       PARTITION_SEARCH_TYPE partition_search_type) {
  if (search.target && keep_best && keep_none) { /* a square below the superblock has been searched */
    const int width = block_size_wide[tree->block_size];
    if (width == search.side) {
      end_node(tree);
    } else if (2 * width == search.side) {
      if (search.quarter->found_best_partition) {
        search.split.rate += search.node->this_rdc.rate;
        search.split.dist += search.node->this_rdc.dist;
        ++search.blocks[PARTITION_SPLIT];
      }
      stop(PARTITION_SPLIT);
      search.quarter = NULL;
    }
  }
  av1part_search_end(tree);
  __real_av1_free_pc_tree_recursive(tree, num_planes, keep_best, keep_none, partition_search_type);
}
