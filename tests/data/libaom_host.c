/* One key frame through libaom's public interface, with the settings of av1part's own encoder.
 *   host WIDTH HEIGHT CQ CPU_USED in.yuv out.obu [superres] */
#include <stdio.h>
#include <stdlib.h>

#include "aom/aom_encoder.h"
#include "aom/aomcx.h"

int main(int count, char **words) {
  aom_codec_iface_t *const iface = aom_codec_av1_cx();
  aom_codec_enc_cfg_t cfg;
  aom_codec_ctx_t codec;
  aom_image_t image;
  if (count < 7 || aom_codec_enc_config_default(iface, &cfg, AOM_USAGE_GOOD_QUALITY)) return 1;
  const unsigned width = (unsigned)atoi(words[1]), height = (unsigned)atoi(words[2]);
  cfg.g_w = width;
  cfg.g_h = height;
  cfg.g_threads = 1;
  cfg.g_timebase.num = 1;
  cfg.g_timebase.den = 30;
  cfg.g_pass = AOM_RC_ONE_PASS;
  cfg.g_lag_in_frames = 0;
  cfg.rc_end_usage = AOM_Q;
  cfg.kf_max_dist = 0;
  if (count > 7) {
    cfg.rc_superres_mode = AOM_SUPERRES_FIXED;
    cfg.rc_superres_denominator = cfg.rc_superres_kf_denominator = 12;
  }
  if (aom_codec_enc_init(&codec, iface, &cfg, 0)) return 1;
  aom_codec_control(&codec, AOME_SET_CPUUSED, atoi(words[4]));
  aom_codec_control(&codec, AOME_SET_CQ_LEVEL, (unsigned)atoi(words[3]));
  aom_codec_control(&codec, AV1E_SET_DELTAQ_MODE, 0u);
  if (!aom_img_alloc(&image, AOM_IMG_FMT_I420, width, height, 1)) return 1;
  FILE *const in = fopen(words[5], "rb"), *const out = fopen(words[6], "wb");
  for (int plane = 0; in && plane < 3; ++plane) {
    const int rows = aom_img_plane_height(&image, plane), columns = aom_img_plane_width(&image, plane);
    for (int row = 0; row < rows; ++row) {
      if (!fread(image.planes[plane] + row * image.stride[plane], (size_t)columns, 1, in)) return 1;
    }
  }
  if (!in || !out || aom_codec_encode(&codec, &image, 0, 1, 0)) return 1;
  aom_codec_iter_t iter = NULL;
  for (const aom_codec_cx_pkt_t *p; (p = aom_codec_get_cx_data(&codec, &iter)) != NULL;) {
    if (p->kind == AOM_CODEC_CX_FRAME_PKT) fwrite(p->data.frame.buf, 1, p->data.frame.sz, out);
  }
  aom_img_free(&image);
  aom_codec_destroy(&codec);
  fclose(in);
  return fclose(out) != 0;
}
