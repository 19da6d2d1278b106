/* A pipeline at work: the masks of a frame's nodes of one size, by its networks and its policy. */
#ifndef AV1PART_PIPELINE_H_
#define AV1PART_PIPELINE_H_

#include <stdbool.h>
#include <stddef.h>

#include "av1part_hook.h"

typedef struct av1part_pipeline av1part_pipeline;

/* The luma of a frame, samples of uint16_t where it is `deep`, else of uint8_t; `stride` in samples. */
typedef struct {
  const void *luma;
  int stride, width, height, qindex;
  bool deep;
} av1part_picture;

enum { AV1PART_MOST_RANGES = 256, AV1PART_WIDEST_CONTEXT = 16 };

/* What is wrong with a description, NULL where nothing is. */
const char *av1part_pipeline_fault(const av1part_pipeline_config *config);

/* Open a pipeline of a description without fault; NULL, with the reason in `why`, where a network cannot be opened. What
 * the description points to may then go. */
av1part_pipeline *av1part_pipeline_open(const av1part_pipeline_config *config, char *why, size_t why_size);
void av1part_pipeline_free(av1part_pipeline *pipeline);

/* Index of the level whose nodes have that side. */
int av1part_level_of_side(int side);
int av1part_pipeline_level(const av1part_pipeline *pipeline);
int av1part_pipeline_bit_depth(const av1part_pipeline *pipeline);

/* Write the masks of the pipeline's nodes to the array of their level, which is 0. Nodes that the masks of larger ones
 * do not let the search reach are left out, and those cut by the frame's edge. False with the reason in `why`. May be
 * called by several threads at once. */
bool av1part_pipeline_mask(const av1part_pipeline *pipeline, const av1part_picture *picture,
                           const av1part_mask masks[AV1PART_LEVELS], char *why, size_t why_size);

#endif
