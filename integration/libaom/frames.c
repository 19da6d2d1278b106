/* Frames through libaom: planes in, packets and reconstructions out. */
#include <string.h>

#include "aom/aom_encoder.h"
#include "encoder.h"

static int plane_count(const av1part_encoder *e) { return e->config.chroma == 400 ? 1 : 3; }

static int plane_width(const av1part_encoder *e, int plane) {
  return plane && e->config.chroma != 444 ? (e->config.width + 1) / 2 : e->config.width;
}

static int plane_height(const av1part_encoder *e, int plane) {
  return plane && e->config.chroma == 420 ? (e->config.height + 1) / 2 : e->config.height;
}

static size_t row_bytes(const av1part_encoder *e, int plane) {
  return (size_t)plane_width(e, plane) * (e->config.bit_depth == 8 ? 1 : 2);
}

/* libaom trusts its input: a sample beyond the bit depth would index past its tables. */
static bool samples_fit(const av1part_encoder *e, int plane, const void *samples, size_t stride) {
  if (e->config.bit_depth == 8) return true;
  unsigned seen = 0;
  for (int row = 0; row < plane_height(e, plane); ++row) {
    const uint16_t *p = (const uint16_t *)((const uint8_t *)samples + (size_t)row * stride);
    for (int column = 0; column < plane_width(e, plane); ++column) seen |= p[column];
  }
  return seen >> e->config.bit_depth == 0;
}

static int check_frame(av1part_encoder *e, const void *const planes[3], const size_t strides[3]) {
  for (int plane = 0; plane < plane_count(e); ++plane) {
    if (!planes[plane]) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "planes: one is NULL");
    if (strides[plane] < row_bytes(e, plane) || strides[plane] > (1u << 20)) {
      return av1part_fail(e, AV1PART_ERR_ARGUMENT, "strides: one is shorter than its row or absurdly long");
    }
    if (e->config.bit_depth > 8 && (((uintptr_t)planes[plane] | strides[plane]) & 1)) {
      return av1part_fail(e, AV1PART_ERR_ARGUMENT, "planes: 16-bit samples at an odd address or stride");
    }
    if (!samples_fit(e, plane, planes[plane], strides[plane])) {
      return av1part_fail(e, AV1PART_ERR_SAMPLE, "a sample exceeds the bit depth");
    }
  }
  return AV1PART_OK;
}

/* When the next frame is shown: as the caller said, else at 30 frames a second, but not before the one before ends. */
static av1part_time time_of_next(const av1part_encoder *e) {
  if (e->next.length) return e->next;
  const int64_t start = e->fed * AV1PART_TICKS / 30, end = (e->fed + 1) * AV1PART_TICKS / 30;
  return (av1part_time){start < e->until ? e->until : start, end - start};
}

/* `image` NULL asks for what libaom still holds. */
static int run_codec(av1part_encoder *e, const aom_image_t *image) {
  av1part_clear_effects(e);
  e->mask_active = e->mask_failed = e->labels_ready = e->intra_frame = false;
  e->mask_qindex = e->qindex = -1;
  e->detail[0] = 0;
  e->busy = true;
  av1part_encoder *const previous = av1part_hook_enter(e);
  const av1part_time shown = time_of_next(e);
  if (image) e->starts[e->fed % AV1PART_IN_FLIGHT] = shown.start;
  const aom_codec_err_t error =
      aom_codec_encode(&e->codec, image, (aom_codec_pts_t)shown.start, (unsigned long)shown.length, 0);
  av1part_hook_leave(previous);
  e->busy = e->mask_active = false;
  return error == AOM_CODEC_OK ? AV1PART_OK : av1part_fail(e, AV1PART_ERR_LIBAOM, "encoding a frame");
}

/* libaom's name of the samples' layout; luma alone it takes as 4:2:0 without chroma. */
static aom_img_fmt_t image_format(const av1part_encoder *e) {
  const bool deep = e->config.bit_depth > 8;
  switch (e->config.chroma) {
    case 444: return deep ? AOM_IMG_FMT_I44416 : AOM_IMG_FMT_I444;
    case 422: return deep ? AOM_IMG_FMT_I42216 : AOM_IMG_FMT_I422;
    default: return deep ? AOM_IMG_FMT_I42016 : AOM_IMG_FMT_I420;
  }
}

static int encode_image(av1part_encoder *e, const void *const planes[3], const size_t strides[3]) {
  aom_image_t image;
  /* Only the description is wanted: the planes are set below, and libaom copies them. */
  if (!aom_img_wrap(&image, image_format(e), (unsigned)e->config.width, (unsigned)e->config.height, 1,
                    (unsigned char *)(uintptr_t)planes[0])) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "the frame cannot be described to libaom");
  }
  image.bit_depth = (unsigned)e->config.bit_depth;
  image.monochrome = e->config.chroma == 400;
  for (int plane = 0; plane < plane_count(e); ++plane) {
    image.planes[plane] = (unsigned char *)(uintptr_t)planes[plane];
    image.stride[plane] = (int)strides[plane];
  }
  int status = AV1PART_OK;
  for (int i = 0; i < e->metadata_count && status == AV1PART_OK; ++i) {
    if (aom_img_add_metadata(&image, (uint32_t)e->metadata[i].type, e->metadata[i].data, e->metadata[i].size,
                             AOM_MIF_KEY_FRAME)) {
      status = av1part_fail(e, AV1PART_ERR_MEMORY, "metadata of a frame");
    }
  }
  if (status == AV1PART_OK) status = run_codec(e, &image);
  aom_img_remove_metadata(&image);
  if (status == AV1PART_OK) {
    const av1part_time shown = time_of_next(e);
    e->until = shown.start + shown.length;
    e->next.length = 0;
    ++e->fed;
  }
  return status;
}

static int collect(av1part_encoder *e, av1part_result *result) {
  aom_codec_iter_t iter = NULL;
  const aom_codec_cx_pkt_t *packet;
  while ((packet = aom_codec_get_cx_data(&e->codec, &iter)) != NULL) {
    if (packet->kind != AOM_CODEC_CX_FRAME_PKT) continue;
    if (result->data) return av1part_fail(e, AV1PART_ERR_LIBAOM, "more than one packet for one frame");
    if (packet->data.frame.pts != e->starts[e->packets % AV1PART_IN_FLIGHT]) {
      return av1part_fail(e, AV1PART_ERR_LIBAOM, "packets out of order");
    }
    result->data = packet->data.frame.buf;
    result->size = packet->data.frame.sz;
    result->key_frame = (packet->data.frame.flags & AOM_FRAME_IS_KEY) != 0;
  }
  if (!result->data) {
    const bool expected = e->flushing ? e->packets == e->fed : e->config.lag > 0;
    return expected ? AV1PART_OK : av1part_fail(e, AV1PART_ERR_LIBAOM, "no packet for a frame");
  }
  result->frame_number = e->packets++;
  result->qindex = e->qindex;
  result->intra_frame = e->intra_frame;
  result->mask_failed = e->mask_failed;
  result->superblock = e->superblock;
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const uint8_t *const effect = e->levels[l].effect;
    for (size_t i = 0; i < node_count(&e->levels[l]); ++i) {
      result->masked_blocks[l] += effect[i] == EFFECT_MASKED;
      result->kept_blocks[l] += effect[i] == EFFECT_KEPT;
    }
  }
  return AV1PART_OK;
}

int av1part_encode(av1part_encoder *e, const void *const planes[3], const size_t strides[3],
                   const av1part_mask *masks, av1part_result *result) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "av1part_encode was called from the encoder's own callback");
  if (e->flushing) return av1part_fail(e, AV1PART_ERR_STATE, "a frame after av1part_flush");
  if (e->config.still && e->fed) return av1part_fail(e, AV1PART_ERR_STATE, "a second frame of a still picture");
  if (!planes || !strides || !result) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "planes, strides or result: NULL");
  memset(result, 0, sizeof(*result));
  int status = check_frame(e, planes, strides);
  if (status != AV1PART_OK) return status;
  if (masks && e->config.lag) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "masks: with lag, only the callback gives masks");
  }
  if (masks) status = av1part_check_search(e);
  if (masks && status == AV1PART_OK) status = av1part_take_masks(e, masks);
  if (status != AV1PART_OK) return status;
  e->mask_given = masks != NULL;
  status = encode_image(e, planes, strides);
  return status == AV1PART_OK ? collect(e, result) : status;
}

int av1part_flush(av1part_encoder *e, av1part_result *result) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "av1part_flush was called from the encoder's own callback");
  if (!result) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "result: NULL");
  memset(result, 0, sizeof(*result));
  e->flushing = true;
  e->mask_given = false;
  if (e->packets == e->fed) return AV1PART_OK;
  const int status = run_codec(e, NULL);
  return status == AV1PART_OK ? collect(e, result) : status;
}

int av1part_reconstruction(av1part_encoder *e, int plane, void *target, size_t stride) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (!target || plane < 0 || plane >= plane_count(e) || stride < row_bytes(e, plane)) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "target, plane or stride");
  }
  if (e->busy || !e->packets) return av1part_fail(e, AV1PART_ERR_STATE, "no frame has been encoded yet");
  const aom_image_t *const image = aom_codec_get_preview_frame(&e->codec);
  if (!image) return av1part_fail(e, AV1PART_ERR_LIBAOM, "no reconstruction");
  if (((image->fmt & AOM_IMG_FMT_HIGHBITDEPTH) != 0) != (e->config.bit_depth > 8)) {
    return av1part_fail(e, AV1PART_ERR_LIBAOM, "the reconstruction has another sample size than the source");
  }
  for (int row = 0; row < plane_height(e, plane); ++row) {
    memcpy((uint8_t *)target + (size_t)row * stride,
           image->planes[plane] + (ptrdiff_t)row * image->stride[plane], row_bytes(e, plane));
  }
  return AV1PART_OK;
}
