/* What hook.c and costs.c tell squares.c of the search of a square. Each does nothing where the encoder neither
 * records its search nor prunes inside it. */
#ifndef AV1PART_SEARCH_H_
#define AV1PART_SEARCH_H_

#include "av1/encoder/encodeframe_utils.h"
#include "encoder.h"

/* The search of a frame begins: look at its luma, and where it is coded again, forget its rows. */
void av1part_search_frame(av1part_encoder *encoder, const AV1_COMP *cpi);

/* The search of a square begins; `encoder` NULL where it is none of ours, or the frame is of the other kind. */
void av1part_search_begin(av1part_encoder *encoder, const AV1_COMP *cpi, const MACROBLOCK *x,
                          PartitionSearchState *state);

/* The modes of a block are about to be searched, for the square that is being searched. */
void av1part_search_modes(int partition, const PICK_MODE_CONTEXT *block, int64_t best_rd);

/* Which of HORZ_A, HORZ_B, VERT_A, VERT_B are about to be searched; takes all or some away where that pays. */
void av1part_search_ab(const PartitionSearchState *state, int *ab_partitions_allowed);

/* masks.c. Take away HORZ_4 and VERT_4 where the square's mask forbids them, of those that libaom would search next. */
void av1part_mask_four_way(const AV1_COMP *cpi, const PartitionSearchState *state, int *part4_allowed);

/* The search of a square ends. */
void av1part_search_end(const PC_TREE *tree);

#endif
