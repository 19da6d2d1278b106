/* The table of features, and those of a node's luma. */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "luma.h"
#include "av1part_hook.h"
#include "file.h"

static const struct {
  const char *name, *unit;
  int point;
  bool inter; /* known in inter frames alone */
} table[] = AV1PART_FEATURE_TABLE;

int av1part_feature(int inter, int index, const char **name, const char **unit, int *point) {
  if (index < 0 || !name || !unit || !point) return AV1PART_ERR_ARGUMENT;
  for (int i = 0; i < AV1PART_FEATURES; ++i) {
    if ((table[i].inter && !inter) || index--) continue;
    *name = table[i].name;
    *unit = table[i].unit;
    *point = table[i].point;
    return AV1PART_OK;
  }
  return AV1PART_ERR_ARGUMENT;
}

void av1part_intra_features(const float *features, float *own) {
  for (int i = 0; i < AV1PART_FEATURES; ++i) {
    if (!table[i].inter) *own++ = features[i];
  }
}

uint32_t av1part_feature_table(int inter) {
  uint32_t crc = 0;
  for (int i = 0; i < AV1PART_FEATURES; ++i) {
    if (table[i].inter && !inter) continue;
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
  features[AV1PART_FEATURE_VARIANCE] = relative(fmax(whole.squares / area - mean * mean, 0), step);
  features[AV1PART_FEATURE_QUARTER_VARIANCE_LEAST] = relative(least, step);
  features[AV1PART_FEATURE_QUARTER_VARIANCE_MOST] = relative(most, step);
  features[AV1PART_FEATURE_QUARTER_MEANS_VARIANCE] = relative(between, step);
  features[AV1PART_FEATURE_HALVES_DIFFER_TOP_BOTTOM] =
      (float)(fabs(means[0] + means[1] - means[2] - means[3]) / 2 / step);
  features[AV1PART_FEATURE_HALVES_DIFFER_LEFT_RIGHT] =
      (float)(fabs(means[0] + means[2] - means[1] - means[3]) / 2 / step);
  features[AV1PART_FEATURE_GRADIENT_HORIZONTAL] = (float)log2(0.001 + whole.across / area / step);
  features[AV1PART_FEATURE_GRADIENT_VERTICAL] = (float)log2(0.001 + whole.down / area / step);
  features[AV1PART_FEATURE_GRADIENT_RATIO] =
      features[AV1PART_FEATURE_GRADIENT_HORIZONTAL] - features[AV1PART_FEATURE_GRADIENT_VERTICAL];
}
