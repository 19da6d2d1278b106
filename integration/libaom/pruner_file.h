/* A pruner's folder as C reads it: `hook.txt` says for which encoder it was made, `pruner.bin` has its models.
 *
 * hook.txt is written by integration/pruning/hook_file.py, in this order, a line each: `av1part-pruner 1`, then
 * `libaom`, `features` (av1part_feature_table, of intra or of inter frames), `bit_depth`, `usage` (good or allintra),
 * `cpu_used`, `four_way`, `frames inter` (where it is for inter frames; without the line, for intra frames), `price`,
 * `most`, an `override` for each of libaom's speed features that is overridden (the cpu_used at which it is, the name as in
 * overrides.toml, the value; at most one for each cpu_used from 0 to 6), `size` and `crc32` of pruner.bin, and `check`: the
 * CRC-32 of all lines before it. CRCs are those of zlib, in eight hexadecimal digits. They find accidents; `av1part run`
 * and `av1part pruner info` check the seal.
 *
 * A pruner in the box also has `card.txt`, by integration/zoo/card.py: `av1part-card 4`, `crc32` of pruner.bin, a line
 * `speeds` for each libaom, bit depth, chroma and tune with which it was measured, the newest libaom first (its version,
 * the bit depth, the chroma as in av1part_config, the tune's number, and the digits of every cpu_used at which it gains
 * there, or `none`), and `check`. It then serves every libaom that has its features, by that libaom's lines, else by
 * those of the first libaom, in place of what it learnt with. Without a card it serves the libaom and cpu_used that
 * hook.txt names and the chroma after four_way (`chroma 444`; without the line, 4:2:0), at every tune; intra frames at 8
 * and 10 bit, since features are in quantiser steps, and inter frames at their own bit depth. */
#ifndef AV1PART_PRUNER_FILE_H_
#define AV1PART_PRUNER_FILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "overrides.h"

enum { AV1PART_SERVED = 48, AV1PART_ANY_TUNE = -1, AV1PART_FILE_OVERRIDES = 7 * AV1PART_OVERRIDES };

/* What a pruner serves: a digit for each cpu_used. */
typedef struct {
  int bit_depth, chroma, tune;
  char speeds[16];
} av1part_served;

typedef struct {
  char libaom[16];
  av1part_served served[AV1PART_SERVED]; /* the first `served_count` are there, at least one */
  int served_count;
  uint32_t features;
  int all_intra, four_way, inter;
  double price, most;
  av1part_override overrides[AV1PART_FILE_OVERRIDES];
  int override_count;
  void *data; /* of pruner.bin */
  size_t size;
} av1part_pruner_file;

/* Read a folder; false where it is no sound pruner for this hook and libaom, with the reason in `why`. */
bool av1part_pruner_file_read(const char *folder, av1part_pruner_file *file, char *why, size_t why_size);
void av1part_pruner_file_free(av1part_pruner_file *file);

/* What of it serves a bit depth, a chroma and a tune; NULL: nothing. */
const av1part_served *av1part_pruner_file_served(const av1part_pruner_file *file, int bit_depth, int chroma, int tune);

bool av1part_pruner_file_serves(const av1part_pruner_file *file, int bit_depth, int chroma, int tune, int cpu_used);

/* A number such as 0.05, above 0, whatever the process's locale writes for the point; 0 where the text is none. */
double av1part_decimal(const char *text);

#endif
