/* A pruner's folder as C reads it: `hook.txt` says for which encoder it was made, `pruner.bin` has its models.
 *
 * hook.txt is written by integration/pruning/hook_file.py, in this order, a line each: `av1part-pruner 1`, then
 * `libaom`, `features` (av1part_feature_table, of intra or of inter frames), `bit_depth`, `usage` (good or allintra), `cpu_used`, `four_way`,
 * `frames inter` (where it is for inter frames; without the line, for intra frames), `price`, `most`, `size` and
 * `crc32` of pruner.bin, and `check`: the CRC-32 of all lines before it. CRCs are those of zlib, in eight hexadecimal
 * digits. They find accidents; `av1part run` and `av1part pruner info` check the seal.
 *
 * A pruner in the box also has `card.txt`, by integration/zoo/card.py: `av1part-card 2`, `crc32` of pruner.bin, a line
 * `speeds` for each libaom with which it was measured, the newest first (its version, and the digits of every cpu_used
 * at which it gains there, or `none`), and `check`. It then serves every libaom that has its features, at the speeds of
 * that libaom's line, else of the first, in place of the libaom and the speed that it learnt with. */
#ifndef AV1PART_PRUNER_FILE_H_
#define AV1PART_PRUNER_FILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  char libaom[16], speeds[16]; /* speeds: a digit for each cpu_used that it serves */
  uint32_t features;
  int bit_depth, all_intra, four_way, inter;
  double price, most;
  void *data; /* of pruner.bin */
  size_t size;
} av1part_pruner_file;

/* Read a folder; false where it is no sound pruner for this hook and libaom, with the reason in `why`. */
bool av1part_pruner_file_read(const char *folder, av1part_pruner_file *file, char *why, size_t why_size);
void av1part_pruner_file_free(av1part_pruner_file *file);

bool av1part_pruner_file_serves(const av1part_pruner_file *file, int cpu_used);

/* A number such as 0.05, above 0, whatever the process's locale writes for the point; 0 where the text is none. */
double av1part_decimal(const char *text);

#endif
