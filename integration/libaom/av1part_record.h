/* The record of the search: part of av1part's C interface, for those who learn from what libaom searched. */
#ifndef AV1PART_RECORD_H_
#define AV1PART_RECORD_H_

#include "av1part_hook.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What was known at a square during its search, and what came of it. Costs in bits: RD cost divided by rdmult. */
typedef struct av1part_search_row {
  int32_t row, column, side; /* in luma samples */
  int32_t parent;            /* index of the row of the square around it, -1: none */
  uint8_t quarter;           /* 0 to 3, which of its parent */
  uint8_t partition;         /* what the search chose; AV1PART_INSIDE_LARGER: nothing that beats the limit */
  uint16_t reached;          /* bit d: decision d could have been taken, and was not */
  float limit;                            /* cost to be beaten; NaN: none */
  float bits[AV1PART_PARTITIONS];         /* cost by partition id, signalling included; NaN: not searched to the end */
  float seconds[AV1PART_STAGES];          /* the thread's CPU time by stage, quarters of SPLIT included */
  float features[AV1PART_FEATURES];       /* 0 where the search did not come to the point at which they are known */
} av1part_search_row;

/* Record the search of frames at a share of the squares that no edge of the frame cuts. The bitstream is the same
 * either way.
 * @param share        0 to 1, by superblock, drawn by `seed`; 0 stops it.
 * @return AV1PART_ERR_ARGUMENT, also with more than one thread of the encoder; AV1PART_ERR_STATE during an encode.
 * @thread one at a time */
AV1PART_API int av1part_record_search(av1part_encoder *encoder, double share, uint32_t seed);

/* The rows of the last packet's frames. A parent's row comes before its quarters'.
 * @param rows, count  get the rows, valid until the encoder's next call.
 * @return AV1PART_ERR_STATE during an encode; AV1PART_ERR_MEMORY where rows are missing.
 * @thread one at a time */
AV1PART_API int av1part_search_rows(const av1part_encoder *encoder, const av1part_search_row **rows, size_t *count);

#ifdef __cplusplus
}
#endif

#endif
