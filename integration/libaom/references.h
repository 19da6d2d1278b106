/* What blocks coded frames were made of, kept by the buffer that holds the frame, for the frames that refer to it. */
#ifndef AV1PART_REFERENCES_H_
#define AV1PART_REFERENCES_H_

#include <stdbool.h>
#include <stdint.h>

typedef struct av1part_references av1part_references;

/* One frame's blocks: a cell for each 8x8 samples, of the block over its first sample. */
typedef struct av1part_blocks {
  const void *buffer; /* NULL: an entry that is free */
  unsigned order; /* of the frame in display: a buffer also holds frames whose blocks nobody kept */
  int rows, columns;
  int qindex; /* of the frame */
  uint8_t *cells;
} av1part_blocks;

/* A cell of a block whose sides have these log2, each 2 to 7. */
static inline uint8_t av1part_cell(int log2_width, int log2_height, bool skip, bool intra) {
  return (uint8_t)(log2_width + log2_height + (skip ? 16 : 0) + (intra ? 32 : 0));
}

/* What is under a square: means over its cells. */
typedef struct {
  float size, size_least; /* log2 of the side of a square of a block's area */
  float skip, intra;      /* shares, 0 to 1 */
} av1part_under;

/* The entry of the frame of that display order in its buffer, with room for that many cells, to be filled; NULL without
 * memory. `references` is made at the first call. */
av1part_blocks *av1part_references_keep(av1part_references **references, const void *buffer, unsigned order, int rows,
                                        int columns);

/* The blocks of the frame in a buffer; NULL where they are not known, or those of a frame of another order or size. */
const av1part_blocks *av1part_references_find(const av1part_references *references, const void *buffer, unsigned order,
                                              int rows, int columns);

/* What is under the square of that many cells a side at this cell; it lies inside the frame. */
av1part_under av1part_blocks_under(const av1part_blocks *blocks, int row, int column, int cells);

void av1part_references_free(av1part_references *references);

#endif
