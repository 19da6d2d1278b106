/* Trees and networks: what they give, and what is refused before it is asked. */
#include "pruner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { HIDDEN = 32 };

typedef struct {
  unsigned char bytes[1 << 16];
  size_t size;
} file;

static void put(file *f, const void *data, size_t size) {
  memcpy(f->bytes + f->size, data, size);
  f->size += size;
}

static void put_number(file *f, uint32_t value) { put(f, &value, sizeof(value)); }
static void put_float(file *f, float value) { put(f, &value, sizeof(value)); }
static void put_double(file *f, double value) { put(f, &value, sizeof(value)); }

static void put_node(file *f, float threshold, int16_t feature, uint16_t next) {
  put_float(f, threshold);
  put(f, &feature, sizeof(feature));
  put(f, &next, sizeof(next));
}

static file head_of(uint32_t features, uint32_t parts) {
  file f = { .size = 0 };
  put(&f, "AV1PPRN1", 8);
  put_number(&f, features);
  put_number(&f, parts);
  return f;
}

static file head(uint32_t parts) { return head_of(AV1PART_FEATURES, parts); }

/* Two trees: feature 3 at most 0.5, else feature 4 at most -1; and a leaf alone. */
static void put_forest(file *f, uint32_t kind, double start, uint16_t next) {
  const uint32_t numbers[] = { 16, AV1PART_STOP, kind, 2, 6, 4 };
  put(f, numbers, sizeof(numbers));
  put_double(f, start);
  const uint32_t roots[] = { 0, 0, 5, 3 };
  put(f, roots, sizeof(roots));
  put_node(f, 0.5f, 3, next);
  put_node(f, 0, -1, 0);
  put_node(f, -1, 4, 2);
  put_node(f, 0, -1, 1);
  put_node(f, 0, -1, 2);
  put_node(f, 0, -1, 0);
  for (int leaf = 1; leaf <= 4; ++leaf) put_double(f, pow(10, leaf));
}

static av1part_pruner *load(const file *f) {
  const char *why = NULL;
  av1part_pruner *const pruner = av1part_pruner_load(f->bytes, f->size, &why);
  CHECK(!pruner == (why != NULL));
  return pruner;
}

static void refused(const file *f) {
  av1part_pruner *const pruner = load(f);
  CHECK(!pruner);
  av1part_pruner_free(pruner);
}

static void trees(void) {
  file f = head(2);
  put_forest(&f, 0, 1, 2);
  put_forest(&f, 1, -1, 2);
  av1part_pruner *const pruner = load(&f);
  CHECK(pruner);
  if (!pruner) return;
  CHECK(av1part_pruner_decides(pruner, 16, AV1PART_STOP));
  CHECK(!av1part_pruner_decides(pruner, 32, AV1PART_STOP) && !av1part_pruner_decides(pruner, 16, AV1PART_NO_SPLIT));
  CHECK(!av1part_pruner_decides(pruner, 24, AV1PART_STOP) && !av1part_pruner_decides(pruner, 16, AV1PART_DECISIONS));
  static const struct {
    float third, fourth;
    double leaf;
  } rows[] = { { 0.5f, 0, 10 }, { 0.6f, -1, 100 }, { 0.6f, -0.5f, 1000 }, { -9, -9, 10 } };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
    float features[AV1PART_FEATURES] = { 0 };
    double loss = 0, time = 0;
    features[3] = rows[i].third;
    features[4] = rows[i].fourth;
    CHECK(av1part_pruner_predict(pruner, 16, AV1PART_STOP, features, &loss, &time));
    CHECK(loss == 1 + rows[i].leaf + 10000 && time == -1 + rows[i].leaf + 10000);
    CHECK(!av1part_pruner_predict(pruner, 8, AV1PART_STOP, features, &loss, &time));
  }
  av1part_pruner_free(pruner);
}

static void damaged_trees(void) {
  file good = head(2);
  put_forest(&good, 0, 1, 2);
  put_forest(&good, 1, -1, 2);
  for (size_t size = 0; size < good.size; ++size) {
    file cut = good;
    cut.size = size;
    refused(&cut);
  }
  file longer = good;
  put(&longer, "", 1);
  refused(&longer);
  for (uint16_t next = 0; next < 8; ++next) { /* a walk that goes back, or leaves the tree */
    file f = head(2);
    put_forest(&f, 0, 1, next);
    put_forest(&f, 1, -1, 2);
    if (next < 2 || next >= 5) refused(&f);
  }
  file alone = head(1), twice = head(2), endless = head(2), nothing = head(2);
  put_forest(&alone, 0, 1, 2);
  refused(&alone);
  put_forest(&twice, 0, 1, 2);
  put_forest(&twice, 0, 1, 2);
  refused(&twice);
  put_forest(&endless, 0, INFINITY, 2);
  put_forest(&endless, 1, 1, 2);
  refused(&endless);
  put_forest(&nothing, 0, NAN, 2);
  put_forest(&nothing, 1, 1, 2);
  refused(&nothing);
}

/* Two inputs; each hidden unit of the first layer is their sum, of the second its share; loss is that, time its negative. */
static file network(uint32_t inputs, uint32_t hidden, float weight) {
  file f = head(1);
  const uint32_t numbers[] = { 32, AV1PART_NO_SPLIT, 2, inputs, hidden, 0 };
  put(&f, numbers, sizeof(numbers));
  put_double(&f, 0);
  for (uint32_t i = 0; i < inputs; ++i) put_float(&f, 1);   /* means */
  for (uint32_t i = 0; i < inputs; ++i) put_float(&f, 0.5); /* scales */
  for (uint32_t i = 0; i < inputs * HIDDEN; ++i) put_float(&f, weight);
  for (int i = 0; i < HIDDEN; ++i) put_float(&f, 0);
  for (int i = 0; i < HIDDEN * HIDDEN; ++i) put_float(&f, 1.0f / HIDDEN);
  for (int i = 0; i < HIDDEN; ++i) put_float(&f, 0);
  for (int i = 0; i < HIDDEN; ++i) {
    put_float(&f, 1.0f / HIDDEN);
    put_float(&f, -1.0f / HIDDEN);
  }
  put_float(&f, 7);
  put_float(&f, 5);
  return f;
}

static void networks(void) {
  const file f = network(2, HIDDEN, 1);
  av1part_pruner *const pruner = load(&f);
  CHECK(pruner);
  if (!pruner) return;
  static const struct {
    float first, second;
    double sum;
  } rows[] = { { 1, 1, 0 }, { 3, 1, 1 }, { 3, 5, 3 }, { -9, 3, 0 } /* below 0: nothing */, { 1000, 1, 4 } /* at most 4 */ };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
    const float features[AV1PART_FEATURES] = { rows[i].first, rows[i].second };
    double loss = 0, time = 0;
    CHECK(av1part_pruner_predict(pruner, 32, AV1PART_NO_SPLIT, features, &loss, &time));
    CHECK(fabs(loss - 7 - rows[i].sum) < 1e-6 && fabs(time - 5 + rows[i].sum) < 1e-6);
  }
  av1part_pruner_free(pruner);
  const file other = network(2, HIDDEN / 2, 1), none = network(0, HIDDEN, 1), endless = network(2, HIDDEN, NAN);
  refused(&other);
  refused(&none);
  refused(&endless);
  for (size_t size = 0; size < f.size; size += 13) {
    file cut = f;
    cut.size = size;
    refused(&cut);
  }
}

/* A pruner knows all features, or those of intra frames: another count, or a feature beyond its own, is refused. */
static void tables(void) {
  static const int counts[] = { AV1PART_FEATURES, AV1PART_INTRA_FEATURES };
  for (int i = 0; i < 2; ++i) {
    file f = head_of((uint32_t)counts[i], 2);
    put_forest(&f, 0, 1, 2);
    put_forest(&f, 1, -1, 2);
    av1part_pruner *const pruner = load(&f);
    CHECK(pruner && av1part_pruner_features(pruner) == counts[i]);
    av1part_pruner_free(pruner);
    const int16_t beyond = (int16_t)counts[i], last = (int16_t)(counts[i] - 1);
    const size_t first_node = 8 + 2 * 4 + 6 * 4 + 8 + 4 * 4;
    memcpy(f.bytes + first_node + 4, &last, sizeof(last));
    av1part_pruner_free(load(&f));
    memcpy(f.bytes + first_node + 4, &beyond, sizeof(beyond));
    refused(&f);
  }
  file neither = head_of(AV1PART_FEATURES - 1, 2);
  put_forest(&neither, 0, 1, 2);
  put_forest(&neither, 1, -1, 2);
  refused(&neither);
  float all[AV1PART_FEATURES], own[AV1PART_INTRA_FEATURES];
  for (int i = 0; i < AV1PART_FEATURES; ++i) all[i] = (float)i;
  av1part_intra_features(all, own);
  CHECK(own[0] == AV1PART_FEATURE_QINDEX && own[1] == AV1PART_FEATURE_VARIANCE);
  CHECK(own[AV1PART_INTRA_FEATURES - 1] == AV1PART_FEATURE_BEST_PARTITION_WITH_AB);
  for (int i = 0; i < AV1PART_INTRA_FEATURES; ++i) {
    const char *name, *full, *unit;
    int point;
    CHECK(av1part_feature(0, i, &name, &unit, &point) == AV1PART_OK);
    CHECK(av1part_feature(1, (int)own[i], &full, &unit, &point) == AV1PART_OK && name == full);
  }
  const char *name, *unit;
  int point;
  CHECK(av1part_feature(0, AV1PART_INTRA_FEATURES, &name, &unit, &point) == AV1PART_ERR_ARGUMENT);
  CHECK(av1part_feature(1, AV1PART_FEATURES, &name, &unit, &point) == AV1PART_ERR_ARGUMENT);
}

void test_pruner(void) {
  tables();
  trees();
  damaged_trees();
  networks();
}
