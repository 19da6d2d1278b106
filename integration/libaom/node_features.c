/* The table of features, and those of a node's luma. */
#include "node_features.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "luma.h"
#include "av1part_hook.h"
#include "file.h"

#define F(name, point, text, unit) { text, unit, POINT_##point },
static const struct {
  const char *name, *unit;
  int point;
} table[] = { AV1PART_FEATURE_TABLE(F) };
#undef F

_Static_assert(FEATURE_COUNT == AV1PART_FEATURES, "av1part_hook.h says how many features a row has");

int av1part_feature(int index, const char **name, const char **unit, int *point) {
  if (index < 0 || index >= FEATURE_COUNT || !name || !unit || !point) return AV1PART_ERR_ARGUMENT;
  *name = table[index].name;
  *unit = table[index].unit;
  *point = table[index].point;
  return AV1PART_OK;
}

uint32_t av1part_feature_table(void) {
  uint32_t crc = 0;
  for (int i = 0; i < FEATURE_COUNT; ++i) {
    const char point[2] = { (char)table[i].point, AV1PART_FEATURES_VERSION };
    crc = av1part_crc32(crc, table[i].name, strlen(table[i].name) + 1);
    crc = av1part_crc32(crc, table[i].unit, strlen(table[i].unit) + 1);
    crc = av1part_crc32(crc, point, sizeof(point));
  }
  return crc;
}

/* Sums over one quarter of the node. */
typedef struct {
  double sum, squares, across, down;
} quarter_sums;

static inline int sample(const void *luma, ptrdiff_t at, int deep) {
  return deep ? ((const uint16_t *)luma)[at] : ((const uint8_t *)luma)[at];
}

static quarter_sums sum_quarter(const void *luma, int stride, int deep, int top, int left, int half, int side) {
  int64_t sum = 0, squares = 0, across = 0, down = 0;
  for (int r = top; r < top + half; ++r) {
    for (int c = left; c < left + half; ++c) {
      const ptrdiff_t at = (ptrdiff_t)r * stride + c;
      const int v = sample(luma, at, deep);
      sum += v;
      squares += (int64_t)v * v;
      if (c + 1 < side) across += abs(sample(luma, at + 1, deep) - v);
      if (r + 1 < side) down += abs(sample(luma, at + stride, deep) - v);
    }
  }
  return (quarter_sums){ (double)sum, (double)squares, (double)across, (double)down };
}

static float relative(double variance, double step) { return (float)log2(0.001 + variance / (step * step)); }

void av1part_luma_features(const void *luma, int stride, int deep, int side, double step, float *features) {
  const int half = side / 2;
  const double quarter_area = (double)half * half, area = 4 * quarter_area;
  double means[4], least = INFINITY, most = 0;
  quarter_sums whole = { 0 };
  for (int q = 0; q < 4; ++q) {
    const quarter_sums own = sum_quarter(luma, stride, deep, (q >> 1) * half, (q & 1) * half, half, side);
    means[q] = own.sum / quarter_area;
    const double variance = own.squares / quarter_area - means[q] * means[q];
    least = fmin(least, fmax(variance, 0));
    most = fmax(most, variance);
    whole.sum += own.sum;
    whole.squares += own.squares;
    whole.across += own.across;
    whole.down += own.down;
  }
  const double mean = whole.sum / area;
  double between = 0;
  for (int q = 0; q < 4; ++q) between += (means[q] - mean) * (means[q] - mean) / 4;
  features[FEATURE_VARIANCE] = relative(fmax(whole.squares / area - mean * mean, 0), step);
  features[FEATURE_QUARTER_LEAST] = relative(least, step);
  features[FEATURE_QUARTER_MOST] = relative(most, step);
  features[FEATURE_QUARTER_MEANS] = relative(between, step);
  features[FEATURE_ROWS_DIFFER] = (float)(fabs(means[0] + means[1] - means[2] - means[3]) / 2 / step);
  features[FEATURE_COLUMNS_DIFFER] = (float)(fabs(means[0] + means[2] - means[1] - means[3]) / 2 / step);
  features[FEATURE_GRADIENT_X] = (float)log2(0.001 + whole.across / area / step);
  features[FEATURE_GRADIENT_Y] = (float)log2(0.001 + whole.down / area / step);
  features[FEATURE_GRADIENT_RATIO] = features[FEATURE_GRADIENT_X] - features[FEATURE_GRADIENT_Y];
}
