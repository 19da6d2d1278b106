/* The nodes of a frame, cut out, shown to the networks of a pipeline and turned into masks.
 *
 * The tests have the same in NumPy (tests/support/masks.py). Networks see as many nodes at a time as there, so that even
 * the order of their sums is the same. */
#include "pipeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx.h"
#include "policy.h"

enum { AT_A_TIME = 1000, SPLIT_BIT = 1 << 3, TOP_QINDEX = 255 };
_Static_assert(sizeof(av1part_thresholds) == AV1PART_THRESHOLDS * sizeof(double), "thresholds are doubles alone");
_Static_assert((int)STAGES == (int)AV1PART_NETWORKS, "a network for each stage");

struct av1part_pipeline {
  int node, bit_depth;
  unsigned stages; /* bit s: there is stage s */
  int contexts[STAGES];
  av1part_model *models[STAGES]; /* NULL: `ask` knows the answers */
  av1part_ask_callback ask;
  void *user;
  int range_count, to_qindex[AV1PART_MOST_RANGES];
  av1part_thresholds thresholds[AV1PART_MOST_RANGES];
};

int av1part_level_of_side(int side) {
  int level = 0;
  while (AV1PART_NODE_SIZE(level) < side) ++level;
  return level;
}

int av1part_pipeline_level(const av1part_pipeline *p) { return av1part_level_of_side(p->node); }

int av1part_pipeline_bit_depth(const av1part_pipeline *p) { return p->bit_depth; }

/* ---- its description ---- */

/* Whether the ranges rise to the greatest qindex, and every threshold is a probability. */
static bool policy_is_sound(const av1part_pipeline_config *c) {
  if (!c->to_qindex || !c->thresholds || c->ranges < 1 || c->ranges > AV1PART_MOST_RANGES) return false;
  for (int i = 0; i < c->ranges; ++i) {
    if (c->to_qindex[i] <= (i ? c->to_qindex[i - 1] : -1)) return false;
    for (int t = 0; t < AV1PART_THRESHOLDS; ++t) {
      const double value = c->thresholds[i * AV1PART_THRESHOLDS + t];
      if (!(value >= 0 && value <= 1)) return false;
    }
  }
  return c->to_qindex[c->ranges - 1] == TOP_QINDEX;
}

const char *av1part_pipeline_fault(const av1part_pipeline_config *c) {
  bool known = false;
  for (int l = 0; l < AV1PART_LEVELS; ++l) known = known || c->node_size == AV1PART_NODE_SIZE(l);
  if (!known) return "node_size: expected 8, 16, 32, 64 or 128";
  if (c->bit_depth < 8 || c->bit_depth > 16) return "bit_depth: expected 8 to 16";
  if (c->threads < 0) return "threads: expected 0 or more";
  if (!policy_is_sound(c)) return "policy: expected thresholds of 0 to 1, in ranges of qindex that rise to 255";
  if (!c->networks[STAGE_2].present) return "networks: expected one for Stage 2";
  for (int s = 0; s < STAGES; ++s) {
    const av1part_network *const n = &c->networks[s];
    if (!n->present) continue;
    if (!av1part_stage_classes(s, c->node_size)) return "networks: nodes of 8x8 have no AB";
    if (n->context < 0 || n->context > AV1PART_WIDEST_CONTEXT) return "networks: expected a context of 0 to 16";
  }
  return NULL;
}

av1part_pipeline *av1part_pipeline_open(const av1part_pipeline_config *c, char *why, size_t why_size) {
  av1part_pipeline *const p = calloc(1, sizeof(*p));
  if (!p) {
    snprintf(why, why_size, "out of memory");
    return NULL;
  }
  p->node = c->node_size;
  p->bit_depth = c->bit_depth;
  p->ask = c->ask;
  p->user = c->user;
  p->range_count = c->ranges;
  for (int i = 0; i < c->ranges; ++i) p->to_qindex[i] = c->to_qindex[i];
  memcpy(p->thresholds, c->thresholds, (size_t)c->ranges * sizeof(*p->thresholds));
  for (int s = 0; s < STAGES; ++s) {
    if (!c->networks[s].present) continue;
    p->stages |= 1u << s;
    p->contexts[s] = c->networks[s].context;
    if (!c->networks[s].graph && c->ask) continue;
    p->models[s] = av1part_model_open(c->networks[s].graph, c->networks[s].size, c->threads, c->runtime, why, why_size);
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

/* Logits of `count` windows, by the network that was opened or by the callback. */
static bool run(const asked *a, int stage, int side, int count, int classes) {
  const av1part_pipeline *const p = a->pipeline;
  if (p->models[stage]) {
    return av1part_model_run(p->models[stage], a->windows, side, a->qindexes, count, a->logits, classes, a->why,
                             a->why_size);
  }
  if (p->ask(p->user, stage, a->windows, a->qindexes, count, a->logits) == 0) return true;
  snprintf(a->why, a->why_size, "the callback gave no logits of Stage %s", av1part_stage_names[stage]);
  return false;
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
    if (!run(a, stage, side, own, classes)) return false;
    for (int i = 0; i < own; ++i) {
      if (!softmax(a->logits + i * classes, classes, probabilities + (size_t)(start + i) * classes)) {
        snprintf(a->why, a->why_size, "Stage %s gave logits that are no finite numbers. Export and prove it again",
                 av1part_stage_names[stage]);
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

bool av1part_pipeline_mask(const av1part_pipeline *p, const av1part_picture *f,
                           const av1part_mask masks_of[AV1PART_LEVELS], char *why, size_t why_size) {
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
