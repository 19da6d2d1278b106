/* Pipelines by the size of their nodes, the largest asked first. */
#include "masker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline_file.h"

struct av1part_masker {
  av1part_pipeline *pipelines[AV1PART_LEVELS]; /* NULL: none for nodes of that size */
  int bit_depth; /* of all of them; 0: there is none yet */
};

void av1part_masker_put(av1part_masker *m, av1part_pipeline *pipeline) {
  av1part_pipeline **const own = &m->pipelines[av1part_pipeline_level(pipeline)];
  av1part_pipeline_free(*own);
  *own = pipeline;
  m->bit_depth = av1part_pipeline_bit_depth(pipeline);
}

bool av1part_masker_ask(const av1part_masker *m, const av1part_picture *picture,
                        const av1part_mask masks[AV1PART_LEVELS], char *why, size_t why_size) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    memset(masks[l].allowed, 0, (size_t)masks[l].rows * (size_t)masks[l].columns * sizeof(*masks[l].allowed));
  }
  for (int l = AV1PART_LEVELS - 1; l >= 0; --l) {
    if (m->pipelines[l] && !av1part_pipeline_mask(m->pipelines[l], picture, masks, why, why_size)) return false;
  }
  return true;
}

/* Open a pipeline of a description without fault. */
static int take(av1part_masker *m, const av1part_pipeline_config *config, char *why, size_t why_size) {
  if (m->bit_depth && m->bit_depth != config->bit_depth) {
    snprintf(why, why_size, "bit_depth: expected %d, as of the pipeline that is there", m->bit_depth);
    return AV1PART_ERR_ARGUMENT;
  }
  av1part_pipeline *const opened = av1part_pipeline_open(config, why, why_size);
  if (!opened) return AV1PART_ERR_PIPELINE;
  av1part_masker_put(m, opened);
  return AV1PART_OK;
}

/* ---- the C interface ---- */

int av1part_masker_open(av1part_masker **masker) {
  if (!masker) return AV1PART_ERR_ARGUMENT;
  *masker = calloc(1, sizeof(**masker));
  return *masker ? AV1PART_OK : AV1PART_ERR_MEMORY;
}

void av1part_masker_close(av1part_masker *m) {
  for (int l = 0; m && l < AV1PART_LEVELS; ++l) av1part_pipeline_free(m->pipelines[l]);
  free(m);
}

/* Whether each network has a graph that is not empty, or is the caller's to run. */
static bool all_run(const av1part_pipeline_config *config) {
  bool all = true;
  for (size_t s = 0; s < sizeof(config->networks) / sizeof(*config->networks); ++s) {
    const av1part_network *const network = &config->networks[s];
    all = all && (!network->present || (network->graph ? network->size > 0 : config->ask != NULL));
  }
  return all;
}

int av1part_masker_add(av1part_masker *m, const av1part_pipeline_config *config, char *detail, size_t detail_size) {
  if (!detail || !detail_size) return AV1PART_ERR_ARGUMENT;
  *detail = 0;
  if (!m || !config) return AV1PART_ERR_ARGUMENT;
  const char *fault = config->struct_size == sizeof(*config)
                          ? av1part_pipeline_fault(config)
                          : "struct_size: the caller was built against another av1part_hook.h";
  if (!fault && !all_run(config)) fault = "a network has neither a graph nor an ask";
  if (!fault) return take(m, config, detail, detail_size);
  snprintf(detail, detail_size, "%s", fault);
  return AV1PART_ERR_ARGUMENT;
}

int av1part_masker_load(av1part_masker *m, const char *folder, char *detail, size_t detail_size) {
  if (!detail || !detail_size) return AV1PART_ERR_ARGUMENT;
  *detail = 0;
  if (!m || !folder) return AV1PART_ERR_ARGUMENT;
  av1part_pipeline_file *const file = malloc(sizeof(*file));
  if (!file) return AV1PART_ERR_MEMORY;
  int status = AV1PART_ERR_PIPELINE;
  if (av1part_pipeline_file_read(folder, file, detail, detail_size)) {
    status = take(m, &file->config, detail, detail_size);
    av1part_pipeline_file_free(file);
  }
  free(file);
  return status;
}

/* What is wrong with a source and the arrays for its masks, NULL where nothing is. */
static const char *bad_source(const av1part_masker *m, const av1part_source *s, const av1part_mask masks[]) {
  if (!m->bit_depth) return "no pipeline was added";
  if (s->bit_depth != m->bit_depth || s->qindex < 0 || s->qindex > 255) {
    return "source: expected the pipeline's bit depth, and a qindex of 0 to 255";
  }
  if (!s->luma || s->width < 1 || s->height < 1 || s->stride < s->width) return "source: expected luma with a size";
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const int side = AV1PART_NODE_SIZE(l);
    const int rows = (s->height + side - 1) / side, columns = (s->width + side - 1) / side;
    if (!masks[l].allowed || masks[l].rows != rows || masks[l].columns != columns) {
      return "the masks' rows and columns are not the source's";
    }
  }
  return NULL;
}

int av1part_masker_masks(const av1part_masker *m, const av1part_source *source, const av1part_mask masks[AV1PART_LEVELS],
                         char *detail, size_t detail_size) {
  if (!detail || !detail_size) return AV1PART_ERR_ARGUMENT;
  *detail = 0;
  if (!m || !source || !masks) return AV1PART_ERR_ARGUMENT;
  const char *const bad = bad_source(m, source, masks);
  if (bad) {
    snprintf(detail, detail_size, "%s", bad);
    return AV1PART_ERR_ARGUMENT;
  }
  const av1part_picture picture = { source->luma, source->stride, source->width, source->height, source->qindex,
                                    source->bit_depth > 8 };
  return av1part_masker_ask(m, &picture, masks, detail, detail_size) ? AV1PART_OK : AV1PART_ERR_PIPELINE;
}
