/* The nodes of a frame, cut out, shown to the networks of a pipeline and turned into masks.
 *
 * Python does the same with numpy: integration/pipeline/pipeline.py (frame_mask), pipeline_set.py (reached), stages.py
 * (the softmax), toolkit/windows.py (the windows). Networks see as many nodes at a time as there, so that even the
 * order of their sums is the same. */
#include "pipeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aom/aom_codec.h"
#include "av1part_hook.h"
#include "onnx.h"

enum { AT_A_TIME = 1000, SPLIT_BIT = 1 << 3 };

struct av1part_pipeline {
  int node, bit_depth;
  unsigned stages; /* bit s: there is stage s */
  int contexts[STAGES];
  av1part_model *models[STAGES];
  int range_count, to_qindex[MOST_RANGES];
  av1part_thresholds thresholds[MOST_RANGES];
};

av1part_pipeline *av1part_pipeline_open(const av1part_pipeline_file *file, char *why, size_t why_size) {
  av1part_pipeline *const p = calloc(1, sizeof(*p));
  if (!p) {
    snprintf(why, why_size, "out of memory");
    return NULL;
  }
  p->node = file->node;
  p->bit_depth = file->bit_depth;
  p->range_count = file->range_count;
  memcpy(p->to_qindex, file->to_qindex, sizeof(p->to_qindex));
  memcpy(p->thresholds, file->thresholds, sizeof(p->thresholds));
  for (int s = 0; s < STAGES; ++s) {
    if (!file->stages[s].data) continue;
    p->stages |= 1u << s;
    p->contexts[s] = file->stages[s].context;
    p->models[s] = av1part_model_open(file->stages[s].data, file->stages[s].size, why, why_size);
    if (!p->models[s]) {
      av1part_pipeline_free(p);
      return NULL;
    }
  }
  return p;
}

void av1part_pipeline_free(av1part_pipeline *p) {
  for (int s = 0; p && s < STAGES; ++s) av1part_model_free(p->models[s]);
  free(p);
}

int av1part_level_of_side(int side) {
  int level = 0;
  while (AV1PART_NODE_SIZE(level) < side) ++level;
  return level;
}

/* ---- what is known of the nodes that are asked about ---- */

typedef struct {
  int row, column; /* of the node's first sample */
} place;

typedef struct {
  const av1part_pipeline *pipeline;
  const av1part_picture *picture;
  const place *places;
  float *windows, *qindexes, *logits; /* of AT_A_TIME nodes */
  char *why;
  size_t why_size;
} asked;

static int sample(const av1part_picture *f, int row, int column) {
  const ptrdiff_t at = (ptrdiff_t)row * f->stride + column;
  return f->deep ? ((const uint16_t *)f->luma)[at] : ((const uint8_t *)f->luma)[at];
}

static int inside(int at, int end) { return at < 0 ? 0 : at < end ? at : end - 1; }

/* The node and `context` samples around it; outside the frame its outermost samples are repeated. */
static void cut_window(const av1part_picture *f, place node, int context, int side, float *window) {
  for (int r = 0; r < side; ++r) {
    const int row = inside(node.row - context + r, f->height);
    for (int c = 0; c < side; ++c) *window++ = (float)sample(f, row, inside(node.column - context + c, f->width));
  }
}

/* Standard deviation of a node as a share of full scale. */
static double deviation_of(const av1part_picture *f, place node, int side, int bit_depth) {
  int64_t total = 0, squares = 0;
  for (int r = 0; r < side; ++r) {
    for (int c = 0; c < side; ++c) {
      const int64_t value = sample(f, node.row + r, node.column + c);
      total += value;
      squares += value * value;
    }
  }
  const int64_t count = (int64_t)side * side;
  return sqrt((double)(count * squares - total * total)) / (double)(count * ((1 << bit_depth) - 1));
}

/* False where the logits are no finite numbers. */
static bool softmax(const float *logits, int classes, double *probabilities) {
  double greatest = logits[0], sum = 0;
  for (int k = 0; k < classes; ++k) {
    if (!isfinite(logits[k])) return false;
    if (logits[k] > greatest) greatest = logits[k];
  }
  for (int k = 0; k < classes; ++k) sum += probabilities[k] = exp(logits[k] - greatest);
  for (int k = 0; k < classes; ++k) probabilities[k] /= sum;
  return true;
}

static bool ask(void *who, int stage, const int *nodes, int count, double *probabilities) {
  const asked *const a = who;
  const av1part_pipeline *const p = a->pipeline;
  const int context = p->contexts[stage], side = p->node + 2 * context;
  const int classes = av1part_stage_classes(stage, p->node);
  for (int start = 0; start < count; start += AT_A_TIME) {
    const int own = count - start < AT_A_TIME ? count - start : AT_A_TIME;
    for (int i = 0; i < own; ++i) {
      cut_window(a->picture, a->places[nodes[start + i]], context, side, a->windows + (size_t)i * side * side);
      a->qindexes[i] = (float)a->picture->qindex;
    }
    if (!av1part_model_run(p->models[stage], a->windows, side, a->qindexes, own, a->logits, classes, a->why,
                           a->why_size)) {
      return false;
    }
    for (int i = 0; i < own; ++i) {
      if (!softmax(a->logits + i * classes, classes, probabilities + (size_t)(start + i) * classes)) {
        snprintf(a->why, a->why_size, "a network gave logits that are no finite numbers");
        return false;
      }
    }
  }
  return true;
}

/* ---- the masks of a frame ---- */

static const av1part_thresholds *thresholds_at(const av1part_pipeline *p, int qindex) {
  int i = 0;
  while (i < p->range_count - 1 && qindex > p->to_qindex[i]) ++i;
  return &p->thresholds[i];
}

/* Whether the masks of all levels above this one let the search reach this sample. */
static bool reached(const av1part_mask masks[AV1PART_LEVELS], int level, place node) {
  for (int l = level + 1; l < AV1PART_LEVELS; ++l) {
    const int side = AV1PART_NODE_SIZE(l);
    const unsigned mask = masks[l].allowed[node.row / side * masks[l].columns + node.column / side];
    if (mask && !(mask & SPLIT_BIT)) return false;
  }
  return true;
}

/* Decide about `count` nodes; their masks go to `masks`. */
static bool decide(asked *a, const place *places, int count, double *deviations, uint16_t *masks) {
  const av1part_pipeline *const p = a->pipeline;
  const size_t batch = (size_t)(count < AT_A_TIME ? count : AT_A_TIME);
  int context = 0;
  for (int s = 0; s < STAGES; ++s) context = p->contexts[s] > context ? p->contexts[s] : context;
  const size_t side = (size_t)(p->node + 2 * context);
  float *const room = malloc(batch * (side * side + 1 + MOST_CLASSES) * sizeof(*room));
  if (!room) return false;
  a->windows = room;
  a->qindexes = a->windows + batch * side * side;
  a->logits = a->qindexes + batch;
  a->places = places;
  for (int i = 0; i < count; ++i) deviations[i] = deviation_of(a->picture, places[i], p->node, p->bit_depth);
  const av1part_thresholds *const thresholds = thresholds_at(p, a->picture->qindex);
  const bool good = av1part_policy_masks(thresholds, p->node, p->stages, deviations, count, ask, a, masks);
  free(room);
  return good;
}

static bool mask_level(const av1part_pipeline *p, const av1part_picture *f, const av1part_mask masks_of[AV1PART_LEVELS],
                       char *why, size_t why_size) {
  const int level = av1part_level_of_side(p->node);
  const av1part_mask *const target = &masks_of[level];
  const int rows = f->height / p->node, columns = f->width / p->node;
  const size_t most = (size_t)rows * (size_t)columns + 1; /* never nothing */
  place *const places = malloc(most * sizeof(*places));
  double *const deviations = malloc(most * sizeof(*deviations));
  uint16_t *const masks = malloc(most * sizeof(*masks));
  bool good = places && deviations && masks;
  why[0] = 0;
  int count = 0;
  for (int i = 0; good && i < rows * columns; ++i) { /* whole nodes alone */
    places[count] = (place){ i / columns * p->node, i % columns * p->node };
    if (reached(masks_of, level, places[count])) ++count;
  }
  asked a = { .pipeline = p, .picture = f, .why = why, .why_size = why_size };
  good = good && (!count || decide(&a, places, count, deviations, masks));
  for (int i = 0; good && i < count; ++i) {
    target->allowed[places[i].row / p->node * target->columns + places[i].column / p->node] = masks[i];
  }
  if (!good && !*why) snprintf(why, why_size, "out of memory"); /* what else fails says so */
  free(places);
  free(deviations);
  free(masks);
  return good;
}

bool av1part_ask_pipelines(av1part_encoder *e, const av1part_picture *picture,
                           const av1part_mask masks[AV1PART_LEVELS]) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    memset(masks[l].allowed, 0, (size_t)masks[l].rows * (size_t)masks[l].columns * sizeof(*masks[l].allowed));
  }
  for (int l = AV1PART_LEVELS - 1; l >= 0; --l) {
    const av1part_pipeline *const p = e->pipelines[l];
    if (p && !mask_level(p, picture, masks, e->detail, sizeof(e->detail))) return false;
  }
  return true;
}

/* ---- the C interface ---- */

/* Whether the encoder codes what the pipeline was made for; else the detail says what that is. */
static bool made_for(av1part_encoder *e, const av1part_pipeline_file *file) {
  const av1part_config *const c = &e->config;
  if (c->bit_depth == file->bit_depth && c->all_intra == file->all_intra && c->cpu_used == file->cpu_used &&
      c->four_way == file->four_way) {
    return true;
  }
  snprintf(e->detail, sizeof(e->detail), "the pipeline serves bit_depth %d, all_intra %d, cpu_used %d, four_way %d",
           file->bit_depth, file->all_intra, file->cpu_used, file->four_way);
  return false;
}

int av1part_load_pipeline(av1part_encoder *e, const char *folder) {
  if (!e || !folder) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the pipeline was changed during an encode");
  const int searches = av1part_check_search(e);
  if (searches != AV1PART_OK) return searches;
  av1part_pipeline_file *const file = malloc(sizeof(*file));
  if (!file) return av1part_fail(e, AV1PART_ERR_MEMORY, "the pipeline's file");
  av1part_pipeline *opened = NULL;
  if (av1part_pipeline_file_read(folder, file, e->detail, sizeof(e->detail))) {
    if (made_for(e, file)) opened = av1part_pipeline_open(file, e->detail, sizeof(e->detail));
    av1part_pipeline_file_free(file);
  }
  const int level = opened ? av1part_level_of_side(file->node) : 0;
  const bool has_pruner = file->has_pruner;
  free(file);
  if (!opened) return AV1PART_ERR_PIPELINE;
  char inside[4096];
  const int status = has_pruner ? av1part_load_pruner(e, av1part_pruner_inside(folder, inside, sizeof(inside))) : AV1PART_OK;
  if (status != AV1PART_OK) {
    av1part_pipeline_free(opened);
    return status;
  }
  av1part_pipeline_free(e->pipelines[level]);
  e->pipelines[level] = opened;
  return AV1PART_OK;
}

int av1part_pipeline_masks(av1part_encoder *e, const av1part_source *source, const av1part_mask masks[AV1PART_LEVELS]) {
  if (!e || !source || !source->luma || !masks) return AV1PART_ERR_ARGUMENT;
  if (!av1part_has_pipeline(e)) return av1part_fail(e, AV1PART_ERR_STATE, "no pipeline was loaded");
  if (source->bit_depth != e->config.bit_depth || source->qindex < 0 || source->qindex > 255) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "source: expected the encoder's bit depth, and a qindex of 0 to 255");
  }
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const int side = AV1PART_NODE_SIZE(l);
    const int rows = (source->height + side - 1) / side, columns = (source->width + side - 1) / side;
    if (!masks[l].allowed || masks[l].rows != rows || masks[l].columns != columns) {
      return av1part_fail(e, AV1PART_ERR_MASK, "the masks' rows and columns are not the source's");
    }
  }
  const av1part_picture picture = { source->luma, source->stride, source->width, source->height, source->qindex,
                                    source->bit_depth > 8 };
  return av1part_ask_pipelines(e, &picture, masks) ? AV1PART_OK : AV1PART_ERR_PIPELINE;
}
