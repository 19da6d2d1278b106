/* The folders that the drop-in library (runtime.c) was given by AV1PART_PIPELINE, with colons between. */
#ifndef AV1PART_GIVEN_H_
#define AV1PART_GIVEN_H_

#include <stdbool.h>

#include "av1/encoder/encoder.h"
#include "pipeline_file.h"
#include "pruner_file.h"

enum { AV1PART_MOST_FOLDERS = 16 };

typedef struct {
  av1part_pruner_file pruners[AV1PART_MOST_FOLDERS];
  av1part_pipeline_file pipelines[AV1PART_MOST_FOLDERS];
  int pruner_count, pipeline_count; /* 0 both where a folder cannot be read, which is said once */
} av1part_given;

/* What was given, read at the first call of the process. */
const av1part_given *av1part_given_folders(void);

/* Free what was read, once no encoder uses it. */
void av1part_free_given(void);

/* Networks could not be opened or run, of which a line was said: no masks are tried again in this process. */
void av1part_give_masks_up(void);
bool av1part_masks_given_up(void);

/* Whether a folder was made for what this encoder codes now. Masks are for the tune that they were learnt under, psnr:
 * another one would be unmeasured. */
bool av1part_pruner_suits(const AV1_COMP *cpi, const av1part_pruner_file *file);
bool av1part_pipeline_suits(const AV1_COMP *cpi, const av1part_pipeline_file *file);

/* Say what of that which was given this encoder goes without. */
void av1part_say_without(const AV1_COMP *cpi, bool pruned, bool masked);

/* Say that libaom searches no partitions for this encoder, so that there is nothing to prune. */
void av1part_say_searchless(const AV1_COMP *cpi);

#endif
