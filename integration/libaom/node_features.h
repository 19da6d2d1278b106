/* What is known of a node while it is searched, as numbers: one table, which Python reads by av1part_feature().
 *
 * A feature belongs to the point of the search from which it is known. The table is sorted by these points, so that
 * what a decision may look at is the table's beginning up to its own point. All are finite. `log` is log2; relative to
 * the quantiser: divided by the luma AC quantiser step (variances by its square); costs are RD costs divided by libaom's
 * rdmult, which makes them bits. A ratio is at most RATIO_MOST, which also stands for what was not tried.
 *
 * In inter frames the features are the same. NONE's mode is then AV1's number of the inter mode, 13 to 24, where NONE is
 * coded by one; its chroma mode and tools are 0 there. */
#ifndef AV1PART_NODE_FEATURES_H_
#define AV1PART_NODE_FEATURES_H_

#define RATIO_MOST 4.0

/* F(name in C, point, name, unit) */
#define AV1PART_FEATURE_TABLE(F)                                                                       \
  F(QINDEX, NODE, "qindex", "0 to 255")                                                                \
  F(VARIANCE, NODE, "variance", "log, relative to the quantiser")                                      \
  F(QUARTER_LEAST, NODE, "quarter_variance_least", "log, relative to the quantiser")                   \
  F(QUARTER_MOST, NODE, "quarter_variance_most", "log, relative to the quantiser")                     \
  F(QUARTER_MEANS, NODE, "quarter_means_variance", "log, relative to the quantiser")                   \
  F(ROWS_DIFFER, NODE, "halves_differ_top_bottom", "difference of means, relative to the quantiser")   \
  F(COLUMNS_DIFFER, NODE, "halves_differ_left_right", "difference of means, relative to the quantiser") \
  F(GRADIENT_X, NODE, "gradient_horizontal", "log mean absolute, relative to the quantiser")           \
  F(GRADIENT_Y, NODE, "gradient_vertical", "log mean absolute, relative to the quantiser")             \
  F(GRADIENT_RATIO, NODE, "gradient_ratio", "log, horizontal over vertical")                           \
  F(ABOVE_WIDTH, NODE, "above_width", "log, relative to the node; -8 outside")                         \
  F(ABOVE_HEIGHT, NODE, "above_height", "log, relative to the node; -8 outside")                       \
  F(LEFT_WIDTH, NODE, "left_width", "log, relative to the node; -8 outside")                           \
  F(LEFT_HEIGHT, NODE, "left_height", "log, relative to the node; -8 outside")                         \
  F(SYMBOL_NONE, NODE, "symbol_none", "bits")                                                          \
  F(SYMBOL_SPLIT, NODE, "symbol_split", "bits")                                                        \
  F(SYMBOL_HORZ, NODE, "symbol_horz", "bits")                                                          \
  F(SYMBOL_VERT, NODE, "symbol_vert", "bits")                                                          \
  F(PARENT_NONE, NODE, "parent_none", "log bits a pixel; -8 unknown")                                  \
  F(QUARTER, NODE, "quarter", "0 to 3, which of its parent")                                           \
  F(SIBLINGS, NODE, "siblings_to_parent_none", "ratio, the quarters before it; 0 for the first")       \
  F(FRAME_GRADIENT, NODE, "frame_gradient", "log mean absolute in the frame, relative to the quantiser") \
  F(FRAME_LEAST, NODE, "frame_quarter_variance_least", "mean over the frame's 64x64 squares")          \
  F(NONE_COST, NONE, "none_cost", "log bits a pixel")                                                  \
  F(NONE_RATE, NONE, "none_rate", "log bits a pixel, rate alone")                                      \
  F(NONE_RATE_SHARE, NONE, "none_rate_share", "0 to 1, of its cost")                                   \
  F(NONE_TO_LIMIT, NONE, "none_to_limit", "ratio to the cost to beat; 0 without one")                  \
  F(NONE_TO_PARENT, NONE, "none_to_parent", "ratio to a quarter of the parent's; 0 unknown")           \
  F(NONE_MODE, NONE, "none_mode", "AV1 intra mode, 0 to 12")                                           \
  F(NONE_CFL, NONE, "none_chroma_from_luma", "0 or 1")                                                 \
  F(NONE_TRANSFORM, NONE, "none_transform", "log width, relative to the node")                         \
  F(NONE_SKIP, NONE, "none_skip", "0 or 1, no coefficient coded")                                      \
  F(NONE_TOOLS, NONE, "none_tools", "0, 1 filter intra, 2 palette")                                    \
  F(SPLIT_TO_NONE, SPLIT, "split_to_none", "ratio; of what was searched, where cut short")             \
  F(SPLIT_DONE, SPLIT, "split_quarters_done", "0 to 4")                                                \
  F(SPLIT_NONES, SPLIT, "split_nones_to_none", "ratio, the quarters' NONE costs")                      \
  F(SPLIT_LARGEST, SPLIT, "split_largest_share", "0 to 1, of the quarters' costs")                     \
  F(SPLIT_SMALLEST, SPLIT, "split_smallest_share", "0 to 1, of the quarters' costs")                   \
  F(SPLIT_TOP, SPLIT, "split_top_share", "0 to 1, of the quarters' costs")                             \
  F(SPLIT_LEFT, SPLIT, "split_left_share", "0 to 1, of the quarters' costs")                           \
  F(SPLIT_WHOLE, SPLIT, "split_quarters_none", "0 to 4, quarters that chose NONE")                     \
  F(SPLIT_AGAIN, SPLIT, "split_quarters_split", "0 to 4, quarters that chose SPLIT")                   \
  F(BEST_TO_LIMIT, SPLIT, "best_to_limit", "ratio to the cost to beat; 0 without one")                 \
  F(HORZ_TO_BEST, AB, "horz_to_best", "ratio to the best of NONE, SPLIT, HORZ, VERT")                  \
  F(VERT_TO_BEST, AB, "vert_to_best", "ratio, likewise")                                               \
  F(NONE_TO_BEST, AB, "none_to_best", "ratio, likewise")                                               \
  F(SPLIT_TO_BEST, AB, "split_to_best", "ratio, likewise")                                             \
  F(HORZ_FIRST, AB, "horz_first_to_best", "ratio, its first half")                                     \
  F(VERT_FIRST, AB, "vert_first_to_best", "ratio, its first half")                                     \
  F(BEST, AB, "best_partition", "AV1 partition id")                                                    \
  F(AB_GAIN, FOUR_WAY, "best_with_ab_to_best", "ratio, at most 1: the best with the ABs to that before")  \
  F(BEST_WITH_AB, FOUR_WAY, "best_partition_with_ab", "AV1 partition id")

/* From where on a feature is known. */
enum { POINT_NODE, POINT_NONE, POINT_SPLIT, POINT_AB, POINT_FOUR_WAY, POINT_COUNT };

#define F(name, point, text, unit) FEATURE_##name,
enum { AV1PART_FEATURE_TABLE(F) FEATURE_COUNT };
#undef F

#endif
