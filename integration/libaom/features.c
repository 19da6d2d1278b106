/* Features of a square at each point of its search (toolkit/search/table.toml lists them), and of the frame around it.
 *
 * In inter frames libaom's motion searches move its pointers to source, neighbours and modes, so that features are read
 * from the frame itself. */
#include "av1/common/quant_common.h"
#include "av1/encoder/encodeframe.h"
#include "av1/encoder/rd.h"
#include "luma.h"
#include "square.h"

/* ---- the frame ---- */

/* The dequantiser's step is 8 times that on the samples' scale for transforms of size 8x8, as rd.c takes it. */
static double step_of(const AV1_COMP *cpi, int qindex) {
  return av1_ac_quant_QTX(qindex, 0, cpi->common.seq_params->bit_depth) / 8.0;
}

/* Luma features of the square at this sample of the source. */
static void luma_features(const AV1_COMP *cpi, int row, int column, int side, double step, float *features) {
  const YV12_BUFFER_CONFIG *const source = cpi->source;
  const bool deep = (source->flags & YV12_FLAG_HIGHBITDEPTH) != 0;
  const uint8_t *const start = source->y_buffer + (ptrdiff_t)row * source->y_stride + column;
  const void *const luma = deep ? (const void *)CONVERT_TO_SHORTPTR(start) : (const void *)start;
  av1part_luma_features(luma, source->y_stride, deep, side, step, features);
}

/* How plain the picture is: loss counts in the picture's own average pixels, so what a square may lose depends on what
 * the rest of the picture is like. The mean gradient tells most of the bits that a picture takes. In a frame that holds
 * no 64x64 square, smaller ones. */
void av1part_frame_features(av1part_encoder *e, const AV1_COMP *cpi) {
  const int width = cpi->common.width, height = cpi->common.height;
  const double step = step_of(cpi, cpi->common.quant_params.base_qindex);
  float own[AV1PART_FEATURES];
  double gradient = 0, least = 0;
  int side = 64, count = 0;
  while (side > 8 && (side > width || side > height)) side /= 2;
  for (int row = 0; row + side <= height; row += side) {
    for (int column = 0; column + side <= width; column += side, ++count) {
      luma_features(cpi, row, column, side, step, own);
      gradient += exp2(own[AV1PART_FEATURE_GRADIENT_HORIZONTAL]) / 2 + exp2(own[AV1PART_FEATURE_GRADIENT_VERTICAL]) / 2;
      least += own[AV1PART_FEATURE_QUARTER_VARIANCE_LEAST];
    }
  }
  e->frame_gradient = (float)log2(0.001 + (count ? gradient / count : 0));
  e->frame_quarter_least = (float)(count ? least / count : 0);
}

/* ---- the points of a square's search ---- */

enum { RATIO_MOST = 4 };

static float ratio(double value, double to) {
  if (!(to > 0) || !isfinite(value)) return RATIO_MOST;
  return (float)fmin(value / to, RATIO_MOST);
}

static float per_pixel(const av1part_square *s, double bits) {
  return (float)log2(0.001 + fmax(bits, 0) / ((double)side_of(s) * side_of(s)));
}

static double best_of(const av1part_square *s, int first, int last, int *which) {
  double best = INFINITY;
  for (int k = first; k <= last; ++k) {
    if (s->bits[k] < best) {
      best = s->bits[k];
      *which = k;
    }
  }
  return best;
}

/* The block at a place of the frame that is coded already, NULL outside the tile. */
static const MB_MODE_INFO *coded_block(const av1part_square *s, int mi_row, int mi_col) {
  const CommonModeInfoParams *const mi = &s->cpi->common.mi_params;
  const TileInfo *const tile = &s->x->e_mbd.tile;
  if (mi_row < tile->mi_row_start || mi_col < tile->mi_col_start) return NULL;
  return mi->mi_grid_base[(ptrdiff_t)mi_row * mi->mi_stride + mi_col];
}

static void neighbour_features(av1part_square *s, const MB_MODE_INFO *block, int width, int height) {
  const double side = log2(side_of(s));
  s->features[width] = block ? (float)(log2(block_size_wide[block->bsize]) - side) : -8;
  s->features[height] = block ? (float)(log2(block_size_high[block->bsize]) - side) : -8;
}

float av1part_symbol_bits(const av1part_square *s, int partition) {
  const int cost = s->state->partition_cost[partition];
  return (float)fmin((double)cost / (1 << AV1_PROB_COST_SHIFT), 64);
}

double av1part_split_so_far(const av1part_square *s) {
  double bits = av1part_symbol_bits(s, PARTITION_SPLIT);
  for (int q = 0; q < s->quarters; ++q) bits += s->quarter[q];
  return bits;
}

void av1part_node_features(av1part_square *s) {
  if (s->node_known) return;
  s->node_known = true;
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  const double step = step_of(s->cpi, (int)s->features[AV1PART_FEATURE_QINDEX]);
  const av1part_square *const parent = s->parent;
  luma_features(s->cpi, place->mi_row * MI_SIZE, place->mi_col * MI_SIZE, side_of(s), step, s->features);
  neighbour_features(s, coded_block(s, place->mi_row - 1, place->mi_col), AV1PART_FEATURE_ABOVE_WIDTH,
                     AV1PART_FEATURE_ABOVE_HEIGHT);
  neighbour_features(s, coded_block(s, place->mi_row, place->mi_col - 1), AV1PART_FEATURE_LEFT_WIDTH,
                     AV1PART_FEATURE_LEFT_HEIGHT);
  s->features[AV1PART_FEATURE_SYMBOL_NONE] = av1part_symbol_bits(s, PARTITION_NONE);
  s->features[AV1PART_FEATURE_SYMBOL_SPLIT] = av1part_symbol_bits(s, PARTITION_SPLIT);
  s->features[AV1PART_FEATURE_SYMBOL_HORZ] = av1part_symbol_bits(s, PARTITION_HORZ);
  s->features[AV1PART_FEATURE_SYMBOL_VERT] = av1part_symbol_bits(s, PARTITION_VERT);
  const bool known = parent && isfinite(parent->bits[PARTITION_NONE]);
  s->features[AV1PART_FEATURE_PARENT_NONE] = known ? per_pixel(parent, parent->bits[PARTITION_NONE]) : -8;
  s->features[AV1PART_FEATURE_QUARTER] = (float)(parent ? parent->quarters : 0);
  s->features[AV1PART_FEATURE_SIBLINGS_TO_PARENT_NONE] =
      known && parent->quarters ? ratio(av1part_split_so_far(parent), parent->bits[PARTITION_NONE]) : 0;
  s->features[AV1PART_FEATURE_FRAME_GRADIENT] = s->encoder->frame_gradient;
  s->features[AV1PART_FEATURE_FRAME_QUARTER_VARIANCE_LEAST] = s->encoder->frame_quarter_least;
  if (s->encoder->knows_motion) av1part_motion_node_features(s);
}

void av1part_none_features(av1part_square *s) {
  const MB_MODE_INFO *const block = &s->none->mic;
  const RD_STATS *const found = &s->state->this_rdc;
  const double cost = s->bits[PARTITION_NONE], rate = (double)found->rate / (1 << AV1_PROB_COST_SHIFT);
  const av1part_square *const parent = s->parent;
  const double above = parent ? parent->bits[PARTITION_NONE] / QUARTERS : NAN;
  s->features[AV1PART_FEATURE_NONE_COST] = per_pixel(s, cost);
  s->features[AV1PART_FEATURE_NONE_RATE] = per_pixel(s, rate);
  s->features[AV1PART_FEATURE_NONE_RATE_SHARE] = (float)(cost > 0 ? fmin(rate / cost, 1) : 0);
  s->features[AV1PART_FEATURE_NONE_TO_LIMIT] = isfinite(s->limit) ? ratio(cost, s->limit) : 0;
  s->features[AV1PART_FEATURE_NONE_TO_PARENT] = isfinite(above) ? ratio(cost, above) : 0;
  s->features[AV1PART_FEATURE_NONE_MODE] = block->mode;
  s->features[AV1PART_FEATURE_NONE_CHROMA_FROM_LUMA] = block->uv_mode == UV_CFL_PRED;
  s->features[AV1PART_FEATURE_NONE_TRANSFORM] = (float)(log2(tx_size_wide[block->tx_size]) - log2(side_of(s)));
  s->features[AV1PART_FEATURE_NONE_SKIP] = s->none->skippable != 0;
  s->features[AV1PART_FEATURE_NONE_TOOLS] =
      block->palette_mode_info.palette_size[0] ? 2 : (float)(block->filter_intra_mode_info.use_filter_intra != 0);
  if (s->encoder->knows_motion) av1part_motion_none_features(s);
}

void av1part_split_features(av1part_square *s) {
  double total = 0, most = 0, least = INFINITY, nones = 0;
  int whole = 0, again = 0;
  for (int q = 0; q < s->quarters; ++q) {
    total += s->quarter[q];
    most = fmax(most, s->quarter[q]);
    least = fmin(least, s->quarter[q]);
    nones += isnan(s->quarter_none[q]) ? s->quarter[q] : s->quarter_none[q];
    whole += s->kinds[q] == PARTITION_NONE;
    again += s->kinds[q] == PARTITION_SPLIT;
  }
  const double none = s->bits[PARTITION_NONE];
  int which;
  const bool all = s->quarters == QUARTERS && total > 0;
  s->features[AV1PART_FEATURE_SPLIT_TO_NONE] =
      s->quarters ? ratio(total + av1part_symbol_bits(s, PARTITION_SPLIT), none) : (float)RATIO_MOST;
  s->features[AV1PART_FEATURE_SPLIT_QUARTERS_DONE] = (float)s->quarters;
  s->features[AV1PART_FEATURE_SPLIT_NONES_TO_NONE] = s->quarters ? ratio(nones, none) : (float)RATIO_MOST;
  s->features[AV1PART_FEATURE_SPLIT_LARGEST_SHARE] = (float)(total > 0 ? most / total : 0);
  s->features[AV1PART_FEATURE_SPLIT_SMALLEST_SHARE] = (float)(all ? least / total : 0);
  s->features[AV1PART_FEATURE_SPLIT_TOP_SHARE] = (float)(all ? (s->quarter[0] + s->quarter[1]) / total : 0.5);
  s->features[AV1PART_FEATURE_SPLIT_LEFT_SHARE] = (float)(all ? (s->quarter[0] + s->quarter[2]) / total : 0.5);
  s->features[AV1PART_FEATURE_SPLIT_QUARTERS_NONE] = (float)whole;
  s->features[AV1PART_FEATURE_SPLIT_QUARTERS_SPLIT] = (float)again;
  s->features[AV1PART_FEATURE_BEST_TO_LIMIT] =
      isfinite(s->limit) ? ratio(best_of(s, PARTITION_NONE, PARTITION_SPLIT, &which), s->limit) : 0;
}

void av1part_rectangle_features(av1part_square *s) {
  int which = PARTITION_NONE;
  const double best = best_of(s, PARTITION_NONE, PARTITION_SPLIT, &which);
  const int64_t *const horz = s->state->rect_part_rd[HORZ], *const vert = s->state->rect_part_rd[VERT];
  s->features[AV1PART_FEATURE_HORZ_TO_BEST] = ratio(s->bits[PARTITION_HORZ], best);
  s->features[AV1PART_FEATURE_VERT_TO_BEST] = ratio(s->bits[PARTITION_VERT], best);
  s->features[AV1PART_FEATURE_NONE_TO_BEST] = ratio(s->bits[PARTITION_NONE], best);
  s->features[AV1PART_FEATURE_SPLIT_TO_BEST] = ratio(s->bits[PARTITION_SPLIT], best);
  s->features[AV1PART_FEATURE_HORZ_FIRST_TO_BEST] = ratio(horz[0] > 0 ? to_bits(s, horz[0]) : INFINITY, best);
  s->features[AV1PART_FEATURE_VERT_FIRST_TO_BEST] = ratio(vert[0] > 0 ? to_bits(s, vert[0]) : INFINITY, best);
  s->features[AV1PART_FEATURE_BEST_PARTITION] = (float)which;
}

void av1part_ab_features(av1part_square *s, int best_partition, int64_t best_rdcost) {
  int which = PARTITION_NONE;
  const double before = best_of(s, PARTITION_NONE, PARTITION_SPLIT, &which);
  s->features[AV1PART_FEATURE_BEST_WITH_AB_TO_BEST] = ratio(to_bits(s, best_rdcost), before);
  s->features[AV1PART_FEATURE_BEST_PARTITION_WITH_AB] = (float)best_partition;
}
