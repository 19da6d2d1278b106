/* What coded frames were split into: found by their buffers, and summed under a square. */
#include "references.h"

#include <string.h>

#include "check.h"

static const char buffers[40]; /* their addresses alone count */

static void fill(av1part_blocks *blocks, uint8_t cell) {
  CHECK(blocks);
  if (blocks) memset(blocks->cells, cell, (size_t)blocks->rows * (size_t)blocks->columns);
}

static void sums(void) {
  av1part_references *references = NULL;
  av1part_blocks *const blocks = av1part_references_keep(&references, &buffers[0], 0, 3, 5);
  fill(blocks, av1part_cell(3, 3, false, false));
  if (!blocks) return;
  blocks->cells[1 * 5 + 3] = av1part_cell(2, 3, true, true); /* 4x8 */
  blocks->cells[2 * 5 + 4] = av1part_cell(7, 7, true, false);
  const av1part_under one = av1part_blocks_under(blocks, 1, 3, 1), four = av1part_blocks_under(blocks, 1, 3, 2);
  CHECK(one.size == 2.5f && one.size_least == 2.5f && one.skip == 1 && one.intra == 1);
  CHECK(four.size == (3 + 3 + 2.5f + 7) / 4 && four.size_least == 2.5f && four.skip == 0.5f && four.intra == 0.25f);
  const av1part_under others = av1part_blocks_under(blocks, 0, 0, 3);
  CHECK(others.size == 3 && others.size_least == 3 && others.skip == 0 && others.intra == 0);
  av1part_references_free(references);
}

static void buffers_and_sizes(void) {
  av1part_references *references = NULL;
  CHECK(!av1part_references_find(NULL, &buffers[0], 0, 2, 2));
  fill(av1part_references_keep(&references, &buffers[0], 0, 2, 2), 1);
  fill(av1part_references_keep(&references, &buffers[1], 0, 2, 2), 2);
  const av1part_blocks *const first = av1part_references_find(references, &buffers[0], 0, 2, 2);
  CHECK(first && first->cells[3] == 1 && !av1part_references_find(references, &buffers[2], 0, 2, 2));
  CHECK(!av1part_references_find(references, NULL, 0, 2, 2));
  CHECK(!av1part_references_find(references, &buffers[0], 0, 2, 3));
  fill(av1part_references_keep(&references, &buffers[0], 0, 4, 3), 5); /* the buffer holds a frame of another size */
  const av1part_blocks *const again = av1part_references_find(references, &buffers[0], 0, 4, 3);
  CHECK(again && again->cells[11] == 5 && !av1part_references_find(references, &buffers[0], 0, 2, 2));
  for (int i = 2; i < 40; ++i) fill(av1part_references_keep(&references, &buffers[i], 0, 2, 2), (uint8_t)i);
  const av1part_blocks *const last = av1part_references_find(references, &buffers[39], 0, 2, 2);
  CHECK(last && last->cells[0] == 39); /* more buffers than there are entries: the last ones are known */
  av1part_references_free(references);
}

/* A frame whose blocks nobody kept lies in a buffer where another frame was: nothing is known of it. */
static void frames_that_were_not_kept(void) {
  av1part_references *references = NULL;
  fill(av1part_references_keep(&references, &buffers[0], 7, 2, 2), 1);
  CHECK(av1part_references_find(references, &buffers[0], 7, 2, 2));
  CHECK(!av1part_references_find(references, &buffers[0], 9, 2, 2));
  fill(av1part_references_keep(&references, &buffers[0], 9, 2, 2), 2);
  const av1part_blocks *const now = av1part_references_find(references, &buffers[0], 9, 2, 2);
  CHECK(now && now->cells[0] == 2 && !av1part_references_find(references, &buffers[0], 7, 2, 2));
  av1part_references_free(references);
}

void test_references(void) {
  sums();
  buffers_and_sizes();
  frames_that_were_not_kept();
  av1part_references_free(NULL);
}
