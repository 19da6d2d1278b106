/* The hook inside libaom's encoder. The linker (-Wl,--wrap=SYMBOL) sends libaom's own calls of three of its
 * functions here, of one to labels.c, of the others to squares.c; each is called in its turn, so that without a mask
 * nothing changes.
 *
 * libaom hands its own encoder instance (AV1_COMP) to these functions, from several threads; a table maps it
 * to ours. Compiled with libaom's own flags: -DNDEBUG and the sizes of its configuration decide struct layouts. */
#include <stdatomic.h>
#include <string.h>

#include "av1/common/av1_common_int.h"
#include "av1/encoder/encodeframe.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "encoder.h"
#include "search.h"
#include "masks.h"
#include "pruner.h"

/* Declared through the originals' types: should a signature change, this file stops compiling. */
__typeof__(av1_encode_frame) __real_av1_encode_frame, __wrap_av1_encode_frame;
__typeof__(av1_prune_ab_partitions) __real_av1_prune_ab_partitions, __wrap_av1_prune_ab_partitions;
__typeof__(av1_prune_partitions_before_search) __real_av1_prune_partitions_before_search,
    __wrap_av1_prune_partitions_before_search;

/* A slot is claimed at open and released at close. `instance` is learnt when libaom first shows it, and is
 * the key of the searches made by libaom's worker threads; `encoder` is fixed while the slot is claimed. */
static struct {
  atomic_bool claimed;
  _Atomic(const AV1_COMP *) instance;
  av1part_encoder *encoder;
} table[AV1PART_MAX_ENCODERS];

static _Thread_local av1part_encoder *current; /* the encoder whose av1part_encode this thread is in */

int av1part_hook_claim(av1part_encoder *encoder) {
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) {
    if (!atomic_exchange(&table[i].claimed, true)) {
      table[i].encoder = encoder;
      encoder->slot = i;
      return AV1PART_OK;
    }
  }
  return AV1PART_ERR_FULL;
}

void av1part_hook_release(av1part_encoder *encoder) {
  if (encoder->slot < 0) return;
  atomic_store(&table[encoder->slot].instance, NULL);
  atomic_store(&table[encoder->slot].claimed, false);
  for (int kind = 0; kind < 2; ++kind) {
    av1part_pruner_free(encoder->deciders[kind].pruner);
    encoder->deciders[kind].pruner = NULL;
  }
  av1part_masker_close(encoder->masker);
  encoder->masker = NULL;
  encoder->slot = -1;
}

av1part_encoder *av1part_hook_enter(av1part_encoder *encoder) {
  av1part_encoder *const previous = current;
  current = encoder;
  return previous;
}

void av1part_hook_leave(av1part_encoder *previous) { current = previous; }

av1part_encoder *av1part_hook_find(const AV1_COMP *cpi) {
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) {
    if (atomic_load_explicit(&table[i].instance, memory_order_acquire) == cpi) return table[i].encoder;
  }
  return NULL;
}

/* ---- the mask of a frame ---- */

static int ask_callback(av1part_encoder *e, const AV1_COMP *cpi) {
  av1part_picture picture;
  if (!av1part_picture_of(cpi, &picture) || picture.deep != (e->config.bit_depth > 8)) return 1;
  const av1part_source source = {
    .luma = picture.luma,
    .stride = picture.stride,
    .width = picture.width,
    .height = picture.height,
    .bit_depth = e->config.bit_depth,
    .qindex = picture.qindex,
    .key_frame = cpi->common.current_frame.frame_type == KEY_FRAME,
    .frame_number = e->packets, /* an intra frame is shown in the packet that it is coded in */
  };
  if (source.width != e->config.width || source.height != e->config.height) return 1;
  av1part_mask masks[AV1PART_LEVELS];
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const av1part_level *const level = &e->levels[l];
    masks[l] = (av1part_mask){ level->mask, level->rows, level->columns };
    memset(level->mask, 0, node_count(level) * sizeof(*level->mask));
  }
  return e->callback(e->user, &source, masks);
}

static void prepare_mask(av1part_encoder *e, const AV1_COMP *cpi) {
  e->mask_active = false;
  e->search_active = e->search_recorded = false;
  e->decider = NULL;
  av1part_clear_costs(e); /* a frame coded again is searched again: the last search counts */
  /* libaom also codes a key frame twice in advance with fixed partitions, to detect screen content. */
  if (cpi->sf.part_sf.partition_search_type != SEARCH_PARTITION) return;
  av1part_clear_effects(e);
  const bool intra = frame_is_intra_only(&cpi->common);
  e->decider = e->deciders[!intra].pruner ? &e->deciders[!intra] : NULL;
  e->search_recorded = e->search_share && intra != e->search_inter;
  e->search_active = e->decider || e->search_recorded;
  if (e->search_active) av1part_search_frame(e, cpi);
  if (!intra) return;
  if (e->mask_given) {
    e->mask_active = true;
  } else if (e->callback || e->masker) {
    const int qindex = cpi->common.quant_params.base_qindex;
    /* A frame coded again at the same qindex keeps its mask. */
    if (e->mask_qindex != qindex || e->mask_frame != cpi->source) {
      e->mask_failed = e->callback ? ask_callback(e, cpi) != 0 : !av1part_mask_by_pipelines(e, cpi);
      e->mask_qindex = qindex;
      e->mask_frame = cpi->source;
    }
    e->mask_active = !e->mask_failed;
  }
}

void __wrap_av1_encode_frame(AV1_COMP *cpi) {
  if (current) atomic_store_explicit(&table[current->slot].instance, cpi, memory_order_release);
  av1part_encoder *const e = current ? current : av1part_hook_find(cpi);
  if (e) prepare_mask(e, cpi);
  if (e && e->cnn_disabled) cpi->sf.part_sf.intra_cnn_based_part_prune_level = 0; /* libaom sets it anew a frame */
  __real_av1_encode_frame(cpi);
}

/* ---- the search of a node ---- */

void __wrap_av1_prune_partitions_before_search(AV1_COMP *const cpi, MACROBLOCK *const x,
                                               SIMPLE_MOTION_DATA_TREE *const sms_tree,
                                               PartitionSearchState *state) {
  __real_av1_prune_partitions_before_search(cpi, x, sms_tree, state);
  av1part_encoder *const e = av1part_hook_find(cpi);
  av1part_mask_begin(e, cpi, x, state);
  av1part_search_begin(e, cpi, x, state);
}

void __wrap_av1_prune_ab_partitions(AV1_COMP *cpi, const MACROBLOCK *x, const PC_TREE *pc_tree,
                                    int pb_source_variance, int64_t best_rdcost,
                                    const RD_RECT_PART_WIN_INFO *rect_part_win_info, bool ext_partition_allowed,
                                    PartitionSearchState *state, int *ab_partitions_allowed) {
  __real_av1_prune_ab_partitions(cpi, x, pc_tree, pb_source_variance, best_rdcost, rect_part_win_info,
                                 ext_partition_allowed, state, ab_partitions_allowed);
  av1part_mask_ab(av1part_hook_find(cpi), cpi, x, state, ab_partitions_allowed);
  av1part_search_ab(state, ab_partitions_allowed);
}
