/* The table of features, and those of a node's luma. */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "luma.h"
#include "av1part_hook.h"
#include "file.h"
#include "wide.h"

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

/* Sums of the luma of a quarter of `half` samples a side, the first of them at `luma`: samples, their squares, and how
 * much they differ from the next across and down. The last column has a next one only where `right` says so, the last
 * row where `below`. The sums of at most 64x64 samples of 8 bit fit 32 bits. */
#define SUM_QUARTER(sample_type, sum_type)                                                             \
  const sample_type *row = luma;                                                                       \
  sum_type sum = 0, squares = 0, across = 0, down = 0;                                                 \
  for (int r = 0; r < half; ++r, row += stride) {                                                      \
    for (int c = 0; c < half; ++c) {                                                                   \
      sum += row[c];                                                                                   \
      squares += (sum_type)row[c] * row[c];                                                            \
    }                                                                                                  \
    for (int c = 0; c < half - !right; ++c) across += (sum_type)abs(row[c + 1] - row[c]);              \
    if (r + 1 == half && !below) continue;                                                             \
    for (int c = 0; c < half; ++c) down += (sum_type)abs(row[c + stride] - row[c]);                    \
  }                                                                                                    \
  return (quarter_sums){ (double)sum, (double)squares, (double)across, (double)down }

AV1PART_BOTH quarter_sums sum_bytes(const uint8_t *luma, ptrdiff_t stride, int half, bool right, bool below) {
  SUM_QUARTER(uint8_t, uint32_t);
}

AV1PART_WIDE static quarter_sums sum_wide(const uint8_t *luma, ptrdiff_t stride, int half, bool right, bool below) {
  return sum_bytes(luma, stride, half, right, below);
}

static quarter_sums sum_narrow(const uint8_t *luma, ptrdiff_t stride, int half, bool right, bool below) {
  return sum_bytes(luma, stride, half, right, below);
}

static quarter_sums sum_words(const uint16_t *luma, ptrdiff_t stride, int half, bool right, bool below) {
  SUM_QUARTER(uint16_t, uint64_t);
}

/* Quarter q of a square: 0 and 1 are its top, 0 and 2 its left. */
static quarter_sums sum_quarter(const void *luma, ptrdiff_t stride, int deep, int half, int q) {
  const bool right = !(q & 1), below = q < 2;
  const ptrdiff_t start = (q >> 1) * half * stride + (q & 1) * half;
  if (deep) return sum_words((const uint16_t *)luma + start, stride, half, right, below);
  return (AV1PART_HAS_WIDE ? sum_wide : sum_narrow)((const uint8_t *)luma + start, stride, half, right, below);
}

static float relative(double variance, double step) { return (float)log2(0.001 + variance / (step * step)); }

void av1part_luma_features(const void *luma, int stride, int deep, int side, double step, float *features) {
  const int half = side / 2;
  const double quarter_area = (double)half * half, area = 4 * quarter_area;
  double means[4], least = INFINITY, most = 0;
  quarter_sums whole = { 0 };
  for (int q = 0; q < 4; ++q) {
    const quarter_sums own = sum_quarter(luma, stride, deep, half, q);
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
