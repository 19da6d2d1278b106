/* The nodes of a frame, by size: their memory, the masks that a caller gives, the labels and costs that it reads. */
#include <stdlib.h>
#include <string.h>

#include "encoder.h"

int av1part_nodes_allocate(av1part_encoder *e) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &e->levels[l];
    level->side = AV1PART_NODE_SIZE(l);
    level->rows = (e->config.height + level->side - 1) / level->side;
    level->columns = (e->config.width + level->side - 1) / level->side;
    level->mask = calloc(node_count(level), sizeof(*level->mask));
    level->effect = calloc(node_count(level), 1);
    level->labels = calloc(node_count(level), 1);
    if (!level->mask || !level->effect || !level->labels) return AV1PART_ERR_MEMORY;
  }
  return AV1PART_OK;
}

void av1part_nodes_free(av1part_encoder *e) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    free(e->levels[l].mask);
    free(e->levels[l].effect);
    free(e->levels[l].labels);
    free(e->levels[l].costs);
  }
}

void av1part_clear_effects(av1part_encoder *e) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    memset(e->levels[l].effect, EFFECT_NONE, node_count(&e->levels[l]));
  }
}

int av1part_whole_node(const av1part_encoder *e, const av1part_level *level, int y, int x) {
  const int row = y / level->side, column = x / level->side;
  if ((row + 1) * level->side > e->config.height || (column + 1) * level->side > e->config.width) return -1;
  return row * level->columns + column;
}

/* The level of nodes of that size, NULL where there is none. */
static const av1part_level *level_of(const av1part_encoder *e, int node_size) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    if (e->levels[l].side == node_size) return &e->levels[l];
  }
  return NULL;
}

int av1part_take_masks(av1part_encoder *e, const av1part_mask *masks) {
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &e->levels[l];
    const size_t bytes = node_count(level) * sizeof(*level->mask);
    if (!masks[l].allowed) {
      memset(level->mask, 0, bytes);
    } else if (masks[l].rows != level->rows || masks[l].columns != level->columns) {
      return av1part_fail(e, AV1PART_ERR_MASK, "the mask's rows and columns are not the frame's");
    } else {
      memcpy(level->mask, masks[l].allowed, bytes);
    }
  }
  return AV1PART_OK;
}

int av1part_log_costs(av1part_encoder *e, int node_sizes) {
  if (!e) return AV1PART_ERR_ARGUMENT;
  if (e->busy) return av1part_fail(e, AV1PART_ERR_STATE, "the costs were switched during an encode");
  const int status = node_sizes ? av1part_check_search(e) : AV1PART_OK;
  if (status != AV1PART_OK) return status;
  int unknown = node_sizes;
  for (int l = 0; l < AV1PART_LEVELS; ++l) unknown &= ~e->levels[l].side;
  if (unknown) return av1part_fail(e, AV1PART_ERR_ARGUMENT, "node_sizes: expected 0, or a sum of 8, 16, 32, 64 and 128");
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    av1part_level *const level = &e->levels[l];
    const bool wanted = (node_sizes & level->side) != 0;
    if (wanted == (level->costs != NULL)) continue;
    free(level->costs);
    level->costs = NULL;
    if (!wanted) continue;
    e->labels_ready = false; /* they may be read for frames that were searched with the switch on alone */
    level->costs = calloc(node_count(level), sizeof(*level->costs));
    if (!level->costs) return av1part_fail(e, AV1PART_ERR_MEMORY, "costs of the nodes");
  }
  return AV1PART_OK;
}

int av1part_labels(const av1part_encoder *e, int node_size, uint8_t *target, int rows, int columns) {
  const av1part_level *const level = e ? level_of(e, node_size) : NULL;
  if (!level || !target) return AV1PART_ERR_ARGUMENT;
  if (rows != level->rows || columns != level->columns) return AV1PART_ERR_MASK;
  if (e->busy || !e->labels_ready) return AV1PART_ERR_STATE;
  memcpy(target, level->labels, node_count(level));
  return AV1PART_OK;
}

int av1part_costs(const av1part_encoder *e, int node_size, av1part_node_costs *target, int rows, int columns) {
  const av1part_level *const level = e ? level_of(e, node_size) : NULL;
  if (!level || !target) return AV1PART_ERR_ARGUMENT;
  if (rows != level->rows || columns != level->columns) return AV1PART_ERR_MASK;
  if (e->busy || !e->labels_ready || !level->costs) return AV1PART_ERR_STATE;
  memcpy(target, level->costs, node_count(level) * sizeof(*target));
  return AV1PART_OK;
}
