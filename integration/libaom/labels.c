/* The final partitions of a frame, read as libaom writes it. Compiled and called as hook.c is. */
#include "av1/common/av1_common_int.h"
#include "av1/encoder/bitstream.h"
#include "av1/encoder/encoder.h"
#include "encoder.h"
#include "instances.h"

__typeof__(av1_pack_bitstream) __real_av1_pack_bitstream, __wrap_av1_pack_bitstream;

/* The partition of a whole node, from the block that covers its top left corner. */
static uint8_t node_partition(const MB_MODE_INFO *block, int side) {
  const int width = block_size_wide[block->bsize], height = block_size_high[block->bsize];
  if (width > side || height > side) return AV1PART_INSIDE_LARGER;
  if (width == side && height == side) return PARTITION_NONE;
  /* `partition` is that of the square that the block was cut from. This is the node for blocks of the node's full
   * width or height, and for a square of an AB, which has half the node's side; else one below the node. */
  const bool own = width == side || height == side ||
                   (2 * width == side && 2 * height == side && block->partition >= PARTITION_HORZ_A);
  return own ? block->partition : PARTITION_SPLIT;
}

static void read_labels(av1part_encoder *e, const AV1_COMMON *cm) {
  const CommonModeInfoParams *const mi = &cm->mi_params;
  e->superblock = block_size_wide[cm->seq_params->sb_size];
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const av1part_level *const level = &e->levels[l];
    const int step = level->side / MI_SIZE;
    for (int node = 0; node < level->rows * level->columns; ++node) {
      const int mi_row = node / level->columns * step, mi_col = node % level->columns * step;
      const bool whole = av1part_whole_node(e, level, mi_row * MI_SIZE, mi_col * MI_SIZE) >= 0;
      const bool decided = whole && level->side <= e->superblock;
      level->labels[node] = decided ? node_partition(mi->mi_grid_base[mi_row * mi->mi_stride + mi_col], level->side)
                                    : AV1PART_INSIDE_LARGER;
    }
  }
  e->qindex = cm->quant_params.base_qindex;
  e->intra_frame = frame_is_intra_only(cm);
  e->labels_ready = true;
}

int __wrap_av1_pack_bitstream(AV1_COMP *const cpi, uint8_t *dst, size_t dst_size, size_t *size,
                              int *const largest_tile_id) {
  av1part_encoder *const e = av1part_instances_find(cpi);
  /* Repeating an earlier frame codes no blocks. */
  if (e && !cpi->common.show_existing_frame) read_labels(e, &cpi->common);
  return __real_av1_pack_bitstream(cpi, dst, dst_size, size, largest_tile_id);
}
