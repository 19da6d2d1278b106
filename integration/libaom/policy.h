/* From the stages' probabilities to the partitions that may be searched. */
#ifndef AV1PART_POLICY_H_
#define AV1PART_POLICY_H_

#include <stdbool.h>
#include <stdint.h>

enum { STAGE_1, STAGE_2, STAGE_3_RECT, STAGE_3_AB, STAGES, MOST_CLASSES = 4 };

extern const char *const av1part_stage_names[STAGES];

/* Number of classes of a stage at nodes of that side; 0 where such nodes have no such stage. 8x8 nodes have no AB. */
int av1part_stage_classes(int stage, int side);

/* As the fields of Thresholds in Python, in their order; 0 to 1. */
typedef struct {
  double none_only_above, drop_none_below, split_only_above, drop_split_below, drop_rect_below, drop_ab_below,
      drop_direction_below, drop_ab_kind_below, drop_four_way_below, flat_below;
} av1part_thresholds;

/* Probabilities, count x classes of the stage, of the nodes of these numbers; false: they could not be had. */
typedef bool (*av1part_ask)(void *who, int stage, const int *nodes, int count, double *probabilities);

/* Masks of `count` nodes of that side, of these standard deviations (shares of full scale). `stages`: bit s where the
 * cascade has stage s; each is asked only about nodes where its answer can remove something. False: out of memory, or no answer. */
bool av1part_policy_masks(const av1part_thresholds *thresholds, int side, unsigned stages, const double *deviation,
                          int count, av1part_ask ask, void *who, uint16_t *masks);

#endif
