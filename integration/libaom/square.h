/* A square of libaom's search while it is searched, as features.c, record.c, decide.c and squares.c share it. */
#ifndef AV1PART_SQUARE_H_
#define AV1PART_SQUARE_H_

#include <math.h>

#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "encoder.h"

enum { LEVELS = AV1PART_SQUARES + 1 /* sizes, from 4x4 up */, QUARTERS = 4, NO_MODES = -1 };

/* What the partitions of a square cost so far, for av1part_node_costs, in libaom's units: an int64_t of them, or its sums
 * of rate and distortion. */
typedef struct av1part_spent {
  av1part_node_costs *target; /* NULL: the costs of this square are not recorded */
  double limit;                   /* what the square must stay under; infinite: unknown */
  unsigned timed;                 /* bit k: partition k has begun, at begun[k] */
  unsigned ab_allowed;            /* likewise: some blocks of an AB are taken over, without a search of their modes */
  int blocks[AV1PART_PARTITIONS]; /* blocks whose modes were searched; none of SPLIT */
  RD_STATS split;                 /* sum of its quarters that are done */
  double begun[AV1PART_PARTITIONS];
} av1part_spent;

/* Squared residuals of libaom's simple motion search at a square before its NONE; below 0 where it did not search. */
typedef struct av1part_simple {
  double whole, quarters, halves; /* the sum of the four quarters, of the better pair of halves */
} av1part_simple;

/* Costs are in bits: libaom's RD cost divided by its rdmult. */
typedef struct av1part_square {
  av1part_encoder *encoder; /* NULL: this level is idle */
  const AV1_COMP *cpi;
  const MACROBLOCK *x;
  PartitionSearchState *state;
  struct av1part_square *parent; /* the square that this one is a quarter of, NULL: none */
  const void *context; /* libaom's saved context of the square */
  bool whole;          /* no edge of the frame cuts it */
  bool active;         /* its search is recorded or pruned; else its costs alone are wanted */
  bool split_done;
  int row;           /* of the record, -1: not recorded */
  int modes;         /* partition whose modes were searched last, NO_MODES since the last stage ended */
  const PICK_MODE_CONTEXT *none; /* results of NONE's search */
  int none_reference; /* of NONE in an inter frame; INTRA_FRAME: none, or not known */
  int_mv none_motion; /* by that reference */
  av1part_simple simple; /* in an inter frame */
  int quarters;      /* of SPLIT that are done, each at the costs of `quarter` */
  int kinds[QUARTERS];
  double quarter[QUARTERS];
  double quarter_none[QUARTERS]; /* what NONE cost there, NAN where it has no result */
  int rdmult;        /* libaom's own of the square: with some tunes, and with delta-q, each has another */
  RD_STATS none_found; /* of NONE without its symbol, where bits[PARTITION_NONE] is there */
  double limit;      /* to be beaten; infinite: unknown */
  double bits[AV1PART_PARTITIONS]; /* NAN: not searched to its end */
  av1part_spent spent;
  double clock;
  float seconds[AV1PART_STAGES];
  unsigned reached;  /* bit d: decision d could be taken */
  bool node_known;   /* the features of AV1PART_POINT_NODE are there: luma takes time, many squares are never asked about */
  float features[AV1PART_FEATURES];
} av1part_square;

/* Index of a size among LEVELS. */
static inline int level_of(int width) {
  int level = 0;
  while (4 << level < width) ++level;
  return level;
}

static inline int side_of(const av1part_square *s) { return s->state->part_blk_params.width; }

static inline double to_bits(const av1part_square *s, int64_t rdcost) {
  return rdcost == INT64_MAX ? INFINITY : (double)rdcost / s->rdmult;
}

/* What rate and distortion cost in the eyes of this square, whoever found them. */
static inline double bits_of(const av1part_square *s, const RD_STATS *found) {
  return to_bits(s, RDCOST(s->rdmult, found->rate, found->dist));
}

/* features.c. Fill the features of a point of the search, from what has been found until then; those of
 * AV1PART_POINT_NODE, which take time to compute, once. */
void av1part_node_features(av1part_square *s);
void av1part_none_features(av1part_square *s);
void av1part_split_features(av1part_square *s);
void av1part_rectangle_features(av1part_square *s);
void av1part_ab_features(av1part_square *s, int best_partition, int64_t best_rdcost);

/* Bits of the symbol that says how the square is partitioned. */
float av1part_symbol_bits(const av1part_square *s, int partition);

/* Cost of SPLIT, of the quarters that are done. */
double av1part_split_so_far(const av1part_square *s);

/* Look at the luma of a whole frame, for the features that its squares share. */
void av1part_frame_features(av1part_encoder *e, const AV1_COMP *cpi);

/* motion.c. The same for what is known in inter frames alone; a square begins with what the simple motion search left. */
void av1part_motion_begin(av1part_square *s, const SIMPLE_MOTION_DATA_TREE *sms_tree);
void av1part_motion_node_features(av1part_square *s);
void av1part_motion_none_features(av1part_square *s);

/* record.c. Whether costs are recorded in this frame. */
bool av1part_wants_costs(const av1part_encoder *e, const AV1_COMP *cpi);

/* Begin and end what is recorded of a square: its row, and its costs. */
void av1part_open_record(av1part_square *s);
void av1part_close_record(av1part_square *s, const PC_TREE *tree);

/* Book the time since the last stage's end in the row. */
void av1part_book(av1part_square *s, int stage);

/* Time a partition in the costs, from its first start to its last stop. */
void av1part_start(av1part_square *s, int partition);
void av1part_stop(av1part_square *s, int partition);

/* decide.c. Whether the encoder's pruner skips what a decision is about, at this square; counted, and false without a
 * pruner. */
bool av1part_skip(av1part_square *s, int decision);

/* The same at the square `loser`, by what is known at `s`. */
bool av1part_skip_for(const av1part_square *loser, av1part_square *s, int decision);

#endif
