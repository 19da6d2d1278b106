/* Reading a pruner and asking it. Little-endian, as every machine is that this is built for.
 *
 * Layout: magic "AV1PPRN1", uint32 features, uint32 parts. Per forest: uint32 side, decision, kind (0 loss, 1 time),
 * trees, nodes, leaves, double start; for each tree uint32 its root and uint32 its first leaf; per node float threshold,
 * int16 feature (-1: a leaf), uint16 next; a double a leaf. A row goes to the node behind where its feature is at most
 * the threshold, else `next` nodes further; at a leaf `next` counts from the tree's first. Walks only go forward, so that
 * each ends. Eight bytes a node: a forest stays in the cache of a search that has other uses for it. */
#include "pruner.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wide.h"

enum { SIDES = 5, KINDS = 2, NETWORK = 2, HIDDEN = 32, OUTPUTS = 2, MOST_NODES = 1 << 20 };
#define MOST_DEVIATIONS 4.0
static const char magic[8] = "AV1PPRN1";

typedef struct {
  float threshold;
  int16_t feature;
  uint16_t next;
} node;
_Static_assert(sizeof(node) == 8, "the layout of a node is its file's");

typedef struct {
  uint32_t root, leaf;
} tree;

typedef struct {
  uint32_t trees, nodes, leaves;
  int features;
  double start;
  tree *roots;
  node *all;
  double *values;
} forest;

/* Numbers are kept as the floats of the file and become doubles as they are used: half as much is read a decision, by a
 * search that has other uses for the cache. */
typedef struct {
  float first[AV1PART_FEATURES][HIDDEN], first_bias[HIDDEN];
  float second[HIDDEN][HIDDEN], second_bias[HIDDEN];
  float last[HIDDEN][OUTPUTS], last_bias[OUTPUTS];
  float mean[AV1PART_FEATURES], scale[AV1PART_FEATURES];
  uint32_t inputs;
} network;

struct av1part_pruner {
  int features; /* of the rows that it is asked about */
  forest forests[SIDES][AV1PART_DECISIONS][KINDS];
  network *networks[SIDES][AV1PART_DECISIONS];
};

/* 8, 16, 32, 64, 128 as 0 to 4; -1 for another side. */
static int side_index(int side) {
  for (int i = 0; i < SIDES; ++i) {
    if (side == 8 << i) return i;
  }
  return -1;
}

typedef struct {
  const uint8_t *at;
  size_t left;
} reader;

static bool take(reader *r, void *target, size_t bytes) {
  if (r->left < bytes) return false;
  memcpy(target, r->at, bytes);
  r->at += bytes;
  r->left -= bytes;
  return true;
}

/* Whether the tree's nodes, up to the next tree's, lead nowhere but to each other and to its leaves. */
static bool sound_tree(const forest *f, uint32_t t) {
  const uint32_t root = f->roots[t].root, leaf = f->roots[t].leaf;
  const uint32_t end = t + 1 < f->trees ? f->roots[t + 1].root : f->nodes;
  const uint32_t last_leaf = t + 1 < f->trees ? f->roots[t + 1].leaf : f->leaves;
  if (root >= end || end > f->nodes || leaf >= last_leaf || last_leaf > f->leaves) return false;
  for (uint32_t i = root; i < end; ++i) {
    const node *const n = &f->all[i];
    if (!isfinite(n->threshold) || n->feature < -1 || n->feature >= f->features) return false;
    if (n->feature == -1 ? n->next >= last_leaf - leaf : n->next < 2 || n->next >= end - i) return false;
  }
  return true;
}

static bool sound(const forest *f) {
  for (uint32_t t = 0; t < f->trees; ++t) {
    if (!sound_tree(f, t)) return false;
  }
  for (uint32_t i = 0; i < f->leaves; ++i) {
    if (!isfinite(f->values[i])) return false;
  }
  return isfinite(f->start);
}

/* Floats of the file; false where it ends too early or one is no number. */
static bool take_floats(reader *r, float *target, size_t count) {
  if (!take(r, target, count * sizeof(*target))) return false;
  for (size_t i = 0; i < count; ++i) {
    if (!isfinite(target[i])) return false;
  }
  return true;
}

static const char *read_network(reader *r, av1part_pruner *pruner, const uint32_t head[6]) {
  const uint32_t inputs = head[3];
  network **const place = &pruner->networks[side_index((int)head[0])][head[1]];
  if (!inputs || inputs > (uint32_t)pruner->features || head[4] != HIDDEN || head[5]) return "a network of another shape";
  if (*place) return "two networks for one decision";
  network *const n = *place = calloc(1, sizeof(*n));
  if (!n) return "out of memory";
  n->inputs = inputs;
  const bool whole = take_floats(r, n->mean, inputs) && take_floats(r, n->scale, inputs) &&
                     take_floats(r, n->first[0], (size_t)inputs * HIDDEN) && take_floats(r, n->first_bias, HIDDEN) &&
                     take_floats(r, n->second[0], HIDDEN * HIDDEN) && take_floats(r, n->second_bias, HIDDEN) &&
                     take_floats(r, n->last[0], HIDDEN * OUTPUTS) && take_floats(r, n->last_bias, OUTPUTS);
  return whole ? NULL : "a network that ends too early, or a number that is none";
}

static const char *read_part(reader *r, av1part_pruner *pruner) {
  uint32_t head[6];
  double start;
  if (!take(r, head, sizeof(head)) || !take(r, &start, sizeof(start))) return "it ends too early";
  const int side = side_index((int)head[0]);
  if (side < 0 || head[1] >= AV1PART_DECISIONS || head[2] > NETWORK) return "a model for no decision of this hook";
  if (head[2] == NETWORK) return read_network(r, pruner, head);
  if (!head[3] || head[3] > head[5] || head[5] > head[4] || head[4] > MOST_NODES) return "a forest without trees, or too large";
  forest *const f = &pruner->forests[side][head[1]][head[2]];
  if (f->all) return "two forests for one decision";
  f->trees = head[3];
  f->nodes = head[4];
  f->leaves = head[5];
  f->start = start;
  f->features = pruner->features;
  f->roots = malloc(f->trees * sizeof(*f->roots));
  f->all = malloc(f->nodes * sizeof(*f->all));
  f->values = malloc(f->leaves * sizeof(*f->values));
  if (!f->roots || !f->all || !f->values) return "out of memory";
  if (!take(r, f->roots, f->trees * sizeof(*f->roots)) || !take(r, f->all, f->nodes * sizeof(*f->all)) ||
      !take(r, f->values, f->leaves * sizeof(*f->values))) {
    return "it ends too early";
  }
  return sound(f) ? NULL : "a tree that does not end, or a number that is none";
}

static const char *read_pruner(reader *r, av1part_pruner *pruner) {
  char found[sizeof(magic)];
  uint32_t features, parts;
  if (!take(r, found, sizeof(found)) || memcmp(found, magic, sizeof(magic)) != 0) return "not a pruner";
  if (!take(r, &features, sizeof(features)) || !take(r, &parts, sizeof(parts))) return "it ends too early";
  if (features != AV1PART_FEATURES && features != AV1PART_INTRA_FEATURES) return "made for another table of features";
  pruner->features = (int)features;
  for (uint32_t i = 0; i < parts; ++i) {
    const char *const why = read_part(r, pruner);
    if (why) return why;
  }
  if (r->left) return "bytes behind its end";
  for (int s = 0; s < SIDES; ++s) {
    for (int d = 0; d < AV1PART_DECISIONS; ++d) {
      if (!pruner->forests[s][d][0].all != !pruner->forests[s][d][1].all) return "a loss without a time, or the reverse";
      if (pruner->networks[s][d] && pruner->forests[s][d][0].all) return "a network beside forests";
    }
  }
  return NULL;
}

av1part_pruner *av1part_pruner_load(const void *data, size_t size, const char **why) {
  av1part_pruner *const pruner = calloc(1, sizeof(*pruner));
  *why = "out of memory";
  if (!pruner) return NULL;
  reader r = { data, size };
  *why = read_pruner(&r, pruner);
  if (!*why) return pruner;
  av1part_pruner_free(pruner);
  return NULL;
}

void av1part_pruner_free(av1part_pruner *pruner) {
  if (!pruner) return;
  for (int s = 0; s < SIDES; ++s) {
    for (int d = 0; d < AV1PART_DECISIONS; ++d) {
      free(pruner->networks[s][d]);
      for (int k = 0; k < KINDS; ++k) {
        free(pruner->forests[s][d][k].roots);
        free(pruner->forests[s][d][k].all);
        free(pruner->forests[s][d][k].values);
      }
    }
  }
  free(pruner);
}

static double sum(const forest *f, const float *features) {
  double total = f->start;
  for (uint32_t t = 0; t < f->trees; ++t) {
    const node *n = &f->all[f->roots[t].root];
    while (n->feature >= 0) n += features[n->feature] <= n->threshold ? 1 : n->next;
    total += f->values[f->roots[t].leaf + n->next];
  }
  return total;
}

/* sums[o] = biases[o] + what the inputs add, one after the other. */
AV1PART_BOTH void add_layer(const double *restrict inputs, uint32_t count, const float (*restrict weights)[HIDDEN],
                            const float *restrict biases, double *restrict sums) {
  for (int o = 0; o < HIDDEN; ++o) sums[o] = biases[o];
  for (uint32_t i = 0; i < count; ++i) {
    for (int o = 0; o < HIDDEN; ++o) sums[o] += inputs[i] * weights[i][o];
  }
  for (int o = 0; o < HIDDEN; ++o) sums[o] = sums[o] > 0 ? sums[o] : 0;
}

AV1PART_BOTH void run_network(const network *n, const float *features, double *loss, double *time) {
  double inputs[AV1PART_FEATURES], first[HIDDEN], second[HIDDEN];
  for (uint32_t i = 0; i < n->inputs; ++i) {
    const double value = ((double)features[i] - n->mean[i]) * n->scale[i];
    inputs[i] = value < -MOST_DEVIATIONS ? -MOST_DEVIATIONS : value > MOST_DEVIATIONS ? MOST_DEVIATIONS : value;
  }
  add_layer(inputs, n->inputs, n->first, n->first_bias, first);
  add_layer(first, HIDDEN, n->second, n->second_bias, second);
  *loss = n->last_bias[0];
  *time = n->last_bias[1];
  for (int i = 0; i < HIDDEN; ++i) {
    *loss += second[i] * n->last[i][0];
    *time += second[i] * n->last[i][1];
  }
}

AV1PART_WIDE static void run_wide(const network *n, const float *features, double *loss, double *time) {
  run_network(n, features, loss, time);
}

static void run_narrow(const network *n, const float *features, double *loss, double *time) {
  run_network(n, features, loss, time);
}

int av1part_pruner_features(const av1part_pruner *pruner) { return pruner->features; }

bool av1part_pruner_decides(const av1part_pruner *pruner, int side, int decision) {
  const int s = side_index(side);
  if (s < 0 || decision < 0 || decision >= AV1PART_DECISIONS) return false;
  return pruner->networks[s][decision] || pruner->forests[s][decision][0].all;
}

bool av1part_pruner_predict(const av1part_pruner *pruner, int side, int decision, const float *features, double *loss,
                            double *time) {
  if (!av1part_pruner_decides(pruner, side, decision)) return false;
  const int s = side_index(side);
  if (pruner->networks[s][decision]) {
    (AV1PART_HAS_WIDE ? run_wide : run_narrow)(pruner->networks[s][decision], features, loss, time);
    return true;
  }
  *loss = sum(&pruner->forests[s][decision][0], features);
  *time = sum(&pruner->forests[s][decision][1], features);
  return true;
}

int av1part_pruner_evaluate(const void *data, size_t size, int side, int decision, const float *features, size_t rows,
                            double *predictions) {
  const char *why;
  if (!data || !features || !predictions) return AV1PART_ERR_ARGUMENT;
  av1part_pruner *const pruner = av1part_pruner_load(data, size, &why);
  if (!pruner) return AV1PART_ERR_PRUNER;
  bool known = true;
  for (size_t i = 0; known && i < rows; ++i) {
    known = av1part_pruner_predict(pruner, side, decision, features + i * (size_t)pruner->features,
                                   &predictions[2 * i], &predictions[2 * i + 1]);
  }
  av1part_pruner_free(pruner);
  return known ? AV1PART_OK : AV1PART_ERR_ARGUMENT;
}
