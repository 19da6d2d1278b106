/* Reading a pipeline's folder. */
#include "pipeline_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "policy.h"

enum { LARGEST_TEXT = 1 << 17, LARGEST_MODEL = 1 << 29 };
static const char kind[] = "av1part-pipeline 1\n";

/* What the text says of each stage's file. */
typedef struct {
  bool present;
  size_t size;
  unsigned crc;
} model_facts;

/* Read one range and return what follows; NULL where it is none. */
static const char *read_range(const char *at, int32_t *to_qindex, double thresholds[AV1PART_THRESHOLDS]) {
  int end = 0;
  if (sscanf(at, "to_qindex %3" SCNd32 "%n", to_qindex, &end) != 1) return NULL;
  at += end;
  for (int i = 0; i < AV1PART_THRESHOLDS; ++i) {
    uint64_t digits;
    if (sscanf(at, " %16" SCNx64 "%n", &digits, &end) != 1) return NULL;
    memcpy(&thresholds[i], &digits, sizeof(digits));
    at += end;
  }
  return *at == '\n' ? at + 1 : NULL;
}

static const char *read_stage(const char *at, av1part_pipeline_file *file, model_facts facts[STAGES]) {
  char name[8];
  int32_t context;
  int end = 0, stage = 0;
  model_facts own = { .present = true };
  const int found = sscanf(at, "stage %7[0-9a-z-] context %2" SCNd32 " size %zu crc32 %8x%n", name, &context, &own.size,
                           &own.crc, &end);
  if (found != 4) return NULL;
  while (stage < STAGES && strcmp(name, av1part_stage_names[stage]) != 0) ++stage;
  if (stage == STAGES || facts[stage].present) return NULL;
  if (!own.size || own.size > LARGEST_MODEL || at[end] != '\n') return NULL;
  file->config.networks[stage] = (av1part_network){ .present = 1, .context = context };
  facts[stage] = own;
  return at + end + 1;
}

/* The text's own form; what it says is looked at by av1part_pipeline_fault. */
static bool parse(const char *text, av1part_pipeline_file *file, model_facts facts[STAGES]) {
  av1part_pipeline_config *const config = &file->config;
  char usage[16];
  int stages, end = 0;
  const int found = sscanf(text,
                           "av1part-pipeline 1\nlibaom %15[0-9.]\nbit_depth %2" SCNd32 "\nusage %15[a-z]\ncpu_used %1d\n"
                           "four_way %1d\npruner %1d\nnode %3" SCNd32 "\nranges %3" SCNd32 "\nstages %1d%n",
                           file->libaom, &config->bit_depth, usage, &file->cpu_used, &file->four_way, &file->has_pruner,
                           &config->node_size, &config->ranges, &stages, &end);
  if (found != 9 || text[end] != '\n' || config->ranges > AV1PART_MOST_RANGES) return false;
  file->all_intra = strcmp(usage, "allintra") == 0;
  const char *at = text + end + 1;
  for (int i = 0; at && i < config->ranges; ++i) at = read_range(at, &file->to_qindex[i], file->thresholds[i]);
  for (int i = 0; at && i < stages; ++i) at = read_stage(at, file, facts);
  return at && strncmp(at, "check ", 6) == 0;
}

static bool read_models(const char *folder, av1part_pipeline_file *file, const model_facts facts[STAGES], char *why,
                        size_t why_size) {
  for (int s = 0; s < STAGES; ++s) {
    char name[32];
    if (!facts[s].present) continue;
    snprintf(name, sizeof(name), "bundles/%s/model.onnx", av1part_stage_names[s]);
    av1part_network *const network = &file->config.networks[s];
    network->graph = av1part_read_file(folder, name, facts[s].size, &network->size, why, why_size);
    if (!network->graph) return false;
    if (network->size != facts[s].size || av1part_crc32(0, network->graph, facts[s].size) != facts[s].crc) {
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
  file->config = (av1part_pipeline_config){ .struct_size = sizeof(file->config), .to_qindex = file->to_qindex,
                                            .thresholds = file->thresholds[0], .threads = 1 };
  model_facts facts[STAGES] = { { 0 } };
  size_t size;
  char *const text = av1part_read_file(folder, "hook.txt", LARGEST_TEXT, &size, why, why_size);
  if (!text) return false;
  const bool parsed =
      av1part_text_is_sound(text, size) && parse(text, file, facts) && !av1part_pipeline_fault(&file->config);
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
    free((void *)(uintptr_t)file->config.networks[s].graph);
    file->config.networks[s].graph = NULL;
  }
}

const char *av1part_pruner_inside(const char *folder, char *inside, size_t size) {
  if (snprintf(inside, size, "%s/pruner", folder) >= (int)size) *inside = 0;
  return inside;
}
