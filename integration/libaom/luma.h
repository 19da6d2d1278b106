/* The features of a node's luma. */
#ifndef AV1PART_LUMA_H_
#define AV1PART_LUMA_H_

#include <stdint.h>
#include <stdlib.h>

/* Fill the features of a square of `side` samples (8 or more, even). `deep`: uint16_t samples, else uint8_t; `stride`
 * in samples; `step` the quantiser's step on the samples' own scale. */
void av1part_luma_features(const void *luma, int stride, int deep, int side, double step, float *features);

#endif
