/* What hook.c tells costs.c of the search. Each does nothing where no node is recorded. */
#ifndef AV1PART_COSTS_H_
#define AV1PART_COSTS_H_

#include "av1/encoder/encodeframe_utils.h"
#include "encoder.h"

/* Forget what was recorded: nothing tried at any node. */
void av1part_costs_clear(av1part_encoder *encoder);

/* The search of a square begins, whatever its size; `encoder` NULL where it is none of ours, or not an intra frame. */
void av1part_costs_begin(const av1part_encoder *encoder, const AV1_COMP *cpi, const MACROBLOCK *x,
                         const PartitionSearchState *state);

/* Which of HORZ_A, HORZ_B, VERT_A, VERT_B are about to be searched. */
void av1part_costs_ab(const PartitionSearchState *state, const int *ab_partitions_allowed);

#endif
