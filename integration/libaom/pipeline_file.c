/* Reading a pipeline's folder. */
#include "pipeline_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "av1part_hook.h"
#include "file.h"

enum { LARGEST_TEXT = 1 << 17, LARGEST_MODEL = 1 << 29, WIDEST_CONTEXT = 16, NUMBERS = 10 };
_Static_assert(sizeof(av1part_thresholds) == NUMBERS * sizeof(double), "thresholds are doubles, and nothing else");

static const char kind[] = "av1part-pipeline 1\n";
static const char *const stage_names[STAGES] = { "1", "2", "3-rect", "3-ab" };

/* What the text says of each stage's file. */
typedef struct {
  bool present;
  size_t size;
  unsigned crc;
} model_facts;

/* Read one range and return what follows; NULL where it is none. */
static const char *read_range(const char *at, int *to_qindex, av1part_thresholds *thresholds) {
  int end = 0;
  if (sscanf(at, "to_qindex %3d%n", to_qindex, &end) != 1) return NULL;
  at += end;
  double numbers[NUMBERS];
  for (int i = 0; i < NUMBERS; ++i) {
    uint64_t digits;
    if (sscanf(at, " %16" SCNx64 "%n", &digits, &end) != 1) return NULL;
    memcpy(&numbers[i], &digits, sizeof(digits));
    if (!(numbers[i] >= 0 && numbers[i] <= 1)) return NULL;
    at += end;
  }
  memcpy(thresholds, numbers, sizeof(numbers));
  return *at == '\n' ? at + 1 : NULL;
}

/* Whether the encoder masks nodes of that side. */
static bool is_node(int side) {
  bool known = false;
  for (int l = 0; l < AV1PART_LEVELS; ++l) known = known || side == AV1PART_NODE_SIZE(l);
  return known;
}

static const char *read_stage(const char *at, av1part_pipeline_file *file, model_facts facts[STAGES]) {
  char name[8];
  int context, end = 0, stage = 0;
  model_facts own = { .present = true };
  const int found = sscanf(at, "stage %7[0-9a-z-] context %2d size %zu crc32 %8x%n", name, &context, &own.size,
                           &own.crc, &end);
  if (found != 4) return NULL;
  while (stage < STAGES && strcmp(name, stage_names[stage]) != 0) ++stage;
  if (stage == STAGES || !av1part_stage_classes(stage, file->node) || facts[stage].present) return NULL;
  if (context < 0 || context > WIDEST_CONTEXT) return NULL;
  if (!own.size || own.size > LARGEST_MODEL || at[end] != '\n') return NULL;
  file->stages[stage].context = context;
  facts[stage] = own;
  return at + end + 1;
}

static bool parse(const char *text, av1part_pipeline_file *file, model_facts facts[STAGES]) {
  char usage[16];
  int stages, end = 0;
  const int found = sscanf(text,
                           "av1part-pipeline 1\nlibaom %15[0-9.]\nbit_depth %2d\nusage %15[a-z]\ncpu_used %1d\n"
                           "four_way %1d\npruner %1d\nnode %3d\nranges %3d\nstages %1d%n",
                           file->libaom, &file->bit_depth, usage, &file->cpu_used, &file->four_way, &file->has_pruner, &file->node,
                           &file->range_count, &stages, &end);
  if (found != 9 || text[end] != '\n' || !is_node(file->node)) return false;
  if (file->range_count < 1 || file->range_count > MOST_RANGES) return false;
  file->all_intra = strcmp(usage, "allintra") == 0;
  const char *at = text + end + 1;
  for (int i = 0, last = -1; at && i < file->range_count; ++i) {
    at = read_range(at, &file->to_qindex[i], &file->thresholds[i]);
    if (file->to_qindex[i] <= last) return false;
    last = file->to_qindex[i];
  }
  if (!at || file->to_qindex[file->range_count - 1] != 255) return false;
  for (int i = 0; at && i < stages; ++i) at = read_stage(at, file, facts);
  return at && facts[STAGE_2].present && strncmp(at, "check ", 6) == 0;
}

static bool read_models(const char *folder, av1part_pipeline_file *file, const model_facts facts[STAGES], char *why,
                        size_t why_size) {
  for (int s = 0; s < STAGES; ++s) {
    char name[32];
    if (!facts[s].present) continue;
    snprintf(name, sizeof(name), "bundles/%s/model.onnx", stage_names[s]);
    file->stages[s].data = av1part_read_file(folder, name, facts[s].size, &file->stages[s].size, why, why_size);
    if (!file->stages[s].data) return false;
    if (file->stages[s].size != facts[s].size ||
        av1part_crc32(0, file->stages[s].data, facts[s].size) != facts[s].crc) {
      snprintf(why, why_size, "%s/%s: changed since it was made", folder, name);
      return false;
    }
  }
  return true;
}

bool av1part_is_pipeline(const char *folder) {
  char path[4096], start[sizeof(kind)] = "";
  if (snprintf(path, sizeof(path), "%s/hook.txt", folder) >= (int)sizeof(path)) return false;
  size_t size;
  FILE *const file = av1part_open_ordinary(path, "rb", &size);
  if (!file) return false;
  const bool is = fread(start, 1, sizeof(kind) - 1, file) == sizeof(kind) - 1 && strcmp(start, kind) == 0;
  fclose(file);
  return is;
}

bool av1part_pipeline_file_read(const char *folder, av1part_pipeline_file *file, char *why, size_t why_size) {
  memset(file, 0, sizeof(*file));
  model_facts facts[STAGES] = { { 0 } };
  size_t size;
  char *const text = av1part_read_file(folder, "hook.txt", LARGEST_TEXT, &size, why, why_size);
  if (!text) return false;
  const bool parsed = av1part_text_is_sound(text, size) && parse(text, file, facts);
  free(text);
  if (!parsed) {
    snprintf(why, why_size, "%s/hook.txt: not as it was written", folder);
    return false;
  }
  if (!av1part_is_libaom(file->libaom, folder, why, why_size)) return false;
  if (read_models(folder, file, facts, why, why_size)) return true;
  av1part_pipeline_file_free(file);
  return false;
}

void av1part_pipeline_file_free(av1part_pipeline_file *file) {
  for (int s = 0; s < STAGES; ++s) {
    free(file->stages[s].data);
    file->stages[s].data = NULL;
  }
}

const char *av1part_pruner_inside(const char *folder, char *inside, size_t size) {
  if (snprintf(inside, size, "%s/pruner", folder) >= (int)size) *inside = 0;
  return inside;
}
