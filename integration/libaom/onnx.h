/* Stage networks in ONNX Runtime's C library, which is looked for when the first one is opened. */
#ifndef AV1PART_ONNX_H_
#define AV1PART_ONNX_H_

#include <stdbool.h>
#include <stddef.h>

typedef struct av1part_model av1part_model;

/* Open a graph on the CPU, in so many threads (0: one a core); NULL with the reason in `why`, where there is no ONNX
 * Runtime or it refuses the graph. `runtime` is the library's path; NULL: that in AV1PART_ONNXRUNTIME, else the loader
 * looks for libonnxruntime.so.1. Whichever is found first serves the whole process. `data` may then go. */
av1part_model *av1part_model_open(const void *data, size_t size, int threads, const char *runtime, char *why,
                                  size_t why_size);
void av1part_model_free(av1part_model *model);

/* Logits, count x classes, of `count` windows of side x side samples at as many qindexes. False, with the reason in
 * `why`, where the graph does not take or give that. Several threads may run one model at once. */
bool av1part_model_run(const av1part_model *model, float *luma, int side, float *qindex, int count, float *logits,
                       int classes, char *why, size_t why_size);

#endif
