/* Readers of files: of ordinary ones, whole, and as they were written. */
#define _POSIX_C_SOURCE 200809L
#include "file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "pipeline_file.h"
#include "pruner_file.h"

static void write_file(const char *path, const void *data, size_t size) {
  FILE *const file = fopen(path, "wb");
  CHECK(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

/* Write lines with the check behind them. */
static void write_text(const char *path, const char *lines) {
  char text[1 << 15];
  const int size = snprintf(text, sizeof(text), "%scheck %08x\n", lines, av1part_crc32(0, lines, strlen(lines)));
  write_file(path, text, (size_t)size);
}

static void checksums(void) {
  CHECK(av1part_crc32(0, "123456789", 9) == 0xCBF43926);
  CHECK(av1part_crc32(av1part_crc32(0, "1234", 4), "56789", 5) == 0xCBF43926);
  CHECK(av1part_crc32(0, "", 0) == 0);
  const char good[] = "a\ncheck 0e9c1cea\n";
  char text[64];
  snprintf(text, sizeof(text), "a\ncheck %08x\n", av1part_crc32(0, "a\n", 2));
  CHECK(av1part_text_is_sound(text, strlen(text)));
  CHECK(!av1part_text_is_sound(text, strlen(text) - 1)); /* a zero within */
  CHECK(!av1part_text_is_sound(good, strlen(good)));
  text[0] = 'b';
  CHECK(!av1part_text_is_sound(text, strlen(text)));
}

static void numbers(void) {
  CHECK(av1part_decimal("0.05") == 0.05 && av1part_decimal("64") == 64 && av1part_decimal("1e3") == 0);
  CHECK(av1part_decimal("") == 0 && av1part_decimal(".") == 0 && av1part_decimal("1.2.3") == 0);
  CHECK(av1part_decimal("-1") == 0 && av1part_decimal(" 1") == 0 && av1part_decimal("0,5") == 0);
}

static void ordinary_files(void) {
  char why[256] = "";
  size_t size = 0;
  write_file("five", "12345", 5);
  char *const whole = av1part_read_file(".", "five", 5, &size, why, sizeof(why));
  CHECK(whole && size == 5 && strcmp(whole, "12345") == 0);
  free(whole);
  CHECK(!av1part_read_file(".", "five", 4, &size, why, sizeof(why)) && strstr(why, "larger than 4 bytes"));
  CHECK(!av1part_read_file(".", "none", 4, &size, why, sizeof(why)) && strstr(why, "No such file"));
  CHECK(mkfifo("fifo", 0600) == 0);
  CHECK(!av1part_read_file(".", "fifo", 4, &size, why, sizeof(why)) && strstr(why, "no ordinary file"));
  CHECK(!av1part_read_file("/", "dev/zero", 4, &size, why, sizeof(why)) && strstr(why, "no ordinary file"));
}

static const char *const pipeline_lines[] = {
  "av1part-pipeline 1\n", "libaom 9.9.9\n", "bit_depth 10\n", "usage allintra\n", "cpu_used 4\n", "four_way 1\n",
  "pruner 0\n", "node 32\n", "ranges 2\n", "stages 1\n",
  /* 1 and 0.5, and zeros */
  "to_qindex 99 3ff0000000000000 3fe0000000000000 3ff0000000000000 0000000000000000 0000000000000000 0000000000000000 "
  "0000000000000000 0000000000000000 0000000000000000 0000000000000000\n",
  "to_qindex 255 3ff0000000000000 0000000000000000 3ff0000000000000 0000000000000000 0000000000000000 0000000000000000 "
  "0000000000000000 0000000000000000 0000000000000000 0000000000000000\n",
  "stage 2 context 8 size 7 crc32 00000000\n", /* the CRC is filled in */
};
enum { LINES = sizeof(pipeline_lines) / sizeof(*pipeline_lines) };

/* All lines but one, which another takes the place of. */
static bool read_with(int place, const char *line, char *why, size_t why_size) {
  char text[4096] = "", stage[64];
  snprintf(stage, sizeof(stage), "stage 2 context 8 size 7 crc32 %08x\n", av1part_crc32(0, "network", 7));
  for (int i = 0; i < LINES; ++i) strcat(text, i == place ? line : i == LINES - 1 ? stage : pipeline_lines[i]);
  write_text("pipe/hook.txt", text);
  av1part_pipeline_file *const file = malloc(sizeof(*file));
  const bool good = av1part_pipeline_file_read("pipe", file, why, why_size);
  if (good) {
    const av1part_pipeline_config *const c = &file->config;
    CHECK(file->all_intra == 1 && file->cpu_used == 4 && file->four_way == 1 && !file->has_pruner);
    CHECK(c->bit_depth == 10 && c->node_size == 32 && c->ranges == 2 && c->to_qindex[0] == 99 && c->to_qindex[1] == 255);
    CHECK(c->thresholds[0] == 1 && c->thresholds[1] == 0.5 && c->thresholds[AV1PART_THRESHOLDS + 1] == 0);
    CHECK(c->networks[1].present && c->networks[1].context == 8 && c->networks[1].size == 7);
    CHECK(!c->networks[0].present && memcmp(c->networks[1].graph, "network", 7) == 0);
    av1part_pipeline_file_free(file);
  }
  free(file);
  return good;
}

static void pipelines(void) {
  char why[256] = "";
  CHECK(mkdir("pipe", 0700) == 0 && mkdir("pipe/bundles", 0700) == 0 && mkdir("pipe/bundles/2", 0700) == 0);
  write_file("pipe/bundles/2/model.onnx", "network", 7);
  CHECK(read_with(-1, "", why, sizeof(why)));
  CHECK(av1part_is_pipeline("pipe") && !av1part_is_pipeline(".") && !av1part_is_pipeline("none"));
  for (int i = 0; i < LINES; ++i) { /* a line is missing, or not the one that belongs there */
    CHECK(!read_with(i, "", why, sizeof(why)) && strstr(why, "not as it was written"));
    CHECK(!read_with(i, "node -1\n", why, sizeof(why)) && strstr(why, "not as it was written"));
  }
  CHECK(!read_with(1, "libaom 3.6.0\n", why, sizeof(why)) && strstr(why, "for libaom 3.6.0, this is 9.9.9"));
  CHECK(!read_with(7, "node 24\n", why, sizeof(why)) && !read_with(2, "bit_depth 20\n", why, sizeof(why)));
  CHECK(!read_with(LINES - 1, "stage 1 context 8 size 7 crc32 1\n", why, sizeof(why))); /* no Stage 2 */
  CHECK(!read_with(LINES - 1, "stage 2 context 8 size 7 crc32 1\n", why, sizeof(why)) && strstr(why, "changed"));
  CHECK(!read_with(LINES - 1, "stage 2 context 8 size 7 crc32 1 x\n", why, sizeof(why)) && strstr(why, "not as it"));
  CHECK(!read_with(LINES - 1, "stage 2 context 17 size 7 crc32 1\n", why, sizeof(why)));
}

/* Whether a pruner's folder with these lines of overrides can be read, and holds so many. */
static bool overridden(const char *lines, int count, char *why, size_t why_size) {
  char text[1 << 15];
  const int size = snprintf(text, sizeof(text),
                            "av1part-pruner 1\nlibaom 9.9.9\nfeatures %08x\nbit_depth 8\nusage good\ncpu_used 2\n"
                            "four_way 1\nprice 0.05\nmost 64\n%ssize 7\ncrc32 %08x\n",
                            av1part_feature_table(0), lines, av1part_crc32(0, "forests", 7));
  CHECK(size < (int)sizeof(text));
  write_text("pruner/hook.txt", text);
  av1part_pruner_file file;
  const bool good = av1part_pruner_file_read("pruner", &file, why, why_size);
  CHECK(!good || (file.override_count == count && file.price == 0.05 && file.size == 7));
  for (int i = 0; good && i < count; ++i) CHECK(file.overrides[i].cpu_used == 2 + i && file.overrides[i].value == 2);
  if (good) av1part_pruner_file_free(&file);
  return good;
}

static void overrides(void) {
  char why[256] = "", lines[1 << 14] = "";
  CHECK(overridden("", 0, why, sizeof(why)));
  CHECK(overridden("override 2 intra_sf.top_intra_model_count_allowed 2\noverride 3 lpf_sf.cdef_pick_method 2\n", 2, why,
                   sizeof(why)));
  CHECK(!overridden("override 2 lpf_sf.cdef_pick_methods 2\n", 1, why, sizeof(why)));
  CHECK(strstr(why, "hook.txt: lpf_sf.cdef_pick_methods is no speed feature that can be overridden"));
  CHECK(!overridden("override 2 lpf_sf.cdef_pick_method 7\n", 1, why, sizeof(why)));
  CHECK(strstr(why, "lpf_sf.cdef_pick_method is 7, expected 0 to 6"));
  CHECK(!overridden("override 2 lpf_sf.cdef_pick_method\n", 1, why, sizeof(why)) && strstr(why, "not as it was written"));
  CHECK(!overridden("override lpf_sf.cdef_pick_method 2\n", 1, why, sizeof(why)) && strstr(why, "not as it was written"));
  for (int i = 0; i <= AV1PART_FILE_OVERRIDES; ++i) strcat(lines, "override 2 lpf_sf.lpf_pick 2\n");
  CHECK(!overridden(lines, 0, why, sizeof(why)) && strstr(why, "not as it was written"));
}

static void pruners(void) {
  char text[1024], why[256] = "";
  av1part_pruner_file file;
  CHECK(mkdir("pruner", 0700) == 0);
  write_file("pruner/pruner.bin", "forests", 7);
  static const char form[] = "av1part-pruner 1\nlibaom 9.9.9\nfeatures %08x\nbit_depth 8\nusage good\ncpu_used 2\n"
                             "four_way 1\n%sprice 0.05\nmost 64\nsize 7\ncrc32 %08x\n";
  const uint32_t crc = av1part_crc32(0, "forests", 7);
  snprintf(text, sizeof(text), form, av1part_feature_table(0), "frames inter\n", crc);
  write_text("pruner/hook.txt", text);
  CHECK(av1part_pruner_file_read("pruner", &file, why, sizeof(why)));
  CHECK(file.price == 0.05 && file.most == 64 && file.inter && !file.all_intra && file.size == 7);
  CHECK(av1part_pruner_file_serves(&file, 8, 420, 1, 2) && !av1part_pruner_file_serves(&file, 8, 420, 1, 3));
  CHECK(!av1part_pruner_file_serves(&file, 8, 420, 0, -1) && !av1part_pruner_file_serves(&file, 8, 420, 0, 10));
  CHECK(!av1part_pruner_file_serves(&file, 8, 444, 0, 2));
  CHECK(!av1part_pruner_file_serves(&file, 10, 420, 1, 2)); /* inter frames: the depth that was learnt */
  av1part_pruner_file_free(&file);
  snprintf(text, sizeof(text), form, av1part_feature_table(1), "frames inter\n", crc);
  write_text("pruner/hook.txt", text);
  CHECK(av1part_pruner_file_read("pruner", &file, why, sizeof(why)) && file.features == av1part_feature_table(1));
  av1part_pruner_file_free(&file);
  snprintf(text, sizeof(text), form, av1part_feature_table(0), "chroma 444\n", crc);
  write_text("pruner/hook.txt", text);
  CHECK(av1part_pruner_file_read("pruner", &file, why, sizeof(why)) && !file.inter);
  CHECK(av1part_pruner_file_serves(&file, 8, 444, 10, 2) && !av1part_pruner_file_serves(&file, 8, 420, 0, 2));
  CHECK(av1part_pruner_file_serves(&file, 10, 444, 0, 2) && !av1part_pruner_file_serves(&file, 12, 444, 0, 2));
  av1part_pruner_file_free(&file);
  static const char card[] = "av1part-card 4\ncrc32 %08x\nspeeds 9.9.10 8 420 0 12\nspeeds 9.9.10 8 444 0 none\n%s";
  snprintf(text, sizeof(text), card, crc, "");
  write_text("pruner/card.txt", text);
  CHECK(av1part_pruner_file_read("pruner", &file, why, sizeof(why)) && file.served_count == 2); /* the newest's */
  CHECK(av1part_pruner_file_serves(&file, 8, 420, 0, 1) && !av1part_pruner_file_serves(&file, 8, 420, 1, 1));
  CHECK(!av1part_pruner_file_serves(&file, 8, 444, 0, 2) && !av1part_pruner_file_serves(&file, 10, 420, 0, 1));
  av1part_pruner_file_free(&file);
  snprintf(text, sizeof(text), card, crc, "speeds 9.9.9 8 444 10 6\nspeeds 9.9.9 10 420 1 6\n");
  write_text("pruner/card.txt", text);
  CHECK(av1part_pruner_file_read("pruner", &file, why, sizeof(why)) && file.served_count == 2); /* this libaom's own */
  CHECK(av1part_pruner_file_serves(&file, 8, 444, 10, 6) && !av1part_pruner_file_serves(&file, 8, 420, 0, 1));
  CHECK(av1part_pruner_file_serves(&file, 10, 420, 1, 6) && !av1part_pruner_file_serves(&file, 8, 420, 1, 6));
  av1part_pruner_file_free(&file);
  CHECK(remove("pruner/card.txt") == 0);
  snprintf(text, sizeof(text), form, av1part_feature_table(1), "", crc); /* what intra frames do not know */
  write_text("pruner/hook.txt", text);
  CHECK(!av1part_pruner_file_read("pruner", &file, why, sizeof(why)) && strstr(why, "another table of features"));
  snprintf(text, sizeof(text), form, av1part_feature_table(0) + 1, "", crc);
  write_text("pruner/hook.txt", text);
  CHECK(!av1part_pruner_file_read("pruner", &file, why, sizeof(why)) && strstr(why, "another table of features"));
  snprintf(text, sizeof(text), form, av1part_feature_table(0), "", crc + 1);
  write_text("pruner/hook.txt", text);
  CHECK(!av1part_pruner_file_read("pruner", &file, why, sizeof(why)) && strstr(why, "pruner.bin: changed"));
}

void test_files(void) {
  checksums();
  numbers();
  ordinary_files();
  pipelines();
  pruners();
  overrides();
}
