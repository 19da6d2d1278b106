/* The encoder behind av1part_hook.h: libaom's public interface with av1part's fixed settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aom/aom_encoder.h"
#include "aom/aomcx.h"
#include "encoder.h"

int av1part_api_version(void) { return AV1PART_API_VERSION; }

const char *av1part_libaom_version(void) { return aom_codec_version_str(); }

const char *av1part_status_text(int status) {
  switch (status) {
    case AV1PART_OK: return "ok";
    case AV1PART_ERR_ARGUMENT: return "a null pointer or a value outside its range";
    case AV1PART_ERR_MEMORY: return "out of memory";
    case AV1PART_ERR_LIBAOM: return "libaom refused";
    case AV1PART_ERR_STATE: return "called while encoding, or before a frame was encoded";
    case AV1PART_ERR_FULL: return "too many encoders are open";
    case AV1PART_ERR_MASK: return "the mask's rows and columns are not the frame's";
    case AV1PART_ERR_SAMPLE: return "a sample does not fit in the bit depth";
    case AV1PART_ERR_BITSTREAM: return "the stream shows a block structure that AV1 does not have";
    default: return "unknown status";
  }
}

static int fail(av1part_encoder *e, int status, const char *what) {
  const char *words = aom_codec_error(&e->codec);
  const char *more = aom_codec_error_detail(&e->codec);
  if (status == AV1PART_ERR_LIBAOM) {
    snprintf(e->detail, sizeof(e->detail), "%s: %s%s%s", what, words, more ? ": " : "", more ? more : "");
  } else {
    snprintf(e->detail, sizeof(e->detail), "%s", what);
  }
  return status;
}

static bool within(int value, int low, int high) { return value >= low && value <= high; }

/* Name of the first setting outside its range, or NULL. */
static const char *bad_setting(const av1part_config *c) {
  if (c->struct_size != sizeof(*c)) return "struct_size: the caller was built against another av1part_hook.h";
  if (!within(c->width, 1, 16384)) return "width: expected 1 to 16384";
  if (!within(c->height, 1, 16384)) return "height: expected 1 to 16384";
  if (c->bit_depth != 8 && c->bit_depth != 10) return "bit_depth: expected 8 or 10";
  if (!within(c->cq, 0, 63)) return "cq: expected 0 to 63";
  if (!within(c->cpu_used, 0, 6)) return "cpu_used: expected 0 to 6";
  if (!within(c->all_intra, 0, 1)) return "all_intra: expected 0 or 1";
  if (!within(c->keyint, 1, 9999)) return "keyint: expected 1 to 9999";
  if (c->all_intra && c->keyint != 1) return "keyint: all-intra usage has key frames only, expected 1";
  if (!within(c->lag, 0, 48)) return "lag: expected 0 to 48";
  if (c->lag && c->keyint == 1) return "lag: key frames alone need none, expected 0 or a keyint above 1";
  if (!within(c->threads, 1, 64)) return "threads: expected 1 to 64";
  return NULL;
}

static int start_codec(av1part_encoder *e) {
  const av1part_config *c = &e->config;
  aom_codec_iface_t *const iface = aom_codec_av1_cx();
  aom_codec_enc_cfg_t cfg;
  const unsigned usage = c->all_intra ? AOM_USAGE_ALL_INTRA : AOM_USAGE_GOOD_QUALITY;
  if (aom_codec_enc_config_default(iface, &cfg, usage) != AOM_CODEC_OK) {
    return fail(e, AV1PART_ERR_LIBAOM, "default configuration");
  }
  cfg.g_w = (unsigned)c->width;
  cfg.g_h = (unsigned)c->height;
  cfg.g_threads = (unsigned)c->threads;
  cfg.g_bit_depth = c->bit_depth == 8 ? AOM_BITS_8 : AOM_BITS_10;
  cfg.g_input_bit_depth = (unsigned)c->bit_depth;
  cfg.g_timebase.num = 1;
  cfg.g_timebase.den = 30;
  cfg.g_pass = AOM_RC_ONE_PASS;
  cfg.g_lag_in_frames = (unsigned)c->lag;
  cfg.rc_end_usage = AOM_Q;
  cfg.kf_max_dist = c->keyint == 1 ? 0 : (unsigned)c->keyint;
  const aom_codec_flags_t flags = c->bit_depth == 8 ? 0 : AOM_CODEC_USE_HIGHBITDEPTH;
  if (aom_codec_enc_init(&e->codec, iface, &cfg, flags) != AOM_CODEC_OK) {
    return fail(e, AV1PART_ERR_LIBAOM, "opening the encoder");
  }
  if (aom_codec_control(&e->codec, AOME_SET_CPUUSED, c->cpu_used) != AOM_CODEC_OK ||
      aom_codec_control(&e->codec, AOME_SET_CQ_LEVEL, (unsigned)c->cq) != AOM_CODEC_OK ||
      aom_codec_control(&e->codec, AV1E_SET_DELTAQ_MODE, 0u) != AOM_CODEC_OK ||
      aom_codec_control(&e->codec, AV1E_SET_ENABLE_1TO4_PARTITIONS, 0) != AOM_CODEC_OK) {
    return fail(e, AV1PART_ERR_LIBAOM, "setting the encoder up");
  }
  return AV1PART_OK;
}

static size_t node_count(const av1part_level *level) { return (size_t)level->rows * (size_t)level->columns; }

static int allocate_levels(av1part_encoder *e) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &e->levels[l];
    level->side = AV1PART_NODE_SIZE(l);
    level->rows = (e->config.height + level->side - 1) / level->side;
    level->columns = (e->config.width + level->side - 1) / level->side;
    level->mask = calloc(node_count(level), sizeof(*level->mask));
    level->effect = calloc(node_count(level), 1);
    level->labels = calloc(node_count(level), 1);
    if (!level->mask || !level->effect || !level->labels) return AV1PART_ERR_MEMORY;
  }
  return AV1PART_OK;
}

/* The level of nodes of that size, NULL where there is none. */
static const av1part_level *level_of(const av1part_encoder *e, int node_size) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    if (e->levels[l].side == node_size) return &e->levels[l];
  }
  return NULL;
}

int av1part_open(const av1part_config *config, av1part_encoder **encoder, char *detail, size_t detail_size) {
  if (detail && detail_size) detail[0] = 0;
  if (!encoder) return AV1PART_ERR_ARGUMENT;
  *encoder = NULL;
  const char *bad = config ? bad_setting(config) : "config: NULL";
  if (bad) {
    if (detail && detail_size) snprintf(detail, detail_size, "%s", bad);
    return AV1PART_ERR_ARGUMENT;
  }
  av1part_encoder *e = calloc(1, sizeof(*e));
  if (!e) return AV1PART_ERR_MEMORY;
  e->config = *config;
  e->slot = -1;
  int status = allocate_levels(e);
  if (status == AV1PART_OK) status = av1part_hook_claim(e);
  if (status == AV1PART_OK) status = start_codec(e);
  if (status != AV1PART_OK) {
    if (detail && detail_size) snprintf(detail, detail_size, "%s", e->detail);
    av1part_close(e);
    return status;
  }
  *encoder = e;
  return AV1PART_OK;
}

void av1part_close(av1part_encoder *e) {
  if (!e || e->busy) return;
  /* The slot is emptied before the instance dies, so that a later instance at the same address is not ours. */
  av1part_hook_release(e);
  if (e->codec.iface) aom_codec_destroy(&e->codec);
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    free(e->levels[l].mask);
    free(e->levels[l].effect);
    free(e->levels[l].labels);
  }
  free(e->costs);
  free(e);
}

const char *av1part_error_detail(const av1part_encoder *e) { return e ? e->detail : "encoder: NULL"; }

int av1part_set_mask_callback(av1part_encoder *e, av1part_mask_callback callback, void *user) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return fail(e, AV1PART_ERR_STATE, "the callback was changed during an encode");
  e->callback = callback;
  e->user = user;
  return AV1PART_OK;
}

int av1part_disable_cnn(av1part_encoder *e, int disable) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return fail(e, AV1PART_ERR_STATE, "the CNN was switched during an encode");
  e->cnn_disabled = disable != 0;
  return AV1PART_OK;
}

int av1part_log_costs(av1part_encoder *e, int node_size) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return fail(e, AV1PART_ERR_STATE, "the costs were switched during an encode");
  const av1part_level *const level = level_of(e, node_size);
  if (node_size && !level) return fail(e, AV1PART_ERR_ARGUMENT, "node_size: expected 0, 16 or 32");
  if (level == e->costs_level) return AV1PART_OK;
  /* They may be read for frames that were searched with the switch on alone. */
  if (level) e->labels_ready = false;
  free(e->costs);
  e->costs = NULL;
  e->costs_level = NULL;
  if (!level) return AV1PART_OK;
  e->costs = calloc(node_count(level), sizeof(*e->costs));
  if (!e->costs) return fail(e, AV1PART_ERR_MEMORY, "costs of the nodes");
  e->costs_level = level;
  return AV1PART_OK;
}

static int plane_width(const av1part_encoder *e, int plane) {
  return plane ? (e->config.width + 1) / 2 : e->config.width;
}

static int plane_height(const av1part_encoder *e, int plane) {
  return plane ? (e->config.height + 1) / 2 : e->config.height;
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
  for (int plane = 0; plane < 3; ++plane) {
    if (!planes[plane]) return fail(e, AV1PART_ERR_ARGUMENT, "planes: one is NULL");
    if (strides[plane] < row_bytes(e, plane) || strides[plane] > (1u << 20)) {
      return fail(e, AV1PART_ERR_ARGUMENT, "strides: one is shorter than its row or absurdly long");
    }
    if (e->config.bit_depth > 8 && (((uintptr_t)planes[plane] | strides[plane]) & 1)) {
      return fail(e, AV1PART_ERR_ARGUMENT, "planes: 16-bit samples at an odd address or stride");
    }
    if (!samples_fit(e, plane, planes[plane], strides[plane])) {
      return fail(e, AV1PART_ERR_SAMPLE, "a sample exceeds 10 bit");
    }
  }
  return AV1PART_OK;
}

/* `image` NULL asks for what libaom still holds. */
static int run_codec(av1part_encoder *e, const aom_image_t *image) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    memset(e->levels[l].effect, EFFECT_NONE, node_count(&e->levels[l]));
  }
  e->mask_active = e->mask_failed = e->labels_ready = e->intra_frame = false;
  e->mask_qindex = e->qindex = -1;
  e->detail[0] = 0;
  e->busy = true;
  av1part_encoder *const previous = av1part_hook_enter(e);
  const aom_codec_err_t error = aom_codec_encode(&e->codec, image, (aom_codec_pts_t)e->fed, 1, 0);
  av1part_hook_leave(previous);
  e->busy = e->mask_active = false;
  return error == AOM_CODEC_OK ? AV1PART_OK : fail(e, AV1PART_ERR_LIBAOM, "encoding a frame");
}

static int encode_image(av1part_encoder *e, const void *const planes[3], const size_t strides[3]) {
  const bool deep = e->config.bit_depth > 8;
  aom_image_t image;
  /* Only the description is wanted: the planes are set below, and libaom copies them. */
  if (!aom_img_wrap(&image, deep ? AOM_IMG_FMT_I42016 : AOM_IMG_FMT_I420, (unsigned)e->config.width,
                    (unsigned)e->config.height, 1, (unsigned char *)(uintptr_t)planes[0])) {
    return fail(e, AV1PART_ERR_ARGUMENT, "the frame cannot be described to libaom");
  }
  image.bit_depth = (unsigned)e->config.bit_depth;
  for (int plane = 0; plane < 3; ++plane) {
    image.planes[plane] = (unsigned char *)(uintptr_t)planes[plane];
    image.stride[plane] = (int)strides[plane];
  }
  const int status = run_codec(e, &image);
  if (status == AV1PART_OK) ++e->fed;
  return status;
}

static int collect(av1part_encoder *e, av1part_result *result) {
  aom_codec_iter_t iter = NULL;
  const aom_codec_cx_pkt_t *packet;
  while ((packet = aom_codec_get_cx_data(&e->codec, &iter)) != NULL) {
    if (packet->kind != AOM_CODEC_CX_FRAME_PKT) continue;
    if (result->data) return fail(e, AV1PART_ERR_LIBAOM, "more than one packet for one frame");
    if (packet->data.frame.pts != e->packets) return fail(e, AV1PART_ERR_LIBAOM, "packets out of order");
    result->data = packet->data.frame.buf;
    result->size = packet->data.frame.sz;
    result->key_frame = (packet->data.frame.flags & AOM_FRAME_IS_KEY) != 0;
  }
  if (!result->data) {
    const bool expected = e->flushing ? e->packets == e->fed : e->config.lag > 0;
    return expected ? AV1PART_OK : fail(e, AV1PART_ERR_LIBAOM, "no packet for a frame");
  }
  result->frame_number = e->packets++;
  result->qindex = e->qindex;
  result->intra_frame = e->intra_frame;
  result->mask_failed = e->mask_failed;
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const uint8_t *const effect = e->levels[l].effect;
    for (size_t i = 0; i < node_count(&e->levels[l]); ++i) {
      result->masked_blocks[l] += effect[i] == EFFECT_MASKED;
      result->kept_blocks[l] += effect[i] == EFFECT_KEPT;
    }
  }
  return AV1PART_OK;
}

static int take_masks(av1part_encoder *e, const av1part_mask *masks) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &e->levels[l];
    const size_t bytes = node_count(level) * sizeof(*level->mask);
    if (!masks[l].allowed) {
      memset(level->mask, 0, bytes);
    } else if (masks[l].rows != level->rows || masks[l].columns != level->columns) {
      return fail(e, AV1PART_ERR_MASK, "the mask's rows and columns are not the frame's");
    } else {
      memcpy(level->mask, masks[l].allowed, bytes);
    }
  }
  return AV1PART_OK;
}

int av1part_encode(av1part_encoder *e, const void *const planes[3], const size_t strides[3],
                   const av1part_mask *masks, av1part_result *result) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return fail(e, AV1PART_ERR_STATE, "av1part_encode was called from the encoder's own callback");
  if (e->flushing) return fail(e, AV1PART_ERR_STATE, "a frame after av1part_flush");
  if (!planes || !strides || !result) return fail(e, AV1PART_ERR_ARGUMENT, "planes, strides or result: NULL");
  memset(result, 0, sizeof(*result));
  int status = check_frame(e, planes, strides);
  if (status != AV1PART_OK) return status;
  if (masks && e->config.lag) return fail(e, AV1PART_ERR_ARGUMENT, "masks: with lag, only the callback gives masks");
  if (masks) status = take_masks(e, masks);
  if (status != AV1PART_OK) return status;
  e->mask_given = masks != NULL;
  status = encode_image(e, planes, strides);
  return status == AV1PART_OK ? collect(e, result) : status;
}

int av1part_flush(av1part_encoder *e, av1part_result *result) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return fail(e, AV1PART_ERR_STATE, "av1part_flush was called from the encoder's own callback");
  if (!result) return fail(e, AV1PART_ERR_ARGUMENT, "result: NULL");
  memset(result, 0, sizeof(*result));
  e->flushing = true;
  e->mask_given = false;
  if (e->packets == e->fed) return AV1PART_OK;
  const int status = run_codec(e, NULL);
  return status == AV1PART_OK ? collect(e, result) : status;
}

int av1part_reconstruction(av1part_encoder *e, int plane, void *target, size_t stride) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (!target || plane < 0 || plane > 2 || stride < row_bytes(e, plane)) {
    return fail(e, AV1PART_ERR_ARGUMENT, "target, plane or stride");
  }
  if (e->busy || !e->packets) return fail(e, AV1PART_ERR_STATE, "no frame has been encoded yet");
  const aom_image_t *const image = aom_codec_get_preview_frame(&e->codec);
  if (!image) return fail(e, AV1PART_ERR_LIBAOM, "no reconstruction");
  if (((image->fmt & AOM_IMG_FMT_HIGHBITDEPTH) != 0) != (e->config.bit_depth > 8)) {
    return fail(e, AV1PART_ERR_LIBAOM, "the reconstruction has another sample size than the source");
  }
  for (int row = 0; row < plane_height(e, plane); ++row) {
    memcpy((uint8_t *)target + (size_t)row * stride,
           image->planes[plane] + (ptrdiff_t)row * image->stride[plane], row_bytes(e, plane));
  }
  return AV1PART_OK;
}

int av1part_labels(const av1part_encoder *e, int node_size, uint8_t *target, int rows, int columns) {
  const av1part_level *const level = e ? level_of(e, node_size) : NULL;
  if (!level || !target) return AV1PART_ERR_ARGUMENT;
  if (rows != level->rows || columns != level->columns) return AV1PART_ERR_MASK;
  if (e->busy || !e->labels_ready) return AV1PART_ERR_STATE;
  memcpy(target, level->labels, node_count(level));
  return AV1PART_OK;
}

int av1part_costs(const av1part_encoder *e, int node_size, av1part_node_costs *target, int rows, int columns) {
  const av1part_level *const level = e ? level_of(e, node_size) : NULL;
  if (!level || !target) return AV1PART_ERR_ARGUMENT;
  if (rows != level->rows || columns != level->columns) return AV1PART_ERR_MASK;
  if (e->busy || !e->labels_ready || e->costs_level != level) return AV1PART_ERR_STATE;
  memcpy(target, e->costs, node_count(level) * sizeof(*target));
  return AV1PART_OK;
}
