/* An encode with masks or with a pruner, and without Python: a y4m file in, an IVF file out.
 *
 *   cc -std=c11 encode.c $(av1part encoder info --flags) -o encode
 *   ./encode in.y4m out.ivf [cq [keyint [PRUNER [PIPELINE]]]]
 *
 * PRUNER is the folder of one, of `av1part fit` or in the box, PIPELINE that of trained networks, which mask the frames
 * at the beginning of their search; `-` stands for none. Without either, a mask callback stands in for a model: where a
 * block of 8x8 to 128x128 is flat it leaves NONE alone, elsewhere it takes nothing away.
 *
 * Errors are printed and end the program with 1; the file is then removed. A file that is there already, the clip
 * itself among them, is left alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "av1part_hook.h"

typedef struct clip {
  FILE *file;
  int width, height, bit_depth, rate, scale;
  size_t plane_bytes[3];
  uint8_t *planes[3];
} clip;

static int stop(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  return 1;
}

/* The header's fields of interest: W640 H480 F25:1 C420jpeg or C420p10. */
static int open_clip(clip *c, const char *path) {
  char header[512];
  c->file = fopen(path, "rb");
  if (!c->file) return stop(path, "cannot be opened");
  if (!fgets(header, sizeof(header), c->file) || strncmp(header, "YUV4MPEG2 ", 10)) return stop(path, "no y4m file");
  c->bit_depth = 8;
  c->rate = 30;
  c->scale = 1;
  for (char *field = strtok(header, " \n"); field; field = strtok(NULL, " \n")) {
    if (*field == 'W') c->width = atoi(field + 1);
    if (*field == 'H') c->height = atoi(field + 1);
    if (*field == 'F') sscanf(field + 1, "%d:%d", &c->rate, &c->scale);
    if (*field == 'C' && !strncmp(field, "C420p10", 7)) c->bit_depth = 10;
    else if (*field == 'C' && (strncmp(field, "C420", 4) || !strncmp(field, "C420p1", 6)))
      return stop(path, "only 4:2:0 of 8 or 10 bit");
  }
  if (c->width < 1 || c->height < 1 || c->width > 16384 || c->height > 16384) return stop(path, "no size");
  for (int plane = 0; plane < 3; ++plane) {
    const int width = plane ? (c->width + 1) / 2 : c->width, height = plane ? (c->height + 1) / 2 : c->height;
    c->plane_bytes[plane] = (size_t)width * (size_t)height * (c->bit_depth > 8 ? 2 : 1);
    c->planes[plane] = malloc(c->plane_bytes[plane]);
    if (!c->planes[plane]) return stop(path, "out of memory");
  }
  return 0;
}

/* 1: a frame was read, 0: the end, -1: an error. (10-bit samples are little-endian, as on this machine.) */
static int read_frame(clip *c) {
  char line[256];
  if (!fgets(line, sizeof(line), c->file)) return 0;
  if (strncmp(line, "FRAME", 5)) return -1;
  for (int plane = 0; plane < 3; ++plane) {
    if (fread(c->planes[plane], 1, c->plane_bytes[plane], c->file) != c->plane_bytes[plane]) return -1;
  }
  return 1;
}

static int sample(const av1part_source *s, int row, int column) {
  const ptrdiff_t at = (ptrdiff_t)row * s->stride + column;
  return s->bit_depth > 8 ? ((const uint16_t *)s->luma)[at] >> (s->bit_depth - 8) : ((const uint8_t *)s->luma)[at];
}

/* NONE alone (bit 0) where the luma of a node spans less than a few code values, 0 (unrestricted) elsewhere. */
static void flat_nodes(const av1part_source *source, int side, const av1part_mask *mask) {
  for (int row = 0; (row + 1) * side <= source->height; ++row) {
    for (int column = 0; (column + 1) * side <= source->width; ++column) {
      int low = 255, high = 0;
      for (int i = 0; i < side * side; ++i) {
        const int value = sample(source, row * side + i / side, column * side + i % side);
        if (value < low) low = value;
        if (value > high) high = value;
      }
      if (high - low < 4 + source->qindex / 16) mask->allowed[row * mask->columns + column] = 1u << 0;
    }
  }
}

static int flat_blocks(void *user, const av1part_source *source, const av1part_mask masks[AV1PART_LEVELS]) {
  int *const masked = user;
  for (int level = 0; level < AV1PART_LEVELS; ++level) flat_nodes(source, AV1PART_NODE_SIZE(level), &masks[level]);
  ++*masked;
  return 0;
}

static void put(uint8_t *to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to[i] = (uint8_t)(value >> 8 * i);
}

static int write_header(FILE *out, const clip *c, int64_t frames) {
  uint8_t header[32] = "DKIF";
  put(header + 6, 32, 2);
  memcpy(header + 8, "AV01", 4);
  put(header + 12, (uint64_t)c->width, 2);
  put(header + 14, (uint64_t)c->height, 2);
  put(header + 16, (uint64_t)c->rate, 4);
  put(header + 20, (uint64_t)c->scale, 4);
  put(header + 24, (uint64_t)frames, 4);
  return fwrite(header, 1, 32, out) != 32;
}

static int write_packet(FILE *out, const av1part_result *result) {
  uint8_t header[12];
  put(header, result->size, 4);
  put(header + 4, (uint64_t)result->frame_number, 8);
  return fwrite(header, 1, 12, out) != 12 || fwrite(result->data, 1, result->size, out) != result->size;
}

/* Let trained models decide; without any, flat_blocks does. */
static int load_models(av1part_encoder *encoder, const char *pruner, const char *pipeline, int *masked) {
  if (pruner && av1part_load_pruner(encoder, pruner) != AV1PART_OK) {
    return stop("av1part_load_pruner", av1part_error_detail(encoder));
  }
  if (pipeline && av1part_load_pipeline(encoder, pipeline) != AV1PART_OK) {
    return stop("av1part_load_pipeline", av1part_error_detail(encoder));
  }
  if (!pruner && !pipeline) av1part_set_mask_callback(encoder, flat_blocks, masked);
  return 0;
}

static int encode(clip *c, FILE *out, int cq, int keyint, const char *pruner, const char *pipeline) {
  const av1part_config config = { .struct_size = sizeof(config), .width = c->width, .height = c->height,
                                  .bit_depth = c->bit_depth, .chroma = 420, .cq = cq, .cpu_used = 2, .keyint = keyint,
                                  .threads = 1, .lag = keyint > 16 ? 16 : 0, .four_way = 1 };
  const size_t sample_bytes = c->bit_depth > 8 ? 2 : 1, half = (size_t)(c->width + 1) / 2;
  const size_t strides[3] = { (size_t)c->width * sample_bytes, half * sample_bytes, half * sample_bytes };
  char detail[256];
  av1part_encoder *encoder;
  if (av1part_open(&config, &encoder, detail, sizeof(detail)) != AV1PART_OK) return stop("av1part_open", detail);
  int masked = 0, masked_blocks = 0, bad = write_header(out, c, 0), more;
  int64_t frames = 0;
  bad |= load_models(encoder, pruner, pipeline, &masked);
  do {
    av1part_result result;
    more = read_frame(c);
    if (more < 0) bad |= stop("frame", "cut short or damaged");
    const int status = more > 0 ? av1part_encode(encoder, (const void *const *)c->planes, strides, NULL, &result)
                                : av1part_flush(encoder, &result);
    if (status != AV1PART_OK) bad |= stop(av1part_status_text(status), av1part_error_detail(encoder));
    if (bad || !result.data) continue;
    more = 1; /* a flush that gave a packet is called again */
    bad |= write_packet(out, &result);
    if (result.mask_failed) bad |= stop("mask", av1part_error_detail(encoder));
    masked += pipeline && result.intra_frame;
    for (int level = 0; level < AV1PART_LEVELS; ++level) masked_blocks += result.masked_blocks[level];
    ++frames;
  } while (more > 0 && !bad);
  av1part_close(encoder);
  bad |= fseek(out, 0, SEEK_SET) || write_header(out, c, frames);
  if (!bad) printf("%lld frames, %d masked, %d blocks restricted\n", (long long)frames, masked, masked_blocks);
  return bad;
}

int main(int count, char **words) {
  if (count < 3 || count > 7) return stop("usage", "encode in.y4m out.ivf [cq [keyint [PRUNER [PIPELINE]]]]");
  const char *const pruner = count > 5 && strcmp(words[5], "-") ? words[5] : NULL;
  const char *const pipeline = count > 6 && strcmp(words[6], "-") ? words[6] : NULL;
  if (av1part_api_version() != AV1PART_API_VERSION) return stop("libav1part_hook", "of another version");
  clip c = { 0 };
  if (open_clip(&c, words[1])) return 1;
  FILE *const out = fopen(words[2], "wbx"); /* x: never a file that is there */
  if (!out) return stop(words[2], errno == EEXIST ? "exists already" : "cannot be written");
  const int cq = count > 3 ? atoi(words[3]) : 32, keyint = count > 4 ? atoi(words[4]) : 1;
  int bad = encode(&c, out, cq, keyint, pruner, pipeline);
  bad |= fclose(out) != 0;
  if (bad) remove(words[2]);
  fclose(c.file);
  for (int plane = 0; plane < 3; ++plane) free(c.planes[plane]);
  return bad;
}
