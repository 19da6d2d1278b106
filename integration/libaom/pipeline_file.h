/* A pipeline's folder as C reads it: `hook.txt` says for which encoder it was made and what its policy is,
 * `bundles/STAGE/model.onnx` has the network of each stage.
 *
 * hook.txt is written by integration/pipeline/hook_file.py, in this order, a line each: `av1part-pipeline 1`, then
 * `libaom`, `bit_depth`, `usage` (good or allintra), `cpu_used`, `four_way`, `pruner` (1: the folder `pruner` in it is
 * one), `node` (side in samples), `ranges` and `stages` (how many there are); for each range `to_qindex` with its last
 * qindex and the thresholds, in the order of av1part_thresholds, each as the 16 hexadecimal digits of a double; for each stage `stage` with its name, `context`
 * (samples around the node), `size` and `crc32` of its network; `check`: the CRC-32 of all lines before it. CRCs are
 * those of zlib, in eight hexadecimal digits. They find accidents; `av1part run` checks the seal. */
#ifndef AV1PART_PIPELINE_FILE_H_
#define AV1PART_PIPELINE_FILE_H_

#include "pipeline.h"

typedef struct {
  char libaom[16];
  int all_intra, cpu_used, four_way, has_pruner;
  av1part_pipeline_config config; /* points into what follows, and to networks that were read */
  int32_t to_qindex[AV1PART_MOST_RANGES];
  double thresholds[AV1PART_MOST_RANGES][AV1PART_THRESHOLDS];
} av1part_pipeline_file;

/* Whether a folder's hook.txt says that it is a pipeline. */
bool av1part_is_pipeline(const char *folder);

/* Read a folder; false where it is no sound pipeline of this libaom, with the reason in `why`. Do not copy the file: its
 * config points into it. */
bool av1part_pipeline_file_read(const char *folder, av1part_pipeline_file *file, char *why, size_t why_size);
void av1part_pipeline_file_free(av1part_pipeline_file *file);

/* Folder of the pruner in a pipeline's folder; empty where that is too long. */
const char *av1part_pruner_inside(const char *folder, char *inside, size_t size);

#endif
