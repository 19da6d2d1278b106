/* Partition ids read out of a bitstream: libaom's decoder shows the size of every block through its
 * inspection interface, and a node's partition follows from the sizes of the blocks in its four quarters. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aom/aom_decoder.h"
#include "aom/aomdx.h"
#include "av1/common/blockd.h"
#include "av1/common/common_data.h"
#include "av1/decoder/decoder.h"
#include "av1/decoder/inspection.h"
#include "av1part_hook.h"

struct av1part_inspector {
  aom_codec_ctx_t codec;
  insp_frame_data frame;
  int width, height, superblock;
  bool shown; /* the callback has run for the packet at hand */
  char detail[256];
};

static void on_frame(void *decoder, void *context) {
  av1part_inspector *const i = context;
  ifd_inspect(&i->frame, decoder, 0);
  i->superblock = block_size_wide[((const AV1Decoder *)decoder)->common.seq_params->sb_size];
  i->shown = true;
}

int av1part_inspector_open(int width, int height, av1part_inspector **inspector) {
  if (!inspector) return AV1PART_ERR_ARGUMENT;
  *inspector = NULL;
  if (width < 1 || height < 1 || width > 16384 || height > 16384) return AV1PART_ERR_ARGUMENT;
  av1part_inspector *const i = calloc(1, sizeof(*i));
  if (!i) return AV1PART_ERR_MEMORY;
  i->width = width;
  i->height = height;
  ifd_init(&i->frame, width, height);
  aom_inspect_init init = { on_frame, i };
  if (aom_codec_dec_init(&i->codec, aom_codec_av1_dx(), NULL, 0) != AOM_CODEC_OK ||
      aom_codec_control(&i->codec, AV1_SET_INSPECTION_CALLBACK, &init) != AOM_CODEC_OK) {
    av1part_inspector_close(i);
    return AV1PART_ERR_LIBAOM;
  }
  *inspector = i;
  return AV1PART_OK;
}

void av1part_inspector_close(av1part_inspector *i) {
  if (!i) return;
  if (i->codec.iface) aom_codec_destroy(&i->codec);
  ifd_clear(&i->frame);
  free(i);
}

const char *av1part_inspector_detail(const av1part_inspector *i) { return i ? i->detail : "inspector: NULL"; }

static bool is(int16_t size, int width, int height) {
  return block_size_wide[size] == width && block_size_high[size] == height;
}

/* AV1 id of a node from the block sizes at its four quarters; -1 where no partition has these. */
static int partition_of(int side, int16_t top_left, int16_t top_right, int16_t bottom_left, int16_t bottom_right) {
  const int half = side / 2;
  if (block_size_wide[top_left] > side || block_size_high[top_left] > side) return AV1PART_INSIDE_LARGER;
  const bool top_squares = is(top_left, half, half) && is(top_right, half, half);
  const bool bottom_squares = is(bottom_left, half, half) && is(bottom_right, half, half);
  const bool left_squares = is(top_left, half, half) && is(bottom_left, half, half);
  const bool right_squares = is(top_right, half, half) && is(bottom_right, half, half);
  if (is(top_left, side, side)) return 0;
  if (is(top_left, side, half)) return is(bottom_left, side, half) ? 1 : bottom_squares ? 5 : -1;
  if (is(top_left, half, side)) return is(top_right, half, side) ? 2 : right_squares ? 7 : -1;
  if (is(bottom_left, side, half)) return top_squares ? 4 : -1;
  if (is(top_right, half, side)) return left_squares ? 6 : -1;
  if (is(top_left, side, side / 4)) return 8;
  if (is(top_left, side / 4, side)) return 9;
  const int16_t quarters[4] = { top_left, top_right, bottom_left, bottom_right };
  for (int q = 0; q < 4; ++q) {
    if (block_size_wide[quarters[q]] > half || block_size_high[quarters[q]] > half) return -1;
  }
  return 3;
}

static int read_node(const av1part_inspector *i, int side, int row, int column) {
  if ((row + 1) * side > i->height || (column + 1) * side > i->width) return AV1PART_INSIDE_LARGER;
  if (side > i->superblock) return AV1PART_INSIDE_LARGER;
  const int step = side / MI_SIZE, half = step / 2;
  const insp_mi_data *const top = &i->frame.mi_grid[row * step * i->frame.mi_cols + column * step];
  const insp_mi_data *const bottom = top + half * i->frame.mi_cols;
  return partition_of(side, top[0].bsize, top[half].bsize, bottom[0].bsize, bottom[half].bsize);
}

static int libaom_error(av1part_inspector *i) {
  const char *const more = aom_codec_error_detail(&i->codec);
  snprintf(i->detail, sizeof(i->detail), "%s%s%s", aom_codec_error(&i->codec), more ? ": " : "", more ? more : "");
  return AV1PART_ERR_LIBAOM;
}

int av1part_inspect(av1part_inspector *i, const uint8_t *data, size_t size, int node_size, uint8_t *labels, int rows,
                    int columns, int *qindex) {
  if (!i || !data || !size || !labels || !qindex) return AV1PART_ERR_ARGUMENT;
  bool known = false;
  for (int l = 0; l < AV1PART_LEVELS; ++l) known |= node_size == AV1PART_NODE_SIZE(l);
  if (!known) return AV1PART_ERR_ARGUMENT;
  const int edge = node_size - 1;
  if (rows != (i->height + edge) / node_size || columns != (i->width + edge) / node_size) return AV1PART_ERR_MASK;
  i->shown = false;
  const uint8_t *const end = data + size;
  while (data < end) { /* with a position to return, libaom decodes one frame a call */
    Av1DecodeReturn position = { NULL, -1, 0 };
    if (aom_codec_decode(&i->codec, data, (size_t)(end - data), &position) != AOM_CODEC_OK) return libaom_error(i);
    if (position.buf <= data) break;
    data = position.buf;
  }
  if (!i->shown) {
    snprintf(i->detail, sizeof(i->detail), "the packet holds no frame");
    return AV1PART_ERR_BITSTREAM;
  }
  if (i->frame.mi_cols != ((i->width + 7) & ~7) / 4 || i->frame.mi_rows != ((i->height + 7) & ~7) / 4) {
    snprintf(i->detail, sizeof(i->detail), "the stream's frame is not %dx%d", i->width, i->height);
    return AV1PART_ERR_BITSTREAM;
  }
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const int id = read_node(i, node_size, row, column);
      if (id < 0) {
        snprintf(i->detail, sizeof(i->detail), "impossible block sizes at node %d, %d", row, column);
        return AV1PART_ERR_BITSTREAM;
      }
      labels[row * columns + column] = (uint8_t)id;
    }
  }
  *qindex = i->frame.base_qindex;
  return AV1PART_OK;
}
