/* Pipelines for nodes of different sizes, asked about a frame together: what av1part_masker stands for. */
#ifndef AV1PART_MASKER_H_
#define AV1PART_MASKER_H_

#include "pipeline.h"

/* Hand over a pipeline, which takes the place of one for nodes of the same size. */
void av1part_masker_put(av1part_masker *masker, av1part_pipeline *pipeline);

/* Write the masks of every pipeline to those arrays, 0 for every other node. False with the reason in `why`. */
bool av1part_masker_ask(const av1part_masker *masker, const av1part_picture *picture,
                        const av1part_mask masks[AV1PART_LEVELS], char *why, size_t why_size);

#endif
