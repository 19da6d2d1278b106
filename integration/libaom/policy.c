/* The rules of masks. integration/pipeline/policy.py has them once more in NumPy, in the same order, for recorded blocks
 * where no libaom is built; tests/integration/pipeline/test_pipeline_native.py compares the two. */
#include "policy.h"

#include <stdlib.h>

#define BIT(partition) (1u << (partition))
enum { NONE, HORZ, VERT, SPLIT, HORZ_A, HORZ_B, VERT_A, VERT_B, HORZ_4, VERT_4 };
enum {
  ALL = 0x3FF,
  AB = BIT(HORZ_A) | BIT(HORZ_B) | BIT(VERT_A) | BIT(VERT_B),
  INPUTS_OF_AB = BIT(SPLIT) | BIT(HORZ) | BIT(VERT),
  FOUR_WAY = BIT(HORZ_4) | BIT(VERT_4),
};

const char *const av1part_stage_names[STAGES] = { "1", "2", "3-rect", "3-ab" };

int av1part_stage_classes(int stage, int side) {
  static const int classes[STAGES] = { 2, 3, 2, 4 };
  if (side > 8) return classes[stage];
  return stage == STAGE_3_AB ? 0 : 2;
}

/* Every partition that a node of that side can have. */
static unsigned possible(int side) { return side == 8 ? ALL - AB - FOUR_WAY : side == 128 ? ALL - FOUR_WAY : ALL; }

/* What the functions below share: the nodes that are still asked about, and room for a stage's answers. */
typedef struct {
  const av1part_thresholds *thresholds;
  int side;
  unsigned stages;
  av1part_ask ask;
  void *who;
  uint16_t *masks;
  int *rest, rest_count, *chosen;
  double *answers;
} work;

static bool has(const work *w, int stage) { return w->stages >> stage & 1; }

/* Number of the greatest, the first among equals. */
static int surest(const double *p, int classes) {
  int best = 0;
  for (int k = 1; k < classes; ++k) {
    if (p[k] > p[best]) best = k;
  }
  return best;
}

static bool first_stage(work *w) {
  const av1part_thresholds *const t = w->thresholds;
  if (!has(w, STAGE_1) || !(t->none_only_above < 1 || t->drop_none_below > 0)) return true;
  if (!w->ask(w->who, STAGE_1, w->rest, w->rest_count, w->answers)) return false;
  const double drop = t->drop_none_below < 0.5 ? t->drop_none_below : 0.5;
  const double only = t->none_only_above > 0.5 ? t->none_only_above : 0.5;
  int kept = 0;
  for (int i = 0; i < w->rest_count; ++i) {
    const int node = w->rest[i];
    const double none = w->answers[2 * i];
    if (none < drop) w->masks[node] &= ALL - BIT(NONE);
    if (none > only) w->masks[node] = BIT(NONE);
    if (none <= only) w->rest[kept++] = node;
  }
  w->rest_count = kept;
  return true;
}

static bool second_stage(work *w) {
  static const unsigned groups[3] = { BIT(SPLIT), BIT(HORZ) | BIT(VERT), AB };
  const av1part_thresholds *const t = w->thresholds;
  const double drop[3] = { t->drop_split_below, t->drop_rect_below, t->drop_ab_below };
  const int classes = av1part_stage_classes(STAGE_2, w->side);
  bool drops = t->drop_four_way_below > 0 && possible(w->side) & FOUR_WAY;
  for (int k = 0; k < classes; ++k) drops = drops || drop[k] > 0;
  if (!has(w, STAGE_2) || !(drops || t->split_only_above < 1)) return true;
  if (!w->ask(w->who, STAGE_2, w->rest, w->rest_count, w->answers)) return false;
  int kept = 0;
  for (int i = 0; i < w->rest_count; ++i) {
    const int node = w->rest[i];
    const double *const p = w->answers + classes * i;
    const int best = surest(p, classes);
    const bool only = best == 0 && p[0] > t->split_only_above;
    unsigned mask = w->masks[node];
    if (only) mask &= BIT(NONE) | BIT(SPLIT);
    for (int k = 0; k < classes; ++k) {
      if (best != k && p[k] < drop[k]) mask &= ALL - groups[k];
    }
    if (best != 1 && p[1] < t->drop_four_way_below) mask &= ALL - FOUR_WAY;
    w->masks[node] = (uint16_t)mask;
    if (!only) w->rest[kept++] = node;
  }
  w->rest_count = kept;
  return true;
}

/* Drop the improbable partitions of a Stage 3, `first` and those after it, where any of them is still allowed. */
static bool drop_members(work *w, int stage, int first, double threshold) {
  const int classes = av1part_stage_classes(stage, w->side);
  const unsigned members = (BIT(classes) - 1) << first;
  if (!has(w, stage) || !(threshold > 0)) return true;
  int count = 0;
  for (int i = 0; i < w->rest_count; ++i) {
    if (w->masks[w->rest[i]] & members) w->chosen[count++] = w->rest[i];
  }
  if (!w->ask(w->who, stage, w->chosen, count, w->answers)) return false;
  for (int i = 0; i < count; ++i) {
    const double *const p = w->answers + classes * i;
    const int best = surest(p, classes);
    for (int k = 0; k < classes; ++k) {
      if (best != k && p[k] < threshold) w->masks[w->chosen[i]] &= ALL - BIT(first + k);
    }
  }
  return true;
}

/* Put back what libaom searches an AB from; a 4-way partition goes with the rectangle of its direction. */
static uint16_t completed(unsigned mask) {
  if (mask & AB) mask |= INPUTS_OF_AB;
  if (!(mask & BIT(HORZ))) mask &= ~BIT(HORZ_4);
  if (!(mask & BIT(VERT))) mask &= ~BIT(VERT_4);
  return (uint16_t)mask;
}

static bool decide(work *w) {
  if (!first_stage(w) || !second_stage(w)) return false;
  if (!drop_members(w, STAGE_3_AB, HORZ_A, w->thresholds->drop_ab_kind_below)) return false;
  int kept = 0;
  for (int i = 0; i < w->rest_count; ++i) { /* an AB keeps both directions */
    if (!(w->masks[w->rest[i]] & AB)) w->rest[kept++] = w->rest[i];
  }
  w->rest_count = kept;
  return drop_members(w, STAGE_3_RECT, HORZ, w->thresholds->drop_direction_below);
}

bool av1part_policy_masks(const av1part_thresholds *thresholds, int side, unsigned stages, const double *deviation,
                          int count, av1part_ask ask, void *who, uint16_t *masks) {
  const size_t room = (size_t)count + 1; /* never nothing */
  work w = { thresholds, side, stages, ask, who, masks, malloc(room * sizeof(int)), 0, malloc(room * sizeof(int)),
             malloc(room * MOST_CLASSES * sizeof(double)) };
  bool good = w.rest && w.chosen && w.answers;
  for (int i = 0; good && i < count; ++i) {
    masks[i] = (uint16_t)possible(side);
    if (deviation[i] >= thresholds->flat_below) w.rest[w.rest_count++] = i;
  }
  good = good && decide(&w);
  for (int i = 0; good && i < count; ++i) masks[i] = completed(masks[i]);
  free(w.rest);
  free(w.chosen);
  free(w.answers);
  return good;
}
