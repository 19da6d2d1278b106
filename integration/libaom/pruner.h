/* A pruner: for each decision and node size, two sums of trees or one small network. They predict the log of the expected
 * loss when the rest is skipped, and the log of the expected time that this saves. */
#ifndef AV1PART_PRUNER_H_
#define AV1PART_PRUNER_H_

#include <stdbool.h>
#include <stddef.h>

#include "av1part_hook.h"

typedef struct av1part_pruner av1part_pruner;

/* Copy and check a pruner's bytes (toolkit/pruners/pruner.py writes them). NULL where they are not sound, with
 * the reason in `why`. */
av1part_pruner *av1part_pruner_load(const void *data, size_t size, const char **why);
void av1part_pruner_free(av1part_pruner *pruner);

/* Those of a square's features that are known in intra frames too: AV1PART_INTRA_FEATURES of them (node_features.c). */
void av1part_intra_features(const float *features, float *own);

/* Features that the pruner knows: AV1PART_FEATURES, or AV1PART_INTRA_FEATURES, by which all pruners of intra frames are
 * made and those of inter frames were at first. */
int av1part_pruner_features(const av1part_pruner *pruner);

/* Whether the pruner has predictions for that size and decision. */
bool av1part_pruner_decides(const av1part_pruner *pruner, int side, int decision);

/* The two predictions from the features that the pruner knows; false where the pruner has none for that size and decision. */
bool av1part_pruner_predict(const av1part_pruner *pruner, int side, int decision, const float *features, double *loss,
                            double *time);

#endif
