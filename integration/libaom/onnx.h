/* Stage networks in ONNX Runtime's C library, which is looked for when the first one is opened. */
#ifndef AV1PART_ONNX_H_
#define AV1PART_ONNX_H_

#include <stdbool.h>
#include <stddef.h>

typedef struct av1part_model av1part_model;

/* Open a graph on the CPU, in one thread; NULL with the reason in `why`, where there is no ONNX Runtime (its path is
 * AV1PART_ONNXRUNTIME, else the loader looks for libonnxruntime.so.1), or it refuses the graph. `data` may then go. */
av1part_model *av1part_model_open(const void *data, size_t size, char *why, size_t why_size);
void av1part_model_free(av1part_model *model);

/* Logits, count x classes, of `count` windows of side x side samples at as many qindexes. False, with the reason in
 * `why`, where the graph does not take or give that. */
bool av1part_model_run(const av1part_model *model, float *luma, int side, float *qindex, int count, float *logits,
                       int classes, char *why, size_t why_size);

#endif
