/* What masks do to the search of a node. `encoder` is the one that the instance belongs to, NULL where it is none of
 * ours; nothing is done where its masks do not hold (mask_active). */
#ifndef AV1PART_MASKS_H_
#define AV1PART_MASKS_H_

#include "av1/encoder/encodeframe_utils.h"
#include "encoder.h"
#include "search.h"
#include "masker.h"

/* The luma that libaom codes; false where it is scaled. */
bool av1part_picture_of(const AV1_COMP *cpi, av1part_picture *picture);

/* Free what av1part_load_pipeline took. */
void av1part_masks_close(av1part_encoder *encoder);

/* Fill the encoder's masks by its pipelines; false with the reason in its detail. */
bool av1part_mask_by_pipelines(av1part_encoder *encoder, const AV1_COMP *cpi);

/* The search of a square begins: take away from it what the masks forbid. */
void av1part_mask_begin(av1part_encoder *encoder, const AV1_COMP *cpi, MACROBLOCK *x, PartitionSearchState *state);

/* The ABs are about to be searched, and then the 4-way partitions. */
void av1part_mask_ab(av1part_encoder *encoder, const AV1_COMP *cpi, const MACROBLOCK *x, PartitionSearchState *state,
                     int *ab_partitions_allowed);

#endif
