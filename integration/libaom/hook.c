/* The hook inside libaom's encoder. The linker (-Wl,--wrap=SYMBOL) sends libaom's own calls of three of its
 * functions here, of one to labels.c, of two to costs.c; each is called in its turn, so that without a mask nothing
 * changes.
 *
 * libaom hands its own encoder instance (AV1_COMP) to these functions, from several threads; a table maps it
 * to ours. Compiled with libaom's own flags: -DNDEBUG and the sizes of its configuration decide struct layouts. */
#include <stdatomic.h>
#include <string.h>

#include "av1/common/av1_common_int.h"
#include "av1/encoder/encodeframe.h"
#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "costs.h"
#include "encoder.h"
#include "pruner.h"
#include "inside_search.h"

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
  av1part_pruner_free(encoder->pruner);
  encoder->pruner = NULL;
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
  const YV12_BUFFER_CONFIG *const y = cpi->source;
  const bool deep = (y->flags & YV12_FLAG_HIGHBITDEPTH) != 0;
  if (deep != (e->config.bit_depth > 8)) return 1;
  const av1part_source source = {
    .luma = deep ? (const void *)CONVERT_TO_SHORTPTR(y->y_buffer) : (const void *)y->y_buffer,
    .stride = y->y_stride,
    .width = y->y_crop_width,
    .height = y->y_crop_height,
    .bit_depth = e->config.bit_depth,
    .qindex = cpi->common.quant_params.base_qindex,
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
  av1part_costs_clear(e); /* a frame coded again is searched again: the last search counts */
  /* libaom also codes a key frame twice in advance with fixed partitions, to detect screen content. */
  if (cpi->sf.part_sf.partition_search_type != SEARCH_PARTITION) return;
  av1part_clear_effects(e);
  const bool intra = frame_is_intra_only(&cpi->common);
  if (intra != e->search_inter && (e->pruner || e->search_share)) {
    av1part_search_frame(e, cpi->source);
    e->search_active = true;
  }
  if (!intra) return;
  if (e->mask_given) {
    e->mask_active = true;
  } else if (e->callback) {
    const int qindex = cpi->common.quant_params.base_qindex;
    /* A frame coded again at the same qindex keeps its mask. */
    if (e->mask_qindex != qindex || e->mask_frame != cpi->source) {
      e->mask_failed = ask_callback(e, cpi) != 0;
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

/* The level whose mask restricts this square, with the node's index; NULL where none does. */
static av1part_level *restricted(av1part_encoder *e, const PartitionSearchState *state, int *node) {
  if (!e || !e->mask_active) return NULL;
  const PartitionBlkParams *const square = &state->part_blk_params;
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &e->levels[l];
    if (square->width != level->side) continue;
    *node = av1part_whole_node(e, level, square->mi_row * MI_SIZE, square->mi_col * MI_SIZE);
    return *node >= 0 && level->mask[*node] ? level : NULL;
  }
  return NULL;
}

enum {
  HORZ_KINDS = 1 << PARTITION_HORZ | 1 << PARTITION_HORZ_A | 1 << PARTITION_HORZ_B,
  VERT_KINDS = 1 << PARTITION_VERT | 1 << PARTITION_VERT_A | 1 << PARTITION_VERT_B,
};

/* Take away from the search what the mask forbids; never add, and never leave nothing. A direction's rectangle stays
 * while its A, B or 4-way partition is allowed: libaom searches these only where it may search the rectangle. */
static int apply_mask(const AV1_COMP *cpi, uint16_t mask, PartitionSearchState *state) {
  int *const rect = state->partition_rect_allowed;
  const bool four_way = cpi->oxcf.part_cfg.enable_1to4_partitions;
  bool none = state->partition_none_allowed && mask & 1 << PARTITION_NONE;
  const bool split = state->do_square_split && mask & 1 << PARTITION_SPLIT;
  const bool horz = rect[HORZ] && mask & (HORZ_KINDS | four_way << PARTITION_HORZ_4);
  const bool vert = rect[VERT] && mask & (VERT_KINDS | four_way << PARTITION_VERT_4);
  const bool any_rect = state->do_rectangular_split &&
                        ((horz && !state->prune_rect_part[HORZ]) || (vert && !state->prune_rect_part[VERT]));
  if (!none && !split && !any_rect) return EFFECT_KEPT;
  /* Faster presets give a block up once neither NONE nor SPLIT was found: leave them NONE. */
  if (!none && !split && cpi->sf.part_sf.early_term_after_none_split) none = state->partition_none_allowed;
  const bool removed = none != !!state->partition_none_allowed || split != !!state->do_square_split ||
                       horz != !!rect[HORZ] || vert != !!rect[VERT];
  state->partition_none_allowed = none;
  state->do_square_split = split;
  rect[HORZ] = horz;
  rect[VERT] = vert;
  if (!horz && !vert) state->do_rectangular_split = 0;
  return removed ? EFFECT_MASKED : EFFECT_NONE;
}

void __wrap_av1_prune_partitions_before_search(AV1_COMP *const cpi, MACROBLOCK *const x,
                                               SIMPLE_MOTION_DATA_TREE *const sms_tree,
                                               PartitionSearchState *state) {
  __real_av1_prune_partitions_before_search(cpi, x, sms_tree, state);
  int node;
  av1part_encoder *const e = av1part_hook_find(cpi);
  av1part_level *const level = restricted(e, state, &node);
  if (level) {
    /* Second attempt at a superblock for which nothing was found: libaom lifts every restriction, ours too. */
    level->effect[node] =
        x->must_find_valid_partition ? EFFECT_KEPT : (uint8_t)apply_mask(cpi, level->mask[node], state);
  }
  av1part_costs_begin(e && frame_is_intra_only(&cpi->common) ? e : NULL, x, state);
  av1part_search_begin(e && e->search_active ? e : NULL, cpi, x, state);
}

/* Take away the 4-way partitions that the mask forbids, at the end of the ABs: rectangles are searched by then, so that
 * what is still allowed of them is about 4-way alone. Where libaom is about to ask its own network, which it does only
 * about both directions, both stay until it has answered (av1part_hook_four_way). */
static void mask_four_way(const AV1_COMP *cpi, av1part_level *level, int node, PartitionSearchState *state) {
  int *const rect = state->partition_rect_allowed;
  const bool horz = level->mask[node] >> PARTITION_HORZ_4 & 1, vert = level->mask[node] >> PARTITION_VERT_4 & 1;
  if (!cpi->oxcf.part_cfg.enable_1to4_partitions || !state->do_rectangular_split) return;
  if ((horz || vert) && rect[HORZ] && rect[VERT] && cpi->sf.part_sf.ml_prune_partition) return;
  if ((rect[HORZ] && !horz) || (rect[VERT] && !vert)) level->effect[node] = EFFECT_MASKED;
  rect[HORZ] = rect[HORZ] && horz;
  rect[VERT] = rect[VERT] && vert;
}

void av1part_hook_four_way(const AV1_COMP *cpi, const PartitionSearchState *state, int *part4_allowed) {
  int node;
  av1part_level *const level = restricted(av1part_hook_find(cpi), state, &node);
  for (int d = 0; level && level->effect[node] != EFFECT_KEPT && d < NUM_PART4_TYPES; ++d) {
    if (part4_allowed[d] && !(level->mask[node] & 1u << (PARTITION_HORZ_4 + d))) {
      part4_allowed[d] = 0;
      level->effect[node] = EFFECT_MASKED;
    }
  }
}

void __wrap_av1_prune_ab_partitions(AV1_COMP *cpi, const MACROBLOCK *x, const PC_TREE *pc_tree,
                                    int pb_source_variance, int64_t best_rdcost,
                                    const RD_RECT_PART_WIN_INFO *rect_part_win_info, bool ext_partition_allowed,
                                    PartitionSearchState *state, int *ab_partitions_allowed) {
  __real_av1_prune_ab_partitions(cpi, x, pc_tree, pb_source_variance, best_rdcost, rect_part_win_info,
                                 ext_partition_allowed, state, ab_partitions_allowed);
  int node;
  av1part_level *const level = restricted(av1part_hook_find(cpi), state, &node);
  for (int ab = 0; level && level->effect[node] != EFFECT_KEPT && ab < NUM_AB_PARTS; ++ab) {
    if (ab_partitions_allowed[ab] && !(level->mask[node] & 1u << (PARTITION_HORZ_A + ab))) {
      ab_partitions_allowed[ab] = 0;
      level->effect[node] = EFFECT_MASKED;
    }
  }
  if (level && level->effect[node] != EFFECT_KEPT) mask_four_way(cpi, level, node, state);
  av1part_costs_ab(state, ab_partitions_allowed);
  av1part_search_ab(state, ab_partitions_allowed);
}
