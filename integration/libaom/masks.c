/* What masks do to the search of a node, and the luma that they are made from: for hook.c and runtime.c alike. */
#include "masks.h"

#include <stdio.h>
#include <stdlib.h>

#include "av1/encoder/encoder.h"
#include "av1/encoder/partition_strategy.h"
#include "instances.h"
#include "pipeline_file.h"

bool av1part_picture_of(const AV1_COMP *cpi, av1part_picture *picture) {
  const YV12_BUFFER_CONFIG *const y = cpi->source;
  picture->deep = (y->flags & YV12_FLAG_HIGHBITDEPTH) != 0;
  picture->luma = picture->deep ? (const void *)CONVERT_TO_SHORTPTR(y->y_buffer) : (const void *)y->y_buffer;
  picture->stride = y->y_stride;
  picture->width = y->y_crop_width;
  picture->height = y->y_crop_height;
  picture->qindex = cpi->common.quant_params.base_qindex;
  return picture->width == cpi->common.width && picture->height == cpi->common.height;
}

bool av1part_mask_by_pipelines(av1part_encoder *e, const AV1_COMP *cpi) {
  av1part_picture picture;
  av1part_mask masks[AV1PART_LEVELS];
  if (!av1part_picture_of(cpi, &picture) || picture.width != e->config.width || picture.height != e->config.height) {
    av1part_fail(e, AV1PART_ERR_MASK, "the source's size is not the frame's");
    return false;
  }
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    masks[l] = (av1part_mask){ e->levels[l].mask, e->levels[l].rows, e->levels[l].columns };
  }
  return av1part_masker_ask(e->masker, &picture, masks, e->detail, sizeof(e->detail));
}

/* Whether the encoder codes what the pipeline was made for; else the detail says what that is. */
static bool made_for(av1part_encoder *e, const av1part_pipeline_file *file) {
  const av1part_config *const c = &e->config;
  if (c->chroma == 420 && c->tune == AV1PART_TUNE_PSNR && c->bit_depth == file->config.bit_depth &&
      c->all_intra == file->all_intra && c->cpu_used == file->cpu_used && c->four_way == file->four_way) {
    return true;
  }
  snprintf(e->detail, sizeof(e->detail), "the pipeline serves 4:2:0, tune psnr, bit_depth %d, all_intra %d, cpu_used %d, four_way %d",
           file->config.bit_depth, file->all_intra, file->cpu_used, file->four_way);
  return false;
}

/* Let a pipeline that was read mask, and the pruner inside it decide; on an error nothing changes. */
static int take(av1part_encoder *e, const av1part_pipeline_file *file, const char *folder) {
  char inside[4096];
  if (!made_for(e, file)) return AV1PART_ERR_PIPELINE;
  av1part_pipeline *const opened = av1part_pipeline_open(&file->config, e->detail, sizeof(e->detail));
  if (!opened) return AV1PART_ERR_PIPELINE;
  int status = AV1PART_OK;
  if (file->has_pruner) status = av1part_load_pruner(e, av1part_pruner_inside(folder, inside, sizeof(inside)));
  if (status == AV1PART_OK && !e->masker) status = av1part_masker_open(&e->masker);
  if (status == AV1PART_OK) {
    av1part_masker_put(e->masker, opened);
  } else {
    av1part_pipeline_free(opened);
  }
  return status;
}

int av1part_load_pipeline(av1part_encoder *e, const char *folder) {
  if (!e || !folder) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the pipeline was changed during an encode");
  int status = av1part_check_search(e);
  if (status != AV1PART_OK) return status;
  av1part_pipeline_file *const file = malloc(sizeof(*file));
  if (!file) return av1part_fail(e, AV1PART_ERR_MEMORY, "the pipeline's file");
  status = AV1PART_ERR_PIPELINE;
  if (av1part_pipeline_file_read(folder, file, e->detail, sizeof(e->detail))) {
    status = take(e, file, folder);
    av1part_pipeline_file_free(file);
  }
  free(file);
  return status;
}

void av1part_masks_close(av1part_encoder *e) {
  av1part_masker_close(e->masker);
  e->masker = NULL;
}

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

/* Whether 4-way partitions may be searched at nodes of that side. */
static bool has_four_way(const AV1_COMP *cpi, int side) {
  return side >= 16 && side <= 64 && cpi->oxcf.part_cfg.enable_1to4_partitions;
}

/* Partitions of a direction that may be searched at a node of that side: its rectangle, from 16 up its A and B, and its
 * 4-way partition. */
static unsigned kinds(const AV1_COMP *cpi, int direction, int side) {
  const unsigned rectangle = 1u << (PARTITION_HORZ + direction);
  const unsigned ab = 1u << (direction ? PARTITION_VERT_A : PARTITION_HORZ_A) |
                      1u << (direction ? PARTITION_VERT_B : PARTITION_HORZ_B);
  return rectangle | (side >= 16 ? ab : 0u) | (unsigned)has_four_way(cpi, side) << (PARTITION_HORZ_4 + direction);
}

/* Take away from the search what the mask forbids; never add, and never leave nothing. A direction's rectangle stays
 * while its A, B or 4-way partition is allowed: libaom searches these only where it may search the rectangle. */
static int apply_mask(const AV1_COMP *cpi, uint16_t mask, PartitionSearchState *state) {
  int *const rect = state->partition_rect_allowed;
  const int side = state->part_blk_params.width;
  bool none = state->partition_none_allowed && mask & 1 << PARTITION_NONE;
  const bool split = state->do_square_split && mask & 1 << PARTITION_SPLIT;
  const bool horz = rect[HORZ] && mask & kinds(cpi, HORZ, side);
  const bool vert = rect[VERT] && mask & kinds(cpi, VERT, side);
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

void av1part_mask_begin(av1part_encoder *e, const AV1_COMP *cpi, MACROBLOCK *x, PartitionSearchState *state) {
  int node;
  av1part_level *const level = restricted(e, state, &node);
  if (!level) return;
  /* Second attempt at a superblock for which nothing was found: libaom lifts every restriction, ours too. */
  level->effect[node] = EFFECT_KEPT;
  if (x->must_find_valid_partition) return;
  /* libaom does this next: the largest and the smallest squares have one choice at some presets, which has to stay. */
  av1_prune_partitions_by_max_min_bsize(&x->sb_enc, state);
  level->effect[node] = (uint8_t)apply_mask(cpi, level->mask[node], state);
}

/* Take away the 4-way partitions that the mask forbids, at the end of the ABs: rectangles are searched by then, so that
 * what is still allowed of them is about 4-way alone. Where libaom is about to ask its own network, which it does only
 * about both directions, both stay until it has answered (av1part_mask_four_way). */
static void mask_four_way(const AV1_COMP *cpi, av1part_level *level, int node, PartitionSearchState *state) {
  int *const rect = state->partition_rect_allowed;
  const bool horz = level->mask[node] >> PARTITION_HORZ_4 & 1, vert = level->mask[node] >> PARTITION_VERT_4 & 1;
  if (!has_four_way(cpi, level->side) || !state->do_rectangular_split) return;
  if ((horz || vert) && rect[HORZ] && rect[VERT] && cpi->sf.part_sf.ml_prune_partition) return;
  if ((rect[HORZ] && !horz) || (rect[VERT] && !vert)) level->effect[node] = EFFECT_MASKED;
  rect[HORZ] = rect[HORZ] && horz;
  rect[VERT] = rect[VERT] && vert;
}

void av1part_mask_four_way(const AV1_COMP *cpi, const PartitionSearchState *state, int *part4_allowed) {
  int node;
  av1part_level *const level = restricted(av1part_instances_find(cpi), state, &node);
  for (int d = 0; level && level->effect[node] != EFFECT_KEPT && d < NUM_PART4_TYPES; ++d) {
    if (part4_allowed[d] && !(level->mask[node] & 1u << (PARTITION_HORZ_4 + d))) {
      part4_allowed[d] = 0;
      level->effect[node] = EFFECT_MASKED;
    }
  }
}

void av1part_mask_ab(av1part_encoder *e, const AV1_COMP *cpi, const MACROBLOCK *x, PartitionSearchState *state,
                     int *ab_partitions_allowed) {
  int node;
  av1part_level *const level = restricted(e, state, &node);
  /* The superblock's own second attempt begins without av1part_mask_begin. */
  if (level && x->must_find_valid_partition) level->effect[node] = EFFECT_KEPT;
  for (int ab = 0; level && level->effect[node] != EFFECT_KEPT && ab < NUM_AB_PARTS; ++ab) {
    if (ab_partitions_allowed[ab] && !(level->mask[node] & 1u << (PARTITION_HORZ_A + ab))) {
      ab_partitions_allowed[ab] = 0;
      level->effect[node] = EFFECT_MASKED;
    }
  }
  if (level && level->effect[node] != EFFECT_KEPT) mask_four_way(cpi, level, node, state);
}
