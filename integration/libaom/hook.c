/* The hook inside libaom's encoder. The linker (-Wl,--wrap=SYMBOL) sends libaom's own calls of three of its
 * functions here, of one to labels.c, of the others to squares.c; each is called in its turn, so that without a mask
 * nothing changes.
 *
 * libaom hands its own encoder instance (AV1_COMP) to these functions, from several threads; a table maps it
 * to ours (instances.c). Compiled with libaom's own flags: -DNDEBUG and the sizes of its configuration decide struct layouts. */
#include <string.h>

#include "av1/common/av1_common_int.h"
#include "av1/encoder/encodeframe.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "encoder.h"
#include "instances.h"
#include "masks.h"
#include "references.h"
#include "search.h"

/* Declared through the originals' types: should a signature change, this file stops compiling. */
__typeof__(av1_encode_frame) __real_av1_encode_frame, __wrap_av1_encode_frame;
__typeof__(av1_prune_ab_partitions) __real_av1_prune_ab_partitions, __wrap_av1_prune_ab_partitions;
__typeof__(av1_prune_partitions_before_search) __real_av1_prune_partitions_before_search,
    __wrap_av1_prune_partitions_before_search;

static _Thread_local av1part_encoder *current; /* the encoder whose av1part_encode this thread is in */

int av1part_hook_open(av1part_encoder *encoder) {
  encoder->slot = av1part_instances_claim();
  if (encoder->slot < 0) return AV1PART_ERR_FULL;
  const int status = av1part_decide_open(encoder);
  return status == AV1PART_OK ? av1part_record_open(encoder) : status;
}

void av1part_hook_close(av1part_encoder *encoder) {
  if (encoder->slot < 0) return;
  av1part_instances_release(encoder->slot);
  av1part_decide_close(encoder);
  av1part_masks_close(encoder);
  av1part_record_close(encoder);
  av1part_references_free(encoder->references);
  encoder->references = NULL;
  encoder->slot = -1;
}

av1part_encoder *av1part_hook_enter(av1part_encoder *encoder) {
  av1part_encoder *const previous = current;
  av1part_record_packet(encoder);
  current = encoder;
  return previous;
}

void av1part_hook_leave(av1part_encoder *previous) { current = previous; }

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
  e->search_active = false;
  av1part_clear_costs(e); /* a frame coded again is searched again: the last search counts */
  /* libaom also codes a key frame twice in advance with fixed partitions, to detect screen content. */
  if (cpi->sf.part_sf.partition_search_type != SEARCH_PARTITION) return;
  av1part_clear_effects(e);
  const bool intra = frame_is_intra_only(&cpi->common);
  const bool recorded = av1part_record_frame(e, intra != e->search_inter);
  e->search_active = av1part_decide_frame(e, !intra) || recorded;
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
  av1part_search_reset();
  if (current) av1part_instances_bind(current->slot, cpi, current);
  av1part_encoder *const e = current ? current : av1part_instances_find(cpi);
  if (e) prepare_mask(e, cpi);
  if (e && e->search_active) av1part_override_frame(e, cpi);
  if (e && e->cnn_disabled) cpi->sf.part_sf.intra_cnn_based_part_prune_level = 0; /* libaom sets it anew a frame */
  __real_av1_encode_frame(cpi);
  if (e) av1part_search_frame_end(e, cpi);
}

/* ---- the search of a node ---- */

void __wrap_av1_prune_partitions_before_search(AV1_COMP *const cpi, MACROBLOCK *const x,
                                               SIMPLE_MOTION_DATA_TREE *const sms_tree,
                                               PartitionSearchState *state) {
  __real_av1_prune_partitions_before_search(cpi, x, sms_tree, state);
  av1part_encoder *const e = av1part_instances_find(cpi);
  av1part_mask_begin(e, cpi, x, state);
  av1part_search_begin(e, cpi, x, sms_tree, state);
}

void __wrap_av1_prune_ab_partitions(AV1_COMP *cpi, const MACROBLOCK *x, const PC_TREE *pc_tree,
                                    int pb_source_variance, int64_t best_rdcost,
                                    const RD_RECT_PART_WIN_INFO *rect_part_win_info, bool ext_partition_allowed,
                                    PartitionSearchState *state, int *ab_partitions_allowed) {
  __real_av1_prune_ab_partitions(cpi, x, pc_tree, pb_source_variance, best_rdcost, rect_part_win_info,
                                 ext_partition_allowed, state, ab_partitions_allowed);
  av1part_mask_ab(av1part_instances_find(cpi), cpi, x, state, ab_partitions_allowed);
  av1part_search_ab(state, ab_partitions_allowed);
}
