/* What is known of motion and time at a square of an inter frame: the frame's place in the pyramid, the blocks of its
 * nearest reference, libaom's temporal model (TPL) and its simple motion search. toolkit/search/table.toml lists the
 * features. All is read where libaom left it: nothing is searched here. */
#include "av1/common/quant_common.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/tpl_model.h"
#include "references.h"
#include "search.h"
#include "square.h"

enum { UNKNOWN = -8, RATIO_MOST = 4, CELL = 8, EIGHTHS = 8, SIMPLE_SSE = 0, SIMPLE_EACH = 2 };
enum { STEP_SQUARED = 16 /* libaom's distortion where samples differ by 1 */ };

/* The dequantiser's step on the scale of 8-bit samples, to which libaom brings distortions of either bit depth. */
static double step_of(const AV1_COMP *cpi, int qindex) {
  const aom_bit_depth_t depth = cpi->common.seq_params->bit_depth;
  return av1_ac_quant_QTX(qindex, 0, depth) / 8.0 / (1 << (depth - AOM_BITS_8));
}

/* The same at a square: by the qindex that it began with, since its parts may have others. */
static double step_at(const av1part_square *s) { return step_of(s->cpi, (int)s->features[AV1PART_FEATURE_QINDEX]); }

static float relative(double value, double unit) { return (float)log2(0.001 + value / unit); }

/* Length of a motion vector, or of a difference of two. Not by hypot: its newest version would ask for glibc 2.35. */
static double length(double rows, double columns) { return sqrt(rows * rows + columns * columns); }

/* The same on the features' scale. */
static float log_length(double rows, double columns) { return (float)log2(1 + length(rows, columns) / EIGHTHS); }

/* ---- the frame ---- */

static int cells_of(int mi) { return (mi * MI_SIZE + CELL - 1) / CELL; }

/* Of several references that are shown equally near to the frame, the first is the nearest. */
void av1part_motion_frame(av1part_encoder *e, const AV1_COMP *cpi) {
  const AV1_COMMON *const cm = &cpi->common;
  const int rows = cells_of(cm->mi_params.mi_rows), columns = cells_of(cm->mi_params.mi_cols);
  int distance = 0;
  e->nearest = 0;
  e->frame_reference_step = 0;
  for (int reference = LAST_FRAME; reference <= ALTREF_FRAME; ++reference) {
    const RefCntBuffer *const buffer = get_ref_frame_buf(cm, reference);
    e->blocks[reference] = NULL;
    if (!buffer) continue;
    e->blocks[reference] = av1part_references_find(e->references, buffer, buffer->display_order_hint, rows, columns);
    const int own = abs((int)buffer->display_order_hint - (int)cm->current_frame.display_order_hint);
    if (e->nearest && own >= distance) continue;
    e->nearest = reference;
    const int qindex = cm->quant_params.base_qindex, its = e->blocks[reference] ? e->blocks[reference]->qindex : qindex;
    e->frame_reference_step = (float)log2(step_of(cpi, its) / step_of(cpi, qindex));
    distance = own;
  }
  e->frame_level = (float)cpi->ppi->gf_group.layer_depth[cpi->gf_frame_index];
  e->frame_distance = (float)log2(1 + distance);
}

void av1part_motion_keep(av1part_encoder *e, const AV1_COMP *cpi) {
  const CommonModeInfoParams *const mi = &cpi->common.mi_params;
  const int rows = cells_of(mi->mi_rows), columns = cells_of(mi->mi_cols), step = CELL / MI_SIZE;
  const unsigned order = cpi->common.current_frame.display_order_hint;
  av1part_blocks *const blocks = av1part_references_keep(&e->references, cpi->common.cur_frame, order, rows, columns);
  if (blocks) blocks->qindex = cpi->common.quant_params.base_qindex;
  for (int r = 0; blocks && r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      const MB_MODE_INFO *const block = mi->mi_grid_base[(ptrdiff_t)r * step * mi->mi_stride + c * step];
      const int width = mi_size_wide_log2[block->bsize] + MI_SIZE_LOG2;
      const int height = mi_size_high_log2[block->bsize] + MI_SIZE_LOG2;
      blocks->cells[(size_t)r * (size_t)columns + (size_t)c] =
          av1part_cell(width, height, block->skip_txfm, !is_inter_block(block));
    }
  }
}

/* ---- before a square's search ---- */

/* What a reference was split into under the square, moved by that, as far as the frame reaches. Sizes are relative to the
 * square. */
static av1part_under under_square(const av1part_square *s, int reference, MV motion) {
  const av1part_blocks *const blocks = s->encoder->blocks[reference];
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  if (!blocks || !s->whole || side_of(s) < CELL) return (av1part_under){ UNKNOWN, UNKNOWN, 0, 0 };
  const int cells = side_of(s) / CELL, side = level_of(side_of(s)) + MI_SIZE_LOG2;
  const int row = (place->mi_row * MI_SIZE + motion.row / EIGHTHS) / CELL;
  const int column = (place->mi_col * MI_SIZE + motion.col / EIGHTHS) / CELL;
  av1part_under under = av1part_blocks_under(blocks, clamp(row, 0, blocks->rows - cells),
                                             clamp(column, 0, blocks->columns - cells), cells);
  under.size -= (float)side;
  under.size_least -= (float)side;
  return under;
}

static void reference_features(av1part_square *s) {
  const av1part_under under = under_square(s, s->encoder->nearest, (MV){ 0, 0 });
  s->features[AV1PART_FEATURE_REFERENCE_SIZE] = under.size;
  s->features[AV1PART_FEATURE_REFERENCE_SIZE_LEAST] = under.size_least;
  s->features[AV1PART_FEATURE_REFERENCE_SKIP] = under.skip;
  s->features[AV1PART_FEATURE_REFERENCE_INTRA] = under.intra;
}

/* The temporal model of this frame, whose blocks are `1 << *log2_mi` mode-info units wide; NULL where there is none of
 * its size. */
static const TplDepFrame *temporal_model(const AV1_COMP *cpi, int *log2_mi) {
  const AV1_COMMON *const cm = &cpi->common;
  const TplParams *const tpl = &cpi->ppi->tpl_data;
  if (!av1_tpl_stats_ready(tpl, cpi->gf_frame_index) || av1_superres_scaled(cm)) return NULL;
  const TplDepFrame *const frame = &tpl->tpl_frame[cpi->gf_frame_index];
  *log2_mi = tpl->tpl_stats_block_mis_log2;
  return frame->mi_rows == cm->mi_params.mi_rows && frame->mi_cols == cm->mi_params.mi_cols ? frame : NULL;
}

/* Sums over blocks of the temporal model. */
typedef struct {
  double intra, inter, inter_least, inter_most, distortion, later;
  double rows, columns, length; /* of motion vectors, in eighths of a sample */
  int count, moved;
} tpl_sums;

static bool motion_of(const TplDepStats *block, int reference, int_mv *motion) {
  if (reference < 0 || block->ref_frame_index[0] != reference) return false;
  *motion = block->mv[reference];
  return true;
}

static void add_block(const TplDepFrame *frame, const TplDepStats *block, int reference, tpl_sums *sums) {
  int_mv motion;
  sums->inter_least = sums->count ? fmin(sums->inter_least, block->inter_cost) : block->inter_cost;
  sums->inter_most = fmax(sums->inter_most, block->inter_cost);
  sums->intra += block->intra_cost;
  sums->inter += block->inter_cost;
  sums->distortion += (double)block->recrf_dist;
  sums->later += (double)RDCOST(frame->base_rdmult, block->mc_dep_rate, block->mc_dep_dist) / (1 << RDDIV_BITS);
  ++sums->count;
  if (!motion_of(block, reference, &motion)) return;
  sums->rows += motion.as_mv.row;
  sums->columns += motion.as_mv.col;
  sums->length += length(motion.as_mv.row, motion.as_mv.col);
  ++sums->moved;
}

/* The blocks that the square touches, by row and column of the model. */
typedef struct {
  int top, left, bottom, right; /* the last two are outside */
} area;

static const TplDepStats *block_at(const TplDepFrame *frame, int row, int column) {
  return &frame->tpl_stats_ptr[(ptrdiff_t)row * frame->stride + column];
}

/* Mean distance of the motion vectors, of that reference, in the area and around it to the mean of those in it. */
static float spread_of(const TplDepFrame *frame, area in, area all, int reference, const tpl_sums *sums) {
  double distance = 0;
  int count = 0;
  int_mv motion;
  for (int r = AOMMAX(in.top - 1, 0); r < AOMMIN(in.bottom + 1, all.bottom); ++r) {
    for (int c = AOMMAX(in.left - 1, 0); c < AOMMIN(in.right + 1, all.right); ++c) {
      if (!motion_of(block_at(frame, r, c), reference, &motion)) continue;
      distance += length(motion.as_mv.row - sums->rows / sums->moved, motion.as_mv.col - sums->columns / sums->moved);
      ++count;
    }
  }
  return count ? log_length(distance / count, 0) : 0;
}

static void tpl_features(av1part_square *s) {
  int log2_mi = 0;
  const TplDepFrame *const frame = temporal_model(s->cpi, &log2_mi);
  float *const f = s->features;
  f[AV1PART_FEATURE_TPL_INTRA] = f[AV1PART_FEATURE_TPL_INTER] = f[AV1PART_FEATURE_TPL_DISTORTION] = UNKNOWN;
  if (!frame || !s->whole) return;
  const PartitionBlkParams *const place = &s->state->part_blk_params;
  const int last = side_of(s) / MI_SIZE - 1, whole = (1 << log2_mi) - 1;
  const area in = { place->mi_row >> log2_mi, place->mi_col >> log2_mi, ((place->mi_row + last) >> log2_mi) + 1,
                    ((place->mi_col + last) >> log2_mi) + 1 };
  const area all = { 0, 0, (frame->mi_rows + whole) >> log2_mi, (frame->mi_cols + whole) >> log2_mi };
  const int reference = block_at(frame, in.top, in.left)->ref_frame_index[0];
  tpl_sums sums = { 0 };
  for (int r = in.top; r < in.bottom; ++r) {
    for (int c = in.left; c < in.right; ++c) add_block(frame, block_at(frame, r, c), reference, &sums);
  }
  const double step = step_at(s), pixels = 16.0 * (1 << 2 * log2_mi) * sums.count;
  const double own_step = step * (1 << (s->cpi->common.seq_params->bit_depth - AOM_BITS_8)); /* costs keep the samples' scale */
  f[AV1PART_FEATURE_TPL_INTRA] = relative(sums.intra / pixels, own_step);
  f[AV1PART_FEATURE_TPL_INTER] = relative(sums.inter / pixels, own_step);
  f[AV1PART_FEATURE_TPL_INTER_SPREAD] = (float)log2((1 + sums.inter_most) / (1 + sums.inter_least));
  f[AV1PART_FEATURE_TPL_DISTORTION] = relative(sums.distortion / (STEP_SQUARED << TPL_DEP_COST_SCALE_LOG2) / pixels, step * step);
  f[AV1PART_FEATURE_TPL_DEPENDENCY] = (float)log2(1 + fmax(sums.later, 0) / fmax(sums.distortion, 1));
  f[AV1PART_FEATURE_TPL_MOTION] = sums.moved ? log_length(sums.length / sums.moved, 0) : 0;
  f[AV1PART_FEATURE_TPL_MOTION_SPREAD] = sums.moved ? spread_of(frame, in, all, reference, &sums) : 0;
}

void av1part_motion_begin(av1part_square *s, const SIMPLE_MOTION_DATA_TREE *sms) {
  av1part_simple *const simple = &s->simple;
  simple->whole = simple->quarters = simple->halves = -1;
  if (!sms) return;
  if (sms->sms_none_valid) simple->whole = sms->sms_none_feat[SIMPLE_SSE];
  double quarters = 0;
  for (int q = 0; q < QUARTERS && quarters >= 0; ++q) {
    const SIMPLE_MOTION_DATA_TREE *const own = sms->split[q];
    quarters = own && own->sms_none_valid ? quarters + own->sms_none_feat[SIMPLE_SSE] : -1;
  }
  simple->quarters = quarters;
  if (!sms->sms_rect_valid) return;
  const unsigned *const r = sms->sms_rect_feat; /* sse and variance of the upper, lower, left, right half */
  const double rows = (double)r[0] + r[SIMPLE_EACH], columns = (double)r[2 * SIMPLE_EACH] + r[3 * SIMPLE_EACH];
  simple->halves = fmin(rows, columns);
}

static float part_of(double part, double whole) {
  return (float)(part >= 0 && whole > 0 ? fmin(part / whole, RATIO_MOST) : RATIO_MOST);
}

static void simple_features(av1part_square *s) {
  const av1part_simple *const simple = &s->simple;
  const double step = step_at(s), pixels = (double)side_of(s) * side_of(s);
  s->features[AV1PART_FEATURE_SIMPLE_RESIDUAL] =
      simple->whole < 0 ? UNKNOWN : relative(simple->whole / pixels, step * step);
  s->features[AV1PART_FEATURE_SIMPLE_QUARTERS] = part_of(simple->quarters, simple->whole);
  s->features[AV1PART_FEATURE_SIMPLE_HALVES] = part_of(simple->halves, simple->whole);
}

void av1part_motion_node_features(av1part_square *s) {
  s->features[AV1PART_FEATURE_FRAME_LEVEL] = s->encoder->frame_level;
  s->features[AV1PART_FEATURE_FRAME_DISTANCE] = s->encoder->frame_distance;
  s->features[AV1PART_FEATURE_FRAME_REFERENCE_STEP] = s->encoder->frame_reference_step;
  reference_features(s);
  tpl_features(s);
  simple_features(s);
}

/* ---- after NONE ---- */

void av1part_motion_none_features(av1part_square *s) {
  const MB_MODE_INFO *const block = &s->none->mic;
  const bool inter = is_inter_block(block);
  s->features[AV1PART_FEATURE_NONE_INTRA] = !inter;
  s->none_reference = inter ? block->ref_frame[0] : INTRA_FRAME;
  s->none_motion.as_int = inter ? block->mv[0].as_int : 0;
  const double step = step_at(s), pixels = (double)side_of(s) * side_of(s);
  s->features[AV1PART_FEATURE_NONE_DISTORTION] =
      relative((double)s->state->this_rdc.dist / STEP_SQUARED / pixels, step * step);
  const av1part_under under = under_square(s, s->none_reference, s->none_motion.as_mv);
  s->features[AV1PART_FEATURE_NONE_REFERENCE_SIZE] = under.size;
  s->features[AV1PART_FEATURE_NONE_REFERENCE_SIZE_LEAST] = under.size_least;
  s->features[AV1PART_FEATURE_NONE_REFERENCE_SKIP] = under.skip;
  if (!inter) return;
  const MV motion = block->mv[0].as_mv;
  const av1part_square *const parent = s->parent;
  s->features[AV1PART_FEATURE_NONE_COMPOUND] = has_second_ref(block);
  s->features[AV1PART_FEATURE_NONE_NEW_MOTION] = have_newmv_in_inter_mode(block->mode);
  s->features[AV1PART_FEATURE_NONE_MOTION] = log_length(motion.row, motion.col);
  if (!parent || parent->none_reference != s->none_reference) return;
  const MV above = parent->none_motion.as_mv;
  s->features[AV1PART_FEATURE_NONE_MOTION_TO_PARENT] = log_length(motion.row - above.row, motion.col - above.col);
}
