/* The hook for libaom as a library of its own (libaom.so.3), in hosts that know nothing of us. In place of hook.c.
 *
 * AV1PART_PIPELINE names the folders of pruners and of pipelines, with colons between (given.c). Of those made for it an
 * encoder takes the first pruner of intra frames, the first of inter frames, and for each node size the first pipeline.
 * AV1PART_PRICE is another price than the pruners' own, AV1PART_STATS a file that gets one line of JSON for each encoder
 * when it is closed. Without AV1PART_PIPELINE, where a folder cannot be read, and for what none was made, every stream is
 * that of the untouched library, byte for byte. Without ONNX Runtime masks are left out. Each reason goes to stderr, once
 * a process, and as a line to the file that AV1PART_REASONS names (told.c).
 *
 * A program that runs with more rights than its user has (set-user-ID) sees none of these variables: secure_getenv.
 *
 * libaom's own encoder instance (AV1_COMP) is adopted at its first key frame, and let go where libaom frees it. Of its
 * frames those are pruned that the pruner is for: intra frames, or inter frames. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "av1/encoder/encodeframe.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "encoder.h"
#include "given.h"
#include "instances.h"
#include "masks.h"
#include "pruner.h"
#include "references.h"
#include "search.h"
#include "told.h"

__typeof__(av1_encode_frame) __real_av1_encode_frame, __wrap_av1_encode_frame;
__typeof__(av1_remove_compressor) __real_av1_remove_compressor, __wrap_av1_remove_compressor;
__typeof__(av1_prune_ab_partitions) __real_av1_prune_ab_partitions, __wrap_av1_prune_ab_partitions;
__typeof__(av1_prune_partitions_before_search) __real_av1_prune_partitions_before_search,
    __wrap_av1_prune_partitions_before_search;

/* Two encoders may be adopted or let go at once; readers look without the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  av1part_encoder *encoder; /* NULL: no instance has this slot */
  const av1part_pruner_file *pruners[2]; /* what its pruners of intra and of inter frames were made for; NULL: none */
  const av1part_pipeline_file *pipelines[AV1PART_LEVELS]; /* the same of its pipelines */
  int frames[2], pruned, masked; /* seen: intra frames, inter frames */
  int masked_nodes, last_masked_nodes; /* of the frames before the last one, and of that */
  const void *frame;  /* libaom's buffer of the one counted last: where it misses its size, a frame is coded again */
} table[AV1PART_MAX_ENCODERS];

/* Pruners and pipelines learnt from pictures coded at their own size. */
static bool resizes(const AV1_COMP *cpi) {
  return cpi->oxcf.superres_cfg.superres_mode != AOM_SUPERRES_NONE || cpi->oxcf.resize_cfg.resize_mode != RESIZE_NONE;
}

/* Give the folders' content back when the library is closed (dlclose). At the end of a process an encoder may still be
 * at work in another thread: then everything stays. */
__attribute__((destructor)) static void close_library(void) {
  if (pthread_mutex_trylock(&lock) != 0) return;
  bool idle = true;
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) idle = idle && !table[i].encoder;
  if (idle) av1part_free_given();
  pthread_mutex_unlock(&lock);
}

static void close_encoder(int slot) {
  av1part_encoder *const e = table[slot].encoder;
  table[slot].encoder = NULL;
  if (!e) return;
  av1part_decide_close(e);
  av1part_masks_close(e);
  av1part_record_close(e);
  av1part_references_free(e->references);
  av1part_nodes_free(e);
  free(e);
}

static bool has_pruner(int slot) { return table[slot].pruners[0] || table[slot].pruners[1]; }

/* Load the pruners that were chosen for an entry of the table. */
static bool load_pruners(int slot, int cpu_used, const char **why) {
  for (int kind = 0; kind < 2; ++kind) {
    const av1part_pruner_file *const file = table[slot].pruners[kind];
    if (!file) continue;
    av1part_pruner *const pruner = av1part_pruner_load(file->data, file->size, why);
    if (!pruner) return false;
    av1part_decide_take(table[slot].encoder, kind, pruner, file->price, file->most);
    av1part_decide_overrides(table[slot].encoder, file, cpu_used);
  }
  return true;
}

/* Let a pipeline mask; false with the reason in the encoder's detail. */
static bool open_pipeline(av1part_encoder *e, const av1part_pipeline_file *file) {
  av1part_pipeline *const opened = av1part_pipeline_open(&file->config, e->detail, sizeof(e->detail));
  if (!opened) return false;
  if (!e->masker && av1part_masker_open(&e->masker) != AV1PART_OK) {
    av1part_pipeline_free(opened);
    av1part_fail(e, AV1PART_ERR_MEMORY, "the pipeline");
    return false;
  }
  av1part_masker_put(e->masker, opened);
  return true;
}

/* Open the encoder of a table's entry with what was chosen for it. Masks whose networks cannot be opened are left out;
 * false: nothing is left. */
static bool open_encoder(int slot, int cpu_used) {
  const char *why = "out of memory";
  av1part_encoder *const e = table[slot].encoder = calloc(1, sizeof(*e));
  if (!e || av1part_decide_open(e) != AV1PART_OK || !load_pruners(slot, cpu_used, &why)) {
    av1part_say_once(AV1PART_ALONE, why);
    close_encoder(slot);
    return false;
  }
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    if (!table[slot].pipelines[l] || av1part_masks_given_up() || open_pipeline(e, table[slot].pipelines[l])) continue;
    av1part_give_masks_up();
    av1part_say_once(has_pruner(slot) ? AV1PART_UNMASKED : AV1PART_ALONE, e->detail);
  }
  if (has_pruner(slot) || e->masker) return true;
  close_encoder(slot);
  return false;
}

/* Choose what was made for this encoder; false where nothing was. */
static bool choose(const AV1_COMP *cpi, int slot) {
  const av1part_given *const given = av1part_given_folders();
  bool masked = false;
  table[slot].pruners[0] = table[slot].pruners[1] = NULL;
  for (int i = given->pruner_count - 1; i >= 0; --i) {
    if (av1part_pruner_suits(cpi, &given->pruners[i])) table[slot].pruners[given->pruners[i].inter] = &given->pruners[i];
  }
  for (int l = 0; l < AV1PART_LEVELS; ++l) table[slot].pipelines[l] = NULL;
  for (int i = given->pipeline_count - 1; i >= 0 && !av1part_masks_given_up(); --i) {
    if (!av1part_pipeline_suits(cpi, &given->pipelines[i])) continue;
    table[slot].pipelines[av1part_level_of_side(given->pipelines[i].config.node_size)] = &given->pipelines[i];
    masked = true;
  }
  av1part_say_without(cpi, has_pruner(slot), masked);
  return has_pruner(slot) || masked;
}

/* Index in the table, -1 where the encoder stays as it is. */
static int adopt(const AV1_COMP *cpi) {
  pthread_mutex_lock(&lock);
  int slot = av1part_instances_claim();
  if (slot < 0) {
    av1part_say_once(AV1PART_ALONE, "too many encoders are open");
  } else if (choose(cpi, slot) && open_encoder(slot, cpi->oxcf.speed)) {
    memset(table[slot].frames, 0, sizeof(table[slot].frames));
    table[slot].pruned = table[slot].masked = 0;
    table[slot].masked_nodes = table[slot].last_masked_nodes = 0;
    table[slot].frame = NULL;
    av1part_instances_bind(slot, cpi, table[slot].encoder);
  } else {
    av1part_instances_release(slot);
    slot = -1;
  }
  pthread_mutex_unlock(&lock);
  return slot;
}

/* Nodes for frames of this size. */
static bool fit_nodes(av1part_encoder *e, int width, int height) {
  if (e->levels[0].mask && e->config.width == width && e->config.height == height) return true;
  av1part_nodes_free(e);
  memset(e->levels, 0, sizeof(e->levels));
  e->config.width = width;
  e->config.height = height;
  if (av1part_nodes_allocate(e) == AV1PART_OK) return true;
  av1part_nodes_free(e);
  memset(e->levels, 0, sizeof(e->levels));
  return false;
}

/* Make this frame's masks; false where there are none. */
static bool mask_frame(int slot, const AV1_COMP *cpi) {
  av1part_encoder *const e = table[slot].encoder;
  bool wanted = false;
  for (int l = 0; !av1part_masks_given_up() && l < AV1PART_LEVELS; ++l) {
    wanted = wanted || (table[slot].pipelines[l] && av1part_pipeline_suits(cpi, table[slot].pipelines[l]));
  }
  if (!wanted) return false;
  av1part_clear_effects(e);
  if (av1part_mask_by_pipelines(e, cpi)) return true;
  av1part_give_masks_up();
  av1part_say_once(has_pruner(slot) ? AV1PART_UNMASKED : AV1PART_ALONE, e->detail);
  return false;
}

static bool has_masks(int slot) {
  bool any = false;
  for (int l = 0; l < AV1PART_LEVELS; ++l) any = any || table[slot].pipelines[l];
  return any;
}

/* Whether anything acts on frames of a kind, 0 intra, 1 inter: masks are for intra frames. */
static bool acts_on(int slot, int kind) { return table[slot].pruners[kind] || (!kind && has_masks(slot)); }

/* Prune and mask this frame's search where it is of the kind, and of the settings, that this was made for: masks are for
 * intra frames. */
static void begin_frame(const AV1_COMP *cpi) {
  const bool intra = frame_is_intra_only(&cpi->common);
  if (cpi->sf.part_sf.partition_search_type != SEARCH_PARTITION) {
    /* libaom also codes a key frame twice in advance with fixed partitions, to detect screen content. */
    if (intra && cpi->sf.part_sf.partition_search_type != FIXED_PARTITION) av1part_say_searchless(cpi);
    return;
  }
  if (!intra && av1part_instances_slot(cpi) < 0) return;
  if (resizes(cpi)) {
    av1part_say_once(AV1PART_ALONE, av1part_given_folders()->pipeline_count ? "no masks for super-resolution or a resize mode"
                                   : "no pruner for super-resolution or a resize mode");
    return;
  }
  const int known = av1part_instances_slot(cpi), i = known < 0 ? adopt(cpi) : known;
  if (i < 0) return;
  const bool again = table[i].frame == cpi->common.cur_frame;
  table[i].frame = cpi->common.cur_frame;
  if (!acts_on(i, !intra)) return;
  av1part_encoder *const e = table[i].encoder;
  if (!fit_nodes(e, cpi->common.width, cpi->common.height)) {
    av1part_say_once(AV1PART_ALONE, "out of memory");
    return;
  }
  table[i].frames[!intra] += !again;
  if (!again) table[i].masked_nodes += table[i].last_masked_nodes;
  table[i].last_masked_nodes = 0;
  const av1part_pruner_file *const file = table[i].pruners[!intra];
  e->search_active = av1part_decide_frame(e, file && av1part_pruner_suits(cpi, file) ? !intra : AV1PART_NOBODY);
  if (e->search_active) av1part_search_frame(e, cpi);
  e->mask_active = intra && mask_frame(i, cpi);
  table[i].pruned += !again && e->search_active;
  table[i].masked += !again && e->mask_active;
  /* Its settings may have been changed on the way. */
  const bool others = table[i].pruners[intra] != NULL; /* of frames of the other kind */
  if (!e->search_active && !e->mask_active) av1part_say_without(cpi, others, false);
}

static void end_frame(const AV1_COMP *cpi) {
  const int i = av1part_instances_slot(cpi);
  if (i < 0) return;
  av1part_encoder *const e = table[i].encoder;
  for (int l = 0; e->mask_active && l < AV1PART_LEVELS; ++l) {
    const av1part_level *const level = &e->levels[l];
    for (size_t n = 0; n < node_count(level); ++n) table[i].last_masked_nodes += level->effect[n] == EFFECT_MASKED;
  }
  e->search_active = e->mask_active = false;
  av1part_search_frame_end(e, cpi);
}

/* Whether there is anything to prune or mask with. */
static bool anything(void) {
  const av1part_given *const given = av1part_given_folders();
  return given->pruner_count || given->pipeline_count;
}

void __wrap_av1_encode_frame(AV1_COMP *cpi) {
  av1part_search_reset();
  av1part_encoder *const e = anything() ? av1part_instances_find(cpi) : NULL;
  if (e) e->search_active = e->mask_active = false; /* an error may have jumped over the end of the frame before */
  if (anything()) begin_frame(cpi);
  const av1part_encoder *const now = anything() ? av1part_instances_find(cpi) : NULL; /* adopted just now, perhaps */
  if (now && now->search_active) av1part_override_frame(now, cpi);
  __real_av1_encode_frame(cpi);
  if (anything()) end_frame(cpi);
}

void __wrap_av1_prune_partitions_before_search(AV1_COMP *const cpi, MACROBLOCK *const x,
                                               SIMPLE_MOTION_DATA_TREE *const sms_tree,
                                               PartitionSearchState *state) {
  __real_av1_prune_partitions_before_search(cpi, x, sms_tree, state);
  av1part_encoder *const e = anything() ? av1part_instances_find(cpi) : NULL;
  av1part_mask_begin(e, cpi, x, state);
  av1part_search_begin(e, cpi, x, sms_tree, state);
}

void __wrap_av1_prune_ab_partitions(AV1_COMP *cpi, const MACROBLOCK *x, const PC_TREE *pc_tree,
                                    int pb_source_variance, int64_t best_rdcost,
                                    const RD_RECT_PART_WIN_INFO *rect_part_win_info, bool ext_partition_allowed,
                                    PartitionSearchState *state, int *ab_partitions_allowed) {
  __real_av1_prune_ab_partitions(cpi, x, pc_tree, pb_source_variance, best_rdcost, rect_part_win_info,
                                 ext_partition_allowed, state, ab_partitions_allowed);
  av1part_mask_ab(anything() ? av1part_instances_find(cpi) : NULL, cpi, x, state, ab_partitions_allowed);
  av1part_search_ab(state, ab_partitions_allowed);
}

/* Say what was done for an encoder. `frames` are all that it showed, those of no kind that anything is for among them. */
static void write_stats(int slot, const AV1_COMP *cpi) {
  static const char *const names[] = AV1PART_DECISION_NAMES;
  char line[8192];
  int used = snprintf(line, sizeof(line), "{\"frames\":%d,", cpi->frame_index_set.show_frame_count);
  if (acts_on(slot, 0)) {
    used += snprintf(line + used, sizeof(line) - (size_t)used, "\"key_frames\":%d,", table[slot].frames[0]);
  }
  if (acts_on(slot, 1)) {
    used += snprintf(line + used, sizeof(line) - (size_t)used, "\"inter_frames\":%d,", table[slot].frames[1]);
  }
  used += snprintf(line + used, sizeof(line) - (size_t)used,
                   "\"pruned_frames\":%d,\"masked_frames\":%d,\"masked_nodes\":%d,\"decisions\":{",
                   table[slot].pruned, table[slot].masked,
                   table[slot].masked_nodes + table[slot].last_masked_nodes);
  bool first = true;
  av1part_decision_counts counts;
  av1part_decisions(table[slot].encoder, &counts);
  for (int d = 0; d < AV1PART_DECISIONS; ++d) {
    for (int s = 1; s <= AV1PART_SQUARES; ++s) {
      const long long asked = counts.asked[s - 1][d], taken = counts.taken[s - 1][d];
      if (!asked) continue;
      used += snprintf(line + used, sizeof(line) - (size_t)used, "%s\"%s_%d\":{\"asked\":%lld,\"skipped\":%lld}",
                       first ? "" : ",", names[d], 4 << s, asked, taken);
      first = false;
    }
  }
  snprintf(line + used, sizeof(line) - (size_t)used, "}}\n");
  av1part_append_line("AV1PART_STATS", line);
}

void __wrap_av1_remove_compressor(AV1_COMP *cpi) {
  pthread_mutex_lock(&lock);
  const int i = cpi ? av1part_instances_slot(cpi) : -1;
  if (i >= 0) {
    write_stats(i, cpi);
    av1part_instances_release(i);
    close_encoder(i);
  }
  pthread_mutex_unlock(&lock);
  __real_av1_remove_compressor(cpi);
}
