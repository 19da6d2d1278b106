/* A small map of each coded frame's blocks. libaom keeps motion vectors with a reference, but not what it was split
 * into. */
#include "references.h"

#include <stdlib.h>

enum { MOST = 32 /* more than libaom has buffers for frames */, SIDES = 15, SKIP = 16, INTRA = 32 };

struct av1part_references {
  av1part_blocks kept[MOST];
  int next; /* entry that is given away where none is free */
};

/* The buffer's own entry, else one that is free, else the one that was given away longest ago. */
static av1part_blocks *entry_for(av1part_references *r, const void *buffer) {
  av1part_blocks *unused = NULL;
  for (int i = 0; i < MOST; ++i) {
    if (r->kept[i].buffer == buffer) return &r->kept[i];
    if (!unused && !r->kept[i].buffer) unused = &r->kept[i];
  }
  if (unused) return unused;
  r->next = (r->next + 1) % MOST;
  return &r->kept[r->next];
}

av1part_blocks *av1part_references_keep(av1part_references **references, const void *buffer, unsigned order, int rows,
                                        int columns) {
  if (!*references) *references = calloc(1, sizeof(**references));
  if (!*references) return NULL;
  av1part_blocks *const entry = entry_for(*references, buffer);
  if (!entry->cells || entry->rows != rows || entry->columns != columns) {
    free(entry->cells);
    *entry = (av1part_blocks){ .cells = malloc((size_t)rows * (size_t)columns) };
    if (!entry->cells) return NULL;
  }
  entry->buffer = buffer;
  entry->order = order;
  entry->rows = rows;
  entry->columns = columns;
  return entry;
}

const av1part_blocks *av1part_references_find(const av1part_references *references, const void *buffer, unsigned order,
                                              int rows, int columns) {
  for (int i = 0; references && buffer && i < MOST; ++i) {
    const av1part_blocks *const entry = &references->kept[i];
    if (entry->buffer != buffer) continue;
    return entry->order == order && entry->rows == rows && entry->columns == columns ? entry : NULL;
  }
  return NULL;
}

av1part_under av1part_blocks_under(const av1part_blocks *blocks, int row, int column, int cells) {
  int sizes = 0, least = SIDES, skips = 0, intras = 0;
  for (int r = row; r < row + cells; ++r) {
    const uint8_t *const line = blocks->cells + (size_t)r * (size_t)blocks->columns + column;
    for (int c = 0; c < cells; ++c) {
      const int size = line[c] & SIDES;
      sizes += size;
      if (size < least) least = size;
      skips += (line[c] & SKIP) != 0;
      intras += (line[c] & INTRA) != 0;
    }
  }
  const float area = (float)(cells * cells);
  return (av1part_under){ (float)sizes / 2 / area, (float)least / 2, (float)skips / area, (float)intras / area };
}

void av1part_references_free(av1part_references *references) {
  for (int i = 0; references && i < MOST; ++i) free(references->kept[i].cells);
  free(references);
}
