/* The rules of masks, each on a node of its own. */
#include "policy.h"

#include <stddef.h>

#include "check.h"

enum { NONE, HORZ, VERT, SPLIT, HORZ_A, HORZ_B, VERT_A, VERT_B, HORZ_4, VERT_4 };
#define BIT(partition) (1u << (partition))
static const unsigned all = 0x3FF, ab = 0xF << HORZ_A, four_way = BIT(HORZ_4) | BIT(VERT_4);
static const av1part_thresholds off = { .none_only_above = 1, .split_only_above = 1 };

/* What the networks say of the one node, and how often each was asked about it. */
typedef struct {
  double answers[STAGES][MOST_CLASSES];
  int asked[STAGES];
  bool fails;
} known;

static bool ask(void *who, int stage, const int *nodes, int count, double *probabilities) {
  known *const k = who;
  for (int i = 0; i < count; ++i) {
    CHECK(nodes[i] == 0);
    ++k->asked[stage];
    for (int c = 0; c < av1part_stage_classes(stage, 16); ++c) *probabilities++ = k->answers[stage][c];
  }
  return !k->fails;
}

static unsigned decide(av1part_thresholds thresholds, known *k) {
  const double deviation = 0.2;
  uint16_t mask = 0;
  CHECK(av1part_policy_masks(&thresholds, 16, 0xF, &deviation, 1, ask, k, &mask));
  return mask;
}

static known unsure(void) {
  return (known){ .answers = { { 0.5, 0.5 }, { 0.4, 0.3, 0.3 }, { 0.6, 0.4 }, { 0.4, 0.3, 0.2, 0.1 } } };
}

static void idle_thresholds_ask_nobody(void) {
  static const struct {
    int side;
    unsigned mask;
  } sizes[] = { { 8, 0x00F }, { 16, 0x3FF }, { 32, 0x3FF }, { 64, 0x3FF }, { 128, 0x0FF } };
  for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); ++i) {
    known k = unsure();
    const double deviation = 0;
    uint16_t mask = 0;
    CHECK(av1part_policy_masks(&off, sizes[i].side, 0xF, &deviation, 1, ask, &k, &mask));
    CHECK(mask == sizes[i].mask);
    CHECK(!k.asked[STAGE_1] && !k.asked[STAGE_2] && !k.asked[STAGE_3_RECT] && !k.asked[STAGE_3_AB]);
  }
}

static void stage_1(void) {
  av1part_thresholds t = off;
  t.none_only_above = 0.95;
  t.drop_split_below = 1;
  known k = unsure();
  k.answers[STAGE_1][0] = 0.96;
  CHECK(decide(t, &k) == BIT(NONE));
  CHECK(k.asked[STAGE_1] == 1 && !k.asked[STAGE_2]);
  k.answers[STAGE_1][0] = 0.95; /* not above */
  CHECK(decide(t, &k) & ~BIT(NONE));
  t = off;
  t.drop_none_below = 0.9; /* never where NONE is the surest */
  k.answers[STAGE_1][0] = 0.5;
  CHECK(decide(t, &k) == all);
  k.answers[STAGE_1][0] = 0.49;
  CHECK(decide(t, &k) == (all & ~BIT(NONE)));
  t.none_only_above = 0.1; /* nor NONE alone where it is not */
  CHECK(decide(t, &k) == (all & ~BIT(NONE)));
}

static void stage_2(void) {
  av1part_thresholds t = off;
  t.split_only_above = 0.8;
  t.drop_direction_below = 1;
  known k = unsure();
  k.answers[STAGE_2][0] = 0.81;
  k.answers[STAGE_2][1] = 0.1;
  k.answers[STAGE_2][2] = 0.09;
  CHECK(decide(t, &k) == (BIT(NONE) | BIT(SPLIT)));
  CHECK(!k.asked[STAGE_3_RECT]);
  t = off;
  t.drop_split_below = t.drop_rect_below = t.drop_ab_below = 1; /* the surest class stays all the same */
  CHECK(decide(t, &k) == (BIT(NONE) | BIT(SPLIT)));
  t = off;
  t.drop_ab_below = 0.1;
  CHECK(decide(t, &k) == (all & ~ab));
  t.drop_ab_below = 0.09; /* not below */
  CHECK(decide(t, &k) == all);
  t = off;
  t.drop_rect_below = 0.2; /* an AB brings back what it is searched from; 4-way goes by its own threshold */
  CHECK(decide(t, &k) == all);
  t.drop_ab_below = 0.2;
  CHECK(decide(t, &k) == (BIT(NONE) | BIT(SPLIT)));
  t = off;
  t.drop_four_way_below = 0.2;
  CHECK(decide(t, &k) == (all & ~four_way));
  known tie = unsure();
  tie.answers[STAGE_2][1] = 0.4; /* of equals the first is the surest */
  t = off;
  t.drop_split_below = t.drop_rect_below = 0.5;
  t.drop_ab_below = 0.5;
  CHECK(decide(t, &tie) == (BIT(NONE) | BIT(SPLIT)));
}

static void stages_3(void) {
  av1part_thresholds t = off;
  t.drop_ab_kind_below = 0.25;
  t.drop_direction_below = 0.5;
  known k = unsure();
  CHECK(decide(t, &k) == (all & ~(BIT(VERT_A) | BIT(VERT_B))));
  CHECK(!k.asked[STAGE_3_RECT]); /* an AB keeps both directions */
  t.drop_ab_below = 0.35;
  k.asked[STAGE_3_AB] = 0;
  CHECK(decide(t, &k) == (BIT(NONE) | BIT(HORZ) | BIT(SPLIT) | BIT(HORZ_4)));
  CHECK(!k.asked[STAGE_3_AB] && k.asked[STAGE_3_RECT] == 1);
}

static void flat_nodes_and_failures(void) {
  av1part_thresholds t = off;
  t.drop_ab_below = 1;
  t.flat_below = 0.3;
  known k = unsure();
  CHECK(decide(t, &k) == all && !k.asked[STAGE_2]);
  t.flat_below = 0.2; /* not below */
  CHECK(decide(t, &k) != all && k.asked[STAGE_2] == 1);
  k.fails = true;
  const double deviation = 0.2;
  uint16_t mask = 0;
  CHECK(!av1part_policy_masks(&t, 16, 0xF, &deviation, 1, ask, &k, &mask));
  k.fails = false;
  CHECK(av1part_policy_masks(&t, 16, 0xF, NULL, 0, ask, &k, NULL)); /* no node */
}

void test_policy(void) {
  idle_thresholds_ask_nobody();
  stage_1();
  stage_2();
  stages_3();
  flat_nodes_and_failures();
}
