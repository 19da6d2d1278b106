/* Opening and closing an encoder: libaom's public interface with av1part's fixed settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aom/aom_encoder.h"
#include "aom/aomcx.h"
#include "encoder.h"

int av1part_api_version(void) { return AV1PART_API_VERSION; }

const char *av1part_libaom_version(void) { return aom_codec_version_str(); }

static bool is_tune(int tune) {
  return tune == AV1PART_TUNE_PSNR || tune == AV1PART_TUNE_SSIM || tune == AV1PART_TUNE_IQ ||
         tune == AV1PART_TUNE_SSIMULACRA2;
}

static bool within(int value, int low, int high) { return value >= low && value <= high; }

/* Name of the first setting outside its range, or NULL. */
static const char *bad_setting(const av1part_config *c) {
  if (c->struct_size != sizeof(*c)) return "struct_size: the caller was built against another av1part_hook.h";
  if (!within(c->width, 1, 16384)) return "width: expected 1 to 16384";
  if (!within(c->height, 1, 16384)) return "height: expected 1 to 16384";
  if (c->bit_depth != 8 && c->bit_depth != 10 && c->bit_depth != 12) return "bit_depth: expected 8, 10 or 12";
  if (c->chroma != 400 && c->chroma != 420 && c->chroma != 422 && c->chroma != 444) {
    return "chroma: expected 400, 420, 422 or 444";
  }
  if (!within(c->cq, 0, 63)) return "cq: expected 0 to 63";
  if (!within(c->all_intra, 0, 1)) return "all_intra: expected 0 or 1";
  if (!within(c->cpu_used, 0, 9)) return "cpu_used: expected 0 to 9";
  if (!within(c->keyint, 1, 9999)) return "keyint: expected 1 to 9999";
  if (c->all_intra && c->keyint != 1) return "keyint: all-intra usage has key frames only, expected 1";
  if (!within(c->lag, 0, 48)) return "lag: expected 0 to 48";
  if (c->lag && c->keyint == 1) return "lag: key frames alone need none, expected 0 or a keyint above 1";
  if (!within(c->still, 0, 1)) return "still: expected 0 or 1";
  if (c->still && c->keyint != 1) return "still: a still picture is one key frame, expected a keyint of 1";
  if (!within(c->four_way, 0, 1)) return "four_way: expected 0 or 1";
  if (!within(c->threads, 1, 64)) return "threads: expected 1 to 64";
  if (!is_tune(c->tune)) return "tune: expected one of av1part_tune";
  return NULL;
}

/* The profile of AV1 that has such samples. */
static unsigned profile_of(const av1part_config *c) {
  if (c->bit_depth == 12 || c->chroma == 422) return 2;
  return c->chroma == 444;
}

/* A tune that sets further controls is set before ours, and its delta-q stays. */
static bool set_controls(aom_codec_ctx_t *codec, const av1part_config *c) {
  const bool sets_more = c->tune == AV1PART_TUNE_IQ || c->tune == AV1PART_TUNE_SSIMULACRA2;
  return aom_codec_control(codec, AOME_SET_CPUUSED, c->cpu_used) == AOM_CODEC_OK &&
         aom_codec_control(codec, AOME_SET_CQ_LEVEL, (unsigned)c->cq) == AOM_CODEC_OK &&
         (!c->tune || aom_codec_control(codec, AOME_SET_TUNING, c->tune) == AOM_CODEC_OK) &&
         (sets_more || aom_codec_control(codec, AV1E_SET_DELTAQ_MODE, 0u) == AOM_CODEC_OK) &&
         aom_codec_control(codec, AV1E_SET_ENABLE_1TO4_PARTITIONS, c->four_way) == AOM_CODEC_OK;
}

static int start_codec(av1part_encoder *e) {
  const av1part_config *c = &e->config;
  aom_codec_iface_t *const iface = aom_codec_av1_cx();
  aom_codec_enc_cfg_t cfg;
  const unsigned usage = c->all_intra ? AOM_USAGE_ALL_INTRA : AOM_USAGE_GOOD_QUALITY;
  if (aom_codec_enc_config_default(iface, &cfg, usage) != AOM_CODEC_OK) {
    return av1part_fail(e, AV1PART_ERR_LIBAOM, "default configuration");
  }
  cfg.g_w = (unsigned)c->width;
  cfg.g_h = (unsigned)c->height;
  cfg.g_threads = (unsigned)c->threads;
  cfg.g_profile = profile_of(c);
  cfg.monochrome = c->chroma == 400;
  cfg.g_bit_depth = (aom_bit_depth_t)c->bit_depth;
  cfg.g_input_bit_depth = (unsigned)c->bit_depth;
  cfg.g_timebase.num = 1;
  cfg.g_timebase.den = AV1PART_TICKS;
  cfg.g_pass = AOM_RC_ONE_PASS;
  cfg.g_limit = c->still ? 1 : 0; /* from the one frame libaom concludes the header */
  cfg.g_lag_in_frames = (unsigned)c->lag;
  cfg.rc_end_usage = AOM_Q;
  cfg.kf_max_dist = c->keyint == 1 ? 0 : (unsigned)c->keyint;
  const aom_codec_flags_t flags = c->bit_depth == 8 ? 0 : AOM_CODEC_USE_HIGHBITDEPTH;
  if (aom_codec_enc_init(&e->codec, iface, &cfg, flags) != AOM_CODEC_OK) {
    return av1part_fail(e, AV1PART_ERR_LIBAOM, "opening the encoder");
  }
  if (!set_controls(&e->codec, c)) return av1part_fail(e, AV1PART_ERR_LIBAOM, "setting the encoder up");
  return AV1PART_OK;
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
  int status = av1part_nodes_allocate(e);
  if (status == AV1PART_OK) status = av1part_hook_open(e);
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
  av1part_hook_close(e);
  if (e->codec.iface) aom_codec_destroy(&e->codec);
  av1part_nodes_free(e);
  free(e);
}

int av1part_set_mask_callback(av1part_encoder *e, av1part_mask_callback callback, void *user) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the callback was changed during an encode");
  const int status = callback ? av1part_check_search(e) : AV1PART_OK;
  if (status != AV1PART_OK) return status;
  e->callback = callback;
  e->user = user;
  return AV1PART_OK;
}

int av1part_disable_cnn(av1part_encoder *e, int disable) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the CNN was switched during an encode");
  e->cnn_disabled = disable != 0;
  return AV1PART_OK;
}

int av1part_set_colour(av1part_encoder *e, int primaries, int transfer, int matrix, int full_range) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy || e->fed) return av1part_fail(e, AV1PART_ERR_STATE, "the colour was described after the first frame");
  if (!within(matrix, e->config.chroma == 444 ? 0 : 1, 14)) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "matrix: expected 1 to 14, or 0 with 4:4:4");
  }
  if (!within(full_range, 0, 1)) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "full_range: expected 0 or 1");
  if (aom_codec_control(&e->codec, AV1E_SET_COLOR_PRIMARIES, primaries) != AOM_CODEC_OK ||
      aom_codec_control(&e->codec, AV1E_SET_TRANSFER_CHARACTERISTICS, transfer) != AOM_CODEC_OK ||
      aom_codec_control(&e->codec, AV1E_SET_MATRIX_COEFFICIENTS, matrix) != AOM_CODEC_OK ||
      aom_codec_control(&e->codec, AV1E_SET_COLOR_RANGE, full_range) != AOM_CODEC_OK) {
    return av1part_fail(e, AV1PART_ERR_LIBAOM, "describing the colour");
  }
  return AV1PART_OK;
}

int av1part_set_chroma_position(av1part_encoder *e, int position) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy || e->fed) return av1part_fail(e, AV1PART_ERR_STATE, "chroma was described after the first frame");
  if (!within(position, 0, 2)) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "chroma position: expected 0, 1 or 2");
  if (aom_codec_control(&e->codec, AV1E_SET_CHROMA_SAMPLE_POSITION, position) != AOM_CODEC_OK) {
    return av1part_fail(e, AV1PART_ERR_LIBAOM, "describing the chroma position");
  }
  return AV1PART_OK;
}

int av1part_set_render_size(av1part_encoder *e, int width, int height) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy || e->fed) return av1part_fail(e, AV1PART_ERR_STATE, "the render size was set after the first frame");
  if (!within(width, 1, 65536) || !within(height, 1, 65536)) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "render size: expected 1 to 65536 each way");
  }
  int size[2] = {width, height};
  if (aom_codec_control(&e->codec, AV1E_SET_RENDER_SIZE, size) != AOM_CODEC_OK) {
    return av1part_fail(e, AV1PART_ERR_LIBAOM, "setting the render size");
  }
  return AV1PART_OK;
}

int av1part_set_time(av1part_encoder *e, int64_t start, int64_t length) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the time was set during an encode");
  if (start < e->until || length < 1 || start > INT64_MAX / AV1PART_TICKS - length) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "time: expected a start that no frame before covers, and a length");
  }
  e->next = (av1part_time){start, length};
  return AV1PART_OK;
}

int av1part_add_metadata(av1part_encoder *e, int type, const void *data, size_t size) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy || e->fed) return av1part_fail(e, AV1PART_ERR_STATE, "metadata was added after the first frame");
  if (!data || !within(type, OBU_METADATA_TYPE_HDR_CLL, OBU_METADATA_TYPE_HDR_MDCV)) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "metadata: expected data of type 1 or 2");
  }
  if (size != (type == OBU_METADATA_TYPE_HDR_CLL ? 4 : AV1PART_METADATA_SIZE)) {
    return av1part_fail(e, AV1PART_ERR_ARGUMENT, "metadata: expected 4 bytes of type 1, 24 of type 2");
  }
  for (int i = 0; i < e->metadata_count; ++i) {
    if (e->metadata[i].type == type) return av1part_fail(e, AV1PART_ERR_STATE, "metadata of this type was added before");
  }
  e->metadata[e->metadata_count].type = type;
  e->metadata[e->metadata_count].size = size;
  memcpy(e->metadata[e->metadata_count++].data, data, size);
  return AV1PART_OK;
}
