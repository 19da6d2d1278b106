/* Reading a pruner and asking it. Little-endian, as every machine is that this is built for.
 *
 * Layout: magic "AV1PPRN1", uint32 features, uint32 forests; per forest: uint32 side, decision, kind (0 loss, 1 time),
 * trees, nodes, double start; uint32 root of each tree; then per node int32 feature (-1: a leaf), uint32 left, uint32
 * right, float threshold, double value. A row goes left where its feature is at most the threshold. A child's number is
 * above its parent's, so that every walk ends. */
#include "pruner.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SIDES = 5, KINDS = 2, MOST_NODES = 1 << 20 };
static const char magic[8] = "AV1PPRN1";

typedef struct {
  int32_t feature;
  uint32_t left, right;
  float threshold;
  double value;
} node;
_Static_assert(sizeof(node) == 24, "the layout of a node is its file's");

typedef struct {
  uint32_t trees, nodes;
  double start;
  uint32_t *roots;
  node *all;
} forest;

struct av1part_pruner {
  forest forests[SIDES][AV1PART_DECISIONS][KINDS];
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

static bool sound(const forest *f) {
  for (uint32_t t = 0; t < f->trees; ++t) {
    if (f->roots[t] >= f->nodes) return false;
  }
  for (uint32_t i = 0; i < f->nodes; ++i) {
    const node *const n = &f->all[i];
    if (!isfinite(n->value) || !isfinite(n->threshold)) return false;
    if (n->feature == -1) continue;
    if (n->feature < 0 || n->feature >= AV1PART_FEATURES) return false;
    if (n->left <= i || n->right <= i || n->left >= f->nodes || n->right >= f->nodes) return false;
  }
  return isfinite(f->start);
}

static const char *read_forest(reader *r, av1part_pruner *pruner) {
  uint32_t head[5];
  double start;
  if (!take(r, head, sizeof(head)) || !take(r, &start, sizeof(start))) return "it ends too early";
  const int side = side_index((int)head[0]);
  if (side < 0 || head[1] >= AV1PART_DECISIONS || head[2] >= KINDS) return "a forest for no decision of this hook";
  if (!head[3] || head[3] > head[4] || head[4] > MOST_NODES) return "a forest without trees, or too large";
  forest *const f = &pruner->forests[side][head[1]][head[2]];
  if (f->all) return "two forests for one decision";
  f->trees = head[3];
  f->nodes = head[4];
  f->start = start;
  f->roots = malloc(f->trees * sizeof(*f->roots));
  f->all = malloc(f->nodes * sizeof(*f->all));
  if (!f->roots || !f->all) return "out of memory";
  if (!take(r, f->roots, f->trees * sizeof(*f->roots)) || !take(r, f->all, f->nodes * sizeof(*f->all))) {
    return "it ends too early";
  }
  return sound(f) ? NULL : "a tree that does not end, or a number that is none";
}

static const char *read_pruner(reader *r, av1part_pruner *pruner) {
  char found[sizeof(magic)];
  uint32_t features, forests;
  if (!take(r, found, sizeof(found)) || memcmp(found, magic, sizeof(magic)) != 0) return "not a pruner";
  if (!take(r, &features, sizeof(features)) || !take(r, &forests, sizeof(forests))) return "it ends too early";
  if (features != AV1PART_FEATURES) return "made for another table of features";
  for (uint32_t i = 0; i < forests; ++i) {
    const char *const why = read_forest(r, pruner);
    if (why) return why;
  }
  if (r->left) return "bytes behind its end";
  for (int s = 0; s < SIDES; ++s) {
    for (int d = 0; d < AV1PART_DECISIONS; ++d) {
      if (!pruner->forests[s][d][0].all != !pruner->forests[s][d][1].all) return "a loss without a time, or the reverse";
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
      for (int k = 0; k < KINDS; ++k) {
        free(pruner->forests[s][d][k].roots);
        free(pruner->forests[s][d][k].all);
      }
    }
  }
  free(pruner);
}

bool av1part_pruner_has(const av1part_pruner *pruner, int side, int decision) {
  const int s = side_index(side);
  return s >= 0 && pruner->forests[s][decision][0].all != NULL;
}

static double sum(const forest *f, const float *features) {
  double total = f->start;
  for (uint32_t t = 0; t < f->trees; ++t) {
    const node *n = &f->all[f->roots[t]];
    while (n->feature >= 0) n = &f->all[features[n->feature] <= n->threshold ? n->left : n->right];
    total += n->value;
  }
  return total;
}

bool av1part_pruner_predict(const av1part_pruner *pruner, int side, int decision, const float *features, double *loss,
                            double *time) {
  const int s = side_index(side);
  if (s < 0 || decision < 0 || decision >= AV1PART_DECISIONS || !pruner->forests[s][decision][0].all) return false;
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
    known = av1part_pruner_predict(pruner, side, decision, features + i * AV1PART_FEATURES, &predictions[2 * i],
                                   &predictions[2 * i + 1]);
  }
  av1part_pruner_free(pruner);
  return known ? AV1PART_OK : AV1PART_ERR_ARGUMENT;
}
