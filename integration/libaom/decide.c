/* Decisions of a pruner about a square, and the pruner of an encoder. A decision only takes away, and only where the
 * square has something that it can be coded as, so that no square is left without a choice. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pruner.h"
#include "pruner_file.h"
#include "search.h"
#include "square.h"

/* A pruner with the logs of what it is told to, and what is overridden in its frames: that may be there without one. */
typedef struct {
  av1part_pruner *pruner; /* NULL: none */
  double log_price, log_most;
  av1part_override overrides[AV1PART_OVERRIDES];
  int override_count;
} decider;

struct av1part_deciding {
  decider deciders[2]; /* by kind of frame: intra, inter */
  const decider *now;  /* of this frame; NULL: nobody decides */
  _Atomic int64_t counts[LEVELS][AV1PART_DECISIONS][2]; /* by log2(side) - 2: asked, taken */
};

int av1part_decide_open(av1part_encoder *e) {
  e->deciding = calloc(1, sizeof(*e->deciding));
  return e->deciding ? AV1PART_OK : AV1PART_ERR_MEMORY;
}

void av1part_decide_close(av1part_encoder *e) {
  for (int kind = 0; e->deciding && kind < 2; ++kind) av1part_pruner_free(e->deciding->deciders[kind].pruner);
  free(e->deciding);
  e->deciding = NULL;
}

void av1part_decide_take(av1part_encoder *e, int kind, av1part_pruner *pruner, double price, double most) {
  decider *const own = &e->deciding->deciders[kind];
  av1part_pruner_free(own->pruner);
  *own = (decider){ .pruner = pruner, .log_price = log(price), .log_most = log(most) };
}

void av1part_decide_override(av1part_encoder *e, int kind, av1part_override override) {
  decider *const own = &e->deciding->deciders[kind];
  int i = 0;
  while (i < own->override_count && own->overrides[i].feature != override.feature) ++i;
  own->overrides[i] = override;
  if (i == own->override_count) ++own->override_count;
}

void av1part_decide_overrides(av1part_encoder *e, const av1part_pruner_file *file, int cpu_used) {
  for (int i = 0; i < file->override_count; ++i) {
    if (file->overrides[i].cpu_used == cpu_used) av1part_decide_override(e, file->inter, file->overrides[i]);
  }
}

const av1part_override *av1part_overrides_now(const av1part_encoder *e, int *count) {
  const decider *const own = e->deciding->now;
  *count = own ? own->override_count : 0;
  return own ? own->overrides : NULL;
}

bool av1part_decides_by_motion(const av1part_encoder *e) {
  const av1part_pruner *const pruner = e->deciding->deciders[1].pruner;
  return pruner && av1part_pruner_features(pruner) == AV1PART_FEATURES;
}

bool av1part_decide_frame(av1part_encoder *e, int kind) {
  const decider *const own = kind == AV1PART_NOBODY ? NULL : &e->deciding->deciders[kind];
  e->deciding->now = own && (own->pruner || own->override_count) ? own : NULL;
  return e->deciding->now != NULL;
}

/* Whether something may be taken from a square: where an edge cuts it or it has no result yet, nothing. */
static bool may_lose(const av1part_square *s) {
  return s->whole && s->state->found_best_partition && !s->x->must_find_valid_partition;
}

/* Whether the pruner skips, by what is known at this square. */
static bool pays(av1part_square *s, int decision) {
  double loss, time;
  const decider *const by = s->encoder->deciding->now;
  if (!by || !by->pruner || !av1part_pruner_decides(by->pruner, side_of(s), decision)) return false;
  av1part_node_features(s);
  float own[AV1PART_INTRA_FEATURES];
  const bool all = av1part_pruner_features(by->pruner) == AV1PART_FEATURES;
  if (!all) av1part_intra_features(s->features, own);
  const float *const features = all ? s->features : own;
  if (!av1part_pruner_predict(by->pruner, side_of(s), decision, features, &loss, &time)) return false;
  const bool taken = loss < by->log_price + time && loss < by->log_most;
  _Atomic int64_t *const count = s->encoder->deciding->counts[level_of(side_of(s))][decision];
  atomic_fetch_add_explicit(&count[0], 1, memory_order_relaxed);
  if (taken) atomic_fetch_add_explicit(&count[1], 1, memory_order_relaxed);
  return taken;
}

bool av1part_skip_for(const av1part_square *loser, av1part_square *s, int decision) {
  if (!may_lose(loser)) return false;
  if (pays(s, decision)) return true;
  if (loser->row >= 0) s->reached |= 1u << decision;
  return false;
}

bool av1part_skip(av1part_square *s, int decision) { return av1part_skip_for(s, s, decision); }

/* ---- the interface ---- */

int av1part_search_inter(av1part_encoder *e, int inter) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the frames to be searched were changed during an encode");
  if (inter != 0 && inter != 1) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "inter: expected 0 or 1");
  if (inter && e->config.keyint == 1) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "inter: with keyint 1 there are key frames alone");
  }
  e->search_inter = inter;
  return AV1PART_OK;
}

/* Let a pruner decide about one kind of frames. */
static int set_pruner(av1part_encoder *e, int kind, const void *data, size_t size, double price, double most) {
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the pruner was changed during an encode");
  const int status = data ? av1part_check_search(e) : AV1PART_OK;
  if (status != AV1PART_OK) return status;
  av1part_pruner *pruner = NULL;
  if (data) {
    const char *why;
    if (!(price > 0) || !(most > 0)) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "price or most: expected above 0");
    pruner = av1part_pruner_load(data, size, &why);
    if (!pruner) return av1part_fail(e, AV1PART_ERR_PRUNER, why);
    if (!kind && av1part_pruner_features(pruner) != AV1PART_INTRA_FEATURES) {
      av1part_pruner_free(pruner);
      return av1part_fail(e, AV1PART_ERR_PRUNER, "made by the features of inter frames, and given for intra frames");
    }
  }
  av1part_decide_take(e, kind, pruner, price, most);
  return AV1PART_OK;
}

int av1part_set_pruner(av1part_encoder *e, const void *data, size_t size, double price, double most) {
  return e ? set_pruner(e, e->search_inter, data, size, price, most) : AV1PART_ERR_ARGUMENT;
}

/* Whether the encoder codes what the pruner was made for; else the detail says what that is. */
static bool made_for(av1part_encoder *e, const av1part_pruner_file *file) {
  const av1part_config *const c = &e->config;
  const bool served = av1part_pruner_file_serves(file, c->bit_depth, c->chroma, c->tune, c->cpu_used);
  if (file->inter && c->keyint == 1) {
    snprintf(e->detail, sizeof(e->detail), "the pruner was made for inter frames, and keyint is 1");
    return false;
  }
  if (c->all_intra == file->all_intra && served && c->four_way == file->four_way) return true;
  const av1part_served *const own = av1part_pruner_file_served(file, c->bit_depth, c->chroma, c->tune);
  snprintf(e->detail, sizeof(e->detail),
           "the pruner serves all_intra %d, each cpu_used of %s at this bit depth, chroma and tune, four_way %d", file->all_intra,
           own ? own->speeds : "none", file->four_way);
  return false;
}

int av1part_override_feature(av1part_encoder *e, const char *name, int value) {
  if (!e || !name) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "a speed feature was overridden during an encode");
  const int status = av1part_check_search(e);
  if (status != AV1PART_OK) return status;
  av1part_override override = { e->config.cpu_used, 0, 0 };
  if (!av1part_override_named(name, value, &override, e->detail, sizeof(e->detail))) return AV1PART_ERR_ARGUMENT;
  av1part_decide_override(e, e->search_inter, override);
  return AV1PART_OK;
}

int av1part_load_pruner(av1part_encoder *e, const char *folder) {
  if (!e || !folder) return AV1PART_ERR_ARGUMENT;
  av1part_pruner_file file;
  if (!av1part_pruner_file_read(folder, &file, e->detail, sizeof(e->detail))) return AV1PART_ERR_PRUNER;
  int status = made_for(e, &file) ? AV1PART_OK : AV1PART_ERR_PRUNER;
  if (status == AV1PART_OK) status = set_pruner(e, file.inter, file.data, file.size, file.price, file.most);
  if (status == AV1PART_OK) av1part_decide_overrides(e, &file, e->config.cpu_used);
  av1part_pruner_file_free(&file);
  return status;
}

int av1part_decisions(const av1part_encoder *e, av1part_decision_counts *counts) {
  if (!e || !counts) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return AV1PART_ERR_STATE;
  memset(counts, 0, sizeof(*counts));
  for (int l = 1; l < LEVELS; ++l) {
    for (int d = 0; d < AV1PART_DECISIONS; ++d) {
      counts->asked[l - 1][d] = atomic_load(&e->deciding->counts[l][d][0]);
      counts->taken[l - 1][d] = atomic_load(&e->deciding->counts[l][d][1]);
    }
  }
  return AV1PART_OK;
}
