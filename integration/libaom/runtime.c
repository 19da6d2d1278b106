/* The hook for libaom as a library of its own (libaom.so.3), in hosts that know nothing of us. In place of hook.c.
 *
 * AV1PART_PIPELINE names the folders of pruners, with colons between; an encoder takes the first that was made for it.
 * AV1PART_PRICE is another price than their own, AV1PART_STATS a file that gets one line of JSON for each encoder when it
 * is closed. Without AV1PART_PIPELINE, where a pruner cannot be read, and for what none was made, every stream is that of
 * the untouched library, byte for byte. Each reason goes to stderr, once a process.
 *
 * libaom's own encoder instance (AV1_COMP) is adopted at its first key frame, and let go where libaom frees it. Of its
 * frames those are pruned that the pruner is for: intra frames, or inter frames. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "av1/encoder/encodeframe.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "costs.h"
#include "encoder.h"
#include "inside_search.h"
#include "pruner.h"
#include "pruner_file.h"

__typeof__(av1_encode_frame) __real_av1_encode_frame, __wrap_av1_encode_frame;
__typeof__(av1_remove_compressor) __real_av1_remove_compressor, __wrap_av1_remove_compressor;
__typeof__(av1_prune_ab_partitions) __real_av1_prune_ab_partitions, __wrap_av1_prune_ab_partitions;
__typeof__(av1_prune_partitions_before_search) __real_av1_prune_partitions_before_search,
    __wrap_av1_prune_partitions_before_search;

enum { MOST_PRUNERS = 16, MOST_REASONS = 16 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static av1part_pruner_file made[MOST_PRUNERS];
static int made_count;

/* Two encoders may be adopted or let go at once; readers look without the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  _Atomic(const AV1_COMP *) instance;
  av1part_encoder *encoder;
  const av1part_pruner_file *made; /* what its pruner was made for */
  int frames, pruned; /* those seen of the pruner's kind */
  const void *frame;  /* libaom's buffer of the one counted last: where it misses its size, a frame is coded again */
} table[AV1PART_MAX_ENCODERS];

/* Print a reason unless this process has printed it. */
static void say_once(const char *what) {
  static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
  static char said[MOST_REASONS][256];
  int i = 0;
  pthread_mutex_lock(&own);
  while (i < MOST_REASONS && *said[i] && strncmp(said[i], what, sizeof(*said) - 1) != 0) ++i;
  if (i < MOST_REASONS && !*said[i]) {
    snprintf(said[i], sizeof(*said), "%s", what);
    fprintf(stderr, "av1part: coded as by libaom alone: %s\n", what);
  }
  pthread_mutex_unlock(&own);
}

int av1part_fail(av1part_encoder *e, int status, const char *what) {
  snprintf(e->detail, sizeof(e->detail), "%s", what);
  return status;
}

/* No masks here. */
void av1part_hook_four_way(const AV1_COMP *cpi, const PartitionSearchState *state, int *part4_allowed) {
  (void)cpi, (void)state, (void)part4_allowed;
}

/* Nothing is pruned unless all can be read. */
static void read_pipeline(void) {
  const char *const folders = getenv("AV1PART_PIPELINE"), *const price = getenv("AV1PART_PRICE");
  if (!folders || !*folders) return;
  char list[8192], why[4352] = "", *rest = list;
  if (snprintf(list, sizeof(list), "%s", folders) >= (int)sizeof(list)) snprintf(why, sizeof(why), "AV1PART_PIPELINE: too long");
  const double own_price = price && *price ? av1part_decimal(price) : 1;
  if (!(own_price > 0)) snprintf(why, sizeof(why), "AV1PART_PRICE: expected a number above 0, as 0.05");
  int count = 0;
  for (char *folder; !*why && (folder = strtok_r(rest, ":", &rest)) != NULL;) {
    if (count == MOST_PRUNERS) {
      snprintf(why, sizeof(why), "AV1PART_PIPELINE: more than %d pruners", MOST_PRUNERS);
    } else if (av1part_pruner_file_read(folder, &made[count], why, sizeof(why))) {
      if (price && *price) made[count].price = own_price;
      ++count;
    }
  }
  if (*why) {
    say_once(why);
    while (count) av1part_pruner_file_free(&made[--count]);
  }
  made_count = count;
}

/* Whether this encoder's frames are what the pruner was made for. One pruner serves 8 and 10 bit: it looks at luma in
 * quantiser steps and at costs in bits. */
static bool suits(const AV1_COMP *cpi, const av1part_pruner_file *file) {
  const SequenceHeader *const seq = cpi->common.seq_params;
  const AV1EncoderConfig *const config = &cpi->oxcf;
  return seq->bit_depth != AOM_BITS_12 && !seq->monochrome && seq->subsampling_x && seq->subsampling_y &&
         config->mode == (file->all_intra ? ALLINTRA : GOOD) && av1part_pruner_file_serves(file, config->speed) &&
         config->part_cfg.enable_1to4_partitions == (file->four_way != 0) &&
         (!file->inter || config->kf_cfg.key_freq_max > 0);
}

static void say_unsuitable(const AV1_COMP *cpi) {
  static const char *const usages[] = { "good", "realtime", "allintra" };
  const SequenceHeader *const seq = cpi->common.seq_params;
  const AV1EncoderConfig *const config = &cpi->oxcf;
  const char *const chroma = seq->monochrome ? "monochrome" : !seq->subsampling_x ? "4:4:4" : !seq->subsampling_y ? "4:2:2" : "4:2:0";
  char why[256];
  int used = snprintf(why, sizeof(why), "no pruner for %d bit, %s, usage %s, cpu-used %d, 4-way %s", (int)seq->bit_depth,
                      chroma, usages[config->mode], config->speed, config->part_cfg.enable_1to4_partitions ? "on" : "off");
  if (made_count == 1) {
    snprintf(why + used, sizeof(why) - (size_t)used, " (this one: 8 or 10 bit, 4:2:0, usage %s, each cpu-used of %s, 4-way %s)",
             usages[made->all_intra ? ALLINTRA : GOOD], made->speeds, made->four_way ? "on" : "off");
  }
  say_once(why);
}

/* Pruners learnt from pictures coded at their own size. */
static bool resizes(const AV1_COMP *cpi) {
  return cpi->oxcf.superres_cfg.superres_mode != AOM_SUPERRES_NONE || cpi->oxcf.resize_cfg.resize_mode != RESIZE_NONE;
}

static int find(const AV1_COMP *cpi) {
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) {
    if (atomic_load_explicit(&table[i].instance, memory_order_acquire) == cpi) return i;
  }
  return -1;
}

av1part_encoder *av1part_hook_find(const AV1_COMP *cpi) {
  const int i = find(cpi);
  return i < 0 ? NULL : table[i].encoder;
}

static av1part_encoder *open_encoder(const av1part_pruner_file *file) {
  const char *why = "out of memory";
  av1part_encoder *const e = calloc(1, sizeof(*e));
  if (e) e->pruner = av1part_pruner_load(file->data, file->size, &why);
  if (e && e->pruner) {
    e->prune_log_price = log(file->price);
    e->prune_log_most = log(file->most);
    return e;
  }
  free(e);
  say_once(why);
  return NULL;
}

/* Index in the table, -1 where the encoder stays as it is. */
static int adopt(const AV1_COMP *cpi) {
  int free_slot = -1, chosen = 0;
  while (chosen < made_count && !suits(cpi, &made[chosen])) ++chosen;
  if (chosen == made_count) {
    say_unsuitable(cpi);
    return -1;
  }
  pthread_mutex_lock(&lock);
  for (int i = 0; i < AV1PART_MAX_ENCODERS && free_slot < 0; ++i) {
    if (!atomic_load(&table[i].instance)) free_slot = i;
  }
  if (free_slot < 0) {
    say_once("too many encoders are open");
  } else if ((table[free_slot].encoder = open_encoder(&made[chosen])) != NULL) {
    table[free_slot].made = &made[chosen];
    table[free_slot].frames = table[free_slot].pruned = 0;
    table[free_slot].frame = NULL;
    atomic_store_explicit(&table[free_slot].instance, cpi, memory_order_release);
  } else {
    free_slot = -1;
  }
  pthread_mutex_unlock(&lock);
  return free_slot;
}

/* Prune this frame's search where it is of the kind, and of the settings, that the pruner was made for. */
static void begin_frame(const AV1_COMP *cpi) {
  /* libaom also codes a key frame twice in advance with fixed partitions, to detect screen content. */
  if (cpi->sf.part_sf.partition_search_type != SEARCH_PARTITION) return;
  const bool intra = frame_is_intra_only(&cpi->common);
  if (!intra && find(cpi) < 0) return;
  if (resizes(cpi)) {
    say_once("no pruner for super-resolution or a resize mode");
    return;
  }
  const int known = find(cpi), i = known < 0 ? adopt(cpi) : known;
  if (i < 0 || intra == table[i].made->inter) return;
  av1part_encoder *const e = table[i].encoder;
  e->config.width = cpi->common.width;
  e->config.height = cpi->common.height;
  const bool again = table[i].frame == cpi->common.cur_frame;
  table[i].frame = cpi->common.cur_frame;
  table[i].frames += !again;
  if (!suits(cpi, table[i].made)) { /* its settings were changed on the way */
    say_unsuitable(cpi);
    return;
  }
  table[i].pruned += !again;
  e->search_active = true;
}

void __wrap_av1_encode_frame(AV1_COMP *cpi) {
  pthread_once(&once, read_pipeline);
  av1part_encoder *e = made_count ? av1part_hook_find(cpi) : NULL;
  if (e) e->search_active = false; /* an error may have jumped over the end of the frame before */
  if (made_count) begin_frame(cpi);
  __real_av1_encode_frame(cpi);
  e = made_count ? av1part_hook_find(cpi) : NULL;
  if (e) e->search_active = false;
}

void __wrap_av1_prune_partitions_before_search(AV1_COMP *const cpi, MACROBLOCK *const x,
                                               SIMPLE_MOTION_DATA_TREE *const sms_tree,
                                               PartitionSearchState *state) {
  __real_av1_prune_partitions_before_search(cpi, x, sms_tree, state);
  av1part_encoder *const e = made_count ? av1part_hook_find(cpi) : NULL;
  av1part_search_begin(e && e->search_active ? e : NULL, cpi, x, state);
}

void __wrap_av1_prune_ab_partitions(AV1_COMP *cpi, const MACROBLOCK *x, const PC_TREE *pc_tree,
                                    int pb_source_variance, int64_t best_rdcost,
                                    const RD_RECT_PART_WIN_INFO *rect_part_win_info, bool ext_partition_allowed,
                                    PartitionSearchState *state, int *ab_partitions_allowed) {
  __real_av1_prune_ab_partitions(cpi, x, pc_tree, pb_source_variance, best_rdcost, rect_part_win_info,
                                 ext_partition_allowed, state, ab_partitions_allowed);
  av1part_search_ab(state, ab_partitions_allowed);
}

/* One line, written at once, so that encoders of several processes may share the file. */
static void write_stats(int slot) {
  const char *const path = getenv("AV1PART_STATS");
  if (!path || !*path) return;
  static const char *const names[AV1PART_DECISIONS] = { "stop", "no_split", "no_rect", "no_ab", "no_four_way" };
  char line[4096];
  int used = snprintf(line, sizeof(line), "{\"%s_frames\":%d,\"pruned_frames\":%d,\"decisions\":{",
                      table[slot].made->inter ? "inter" : "key", table[slot].frames, table[slot].pruned);
  bool first = true;
  for (int d = 0; d < AV1PART_DECISIONS; ++d) {
    for (int s = 1; s <= AV1PART_SQUARES; ++s) {
      const atomic_int *const count = table[slot].encoder->decisions[s][d];
      if (!count[0]) continue;
      used += snprintf(line + used, sizeof(line) - (size_t)used, "%s\"%s_%d\":{\"asked\":%d,\"skipped\":%d}",
                       first ? "" : ",", names[d], 4 << s, count[0], count[1]);
      first = false;
    }
  }
  used += snprintf(line + used, sizeof(line) - (size_t)used, "}}\n");
  FILE *const file = fopen(path, "a");
  const bool whole = file && fwrite(line, 1, (size_t)used, file) == (size_t)used;
  /* A full disk shows when the file is closed. */
  if ((file && fclose(file) != 0) || !whole) fprintf(stderr, "av1part: AV1PART_STATS: %s cannot be written\n", path);
}

void __wrap_av1_remove_compressor(AV1_COMP *cpi) {
  pthread_mutex_lock(&lock);
  const int i = cpi ? find(cpi) : -1;
  if (i >= 0) {
    write_stats(i);
    atomic_store(&table[i].instance, NULL);
    av1part_pruner_free(table[i].encoder->pruner);
    free(table[i].encoder);
    table[i].encoder = NULL;
  }
  pthread_mutex_unlock(&lock);
  __real_av1_remove_compressor(cpi);
}
