/* A pipeline at work: the masks of a frame by its networks and its policy, as integration/pipeline/ makes them. */
#ifndef AV1PART_PIPELINE_H_
#define AV1PART_PIPELINE_H_

#include <stdbool.h>
#include <stddef.h>

#include "encoder.h"
#include "pipeline_file.h"

typedef struct av1part_pipeline av1part_pipeline;

/* The luma of a frame, samples of uint16_t where it is `deep`, else of uint8_t; `stride` in samples. */
typedef struct {
  const void *luma;
  int stride, width, height, qindex;
  bool deep;
} av1part_picture;

/* Open the networks; NULL, with the reason in `why`, as av1part_model_open. The file may then go. */
av1part_pipeline *av1part_pipeline_open(const av1part_pipeline_file *file, char *why, size_t why_size);
void av1part_pipeline_free(av1part_pipeline *pipeline);

/* Index of the level whose nodes have that side. */
int av1part_level_of_side(int side);

static inline bool av1part_has_pipeline(const av1part_encoder *e) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    if (e->pipelines[l]) return true;
  }
  return false;
}

/* Write the masks of every pipeline of the encoder to those arrays, 0 for every other node. False with the reason in
 * the encoder's detail. */
bool av1part_ask_pipelines(av1part_encoder *e, const av1part_picture *picture,
                           const av1part_mask masks[AV1PART_LEVELS]);

#endif
