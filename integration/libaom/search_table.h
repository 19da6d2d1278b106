/* Made from toolkit/search/table.toml by `python -m toolkit.search.header`. */
#ifndef AV1PART_SEARCH_TABLE_H_
#define AV1PART_SEARCH_TABLE_H_

#define AV1PART_FEATURES_VERSION 1 /* raised when a feature of the same name means something else */
#define AV1PART_SQUARES 5 /* sides of the squares that are searched: 8, 16, 32, 64, 128 */

/* What a pruner may skip at a square. */
enum {
  AV1PART_STOP, /* after NONE: everything else */
  AV1PART_NO_SPLIT, /* after NONE: SPLIT */
  AV1PART_NO_RECT, /* after SPLIT: HORZ and VERT, and with them AB and 4-way */
  AV1PART_NO_AB, /* after HORZ and VERT: the four ABs */
  AV1PART_NO_FOUR_WAY, /* after the ABs: HORZ_4 and VERT_4, where libaom would ask its own network about both */
  AV1PART_NO_MORE_SPLIT, /* before a second, third or fourth quarter: it, those after it, and with them SPLIT around it */
  AV1PART_NO_HORZ_A, /* after no_ab was not taken: one of the ABs */
  AV1PART_NO_HORZ_B, /* likewise */
  AV1PART_NO_VERT_A, /* likewise */
  AV1PART_NO_VERT_B, /* likewise */
  AV1PART_DECISIONS
};

/* The parts of a square's search, in order. */
enum {
  AV1PART_STAGE_NONE,
  AV1PART_STAGE_SPLIT,
  AV1PART_STAGE_RECT,
  AV1PART_STAGE_HORZ_A,
  AV1PART_STAGE_HORZ_B,
  AV1PART_STAGE_VERT_A,
  AV1PART_STAGE_VERT_B,
  AV1PART_STAGE_FOUR_WAY,
  AV1PART_STAGES
};

/* The points of a square's search from which features are known. */
enum {
  AV1PART_POINT_NODE,
  AV1PART_POINT_NONE,
  AV1PART_POINT_SPLIT,
  AV1PART_POINT_AB,
  AV1PART_POINT_FOUR_WAY,
  AV1PART_POINTS
};

/* What is known of a square, sorted by point. */
enum {
  AV1PART_FEATURE_QINDEX, /* 0 to 255 */
  AV1PART_FEATURE_VARIANCE, /* log, relative to the quantiser */
  AV1PART_FEATURE_QUARTER_VARIANCE_LEAST, /* log, relative to the quantiser */
  AV1PART_FEATURE_QUARTER_VARIANCE_MOST, /* log, relative to the quantiser */
  AV1PART_FEATURE_QUARTER_MEANS_VARIANCE, /* log, relative to the quantiser */
  AV1PART_FEATURE_HALVES_DIFFER_TOP_BOTTOM, /* difference of means, relative to the quantiser */
  AV1PART_FEATURE_HALVES_DIFFER_LEFT_RIGHT, /* difference of means, relative to the quantiser */
  AV1PART_FEATURE_GRADIENT_HORIZONTAL, /* log mean absolute, relative to the quantiser */
  AV1PART_FEATURE_GRADIENT_VERTICAL, /* log mean absolute, relative to the quantiser */
  AV1PART_FEATURE_GRADIENT_RATIO, /* log, horizontal over vertical */
  AV1PART_FEATURE_ABOVE_WIDTH, /* log, relative to the node; -8 outside */
  AV1PART_FEATURE_ABOVE_HEIGHT, /* log, relative to the node; -8 outside */
  AV1PART_FEATURE_LEFT_WIDTH, /* log, relative to the node; -8 outside */
  AV1PART_FEATURE_LEFT_HEIGHT, /* log, relative to the node; -8 outside */
  AV1PART_FEATURE_SYMBOL_NONE, /* bits */
  AV1PART_FEATURE_SYMBOL_SPLIT, /* bits */
  AV1PART_FEATURE_SYMBOL_HORZ, /* bits */
  AV1PART_FEATURE_SYMBOL_VERT, /* bits */
  AV1PART_FEATURE_PARENT_NONE, /* log bits a pixel; -8 unknown */
  AV1PART_FEATURE_QUARTER, /* 0 to 3, which of its parent */
  AV1PART_FEATURE_SIBLINGS_TO_PARENT_NONE, /* ratio, the quarters before it; 0 for the first */
  AV1PART_FEATURE_FRAME_GRADIENT, /* log mean absolute in the frame, relative to the quantiser */
  AV1PART_FEATURE_FRAME_QUARTER_VARIANCE_LEAST, /* mean over the frame's 64x64 squares */
  AV1PART_FEATURE_FRAME_LEVEL, /* 0 to 6, of the pyramid */
  AV1PART_FEATURE_FRAME_DISTANCE, /* log frames, to the nearest reference */
  AV1PART_FEATURE_FRAME_REFERENCE_STEP, /* log, the nearest reference's quantiser step relative to the frame's */
  AV1PART_FEATURE_REFERENCE_SIZE, /* mean log side of its blocks, relative to the node; -8 unknown */
  AV1PART_FEATURE_REFERENCE_SIZE_LEAST, /* log side of its smallest block, relative to the node; -8 unknown */
  AV1PART_FEATURE_REFERENCE_SKIP, /* 0 to 1, share without coefficients */
  AV1PART_FEATURE_REFERENCE_INTRA, /* 0 to 1, share */
  AV1PART_FEATURE_TPL_INTRA, /* log cost a pixel, relative to the quantiser; -8 unknown */
  AV1PART_FEATURE_TPL_INTER, /* log cost a pixel, relative to the quantiser; -8 unknown */
  AV1PART_FEATURE_TPL_INTER_SPREAD, /* log, the dearest block's inter cost over the cheapest one's */
  AV1PART_FEATURE_TPL_DISTORTION, /* log a pixel, relative to the quantiser; -8 unknown */
  AV1PART_FEATURE_TPL_DEPENDENCY, /* log, 1 + what later frames take over to its own distortion */
  AV1PART_FEATURE_TPL_MOTION, /* log 1 + samples, mean length */
  AV1PART_FEATURE_TPL_MOTION_SPREAD, /* log 1 + samples, mean distance to the mean, with the blocks around the node */
  AV1PART_FEATURE_SIMPLE_RESIDUAL, /* log a pixel, relative to the quantiser; -8 unknown */
  AV1PART_FEATURE_SIMPLE_QUARTERS, /* ratio, the quarters' residuals to the node's; 4 unknown */
  AV1PART_FEATURE_SIMPLE_HALVES, /* ratio, the better halves' residuals to the node's; 4 unknown */
  AV1PART_FEATURE_NONE_COST, /* log bits a pixel */
  AV1PART_FEATURE_NONE_RATE, /* log bits a pixel, rate alone */
  AV1PART_FEATURE_NONE_RATE_SHARE, /* 0 to 1, of its cost */
  AV1PART_FEATURE_NONE_TO_LIMIT, /* ratio to the cost to beat; 0 without one */
  AV1PART_FEATURE_NONE_TO_PARENT, /* ratio to a quarter of the parent's; 0 unknown */
  AV1PART_FEATURE_NONE_MODE, /* AV1 intra mode, 0 to 12 */
  AV1PART_FEATURE_NONE_CHROMA_FROM_LUMA, /* 0 or 1 */
  AV1PART_FEATURE_NONE_TRANSFORM, /* log width, relative to the node */
  AV1PART_FEATURE_NONE_SKIP, /* 0 or 1, no coefficient coded */
  AV1PART_FEATURE_NONE_TOOLS, /* 0, 1 filter intra, 2 palette */
  AV1PART_FEATURE_NONE_INTRA, /* 0 or 1 */
  AV1PART_FEATURE_NONE_COMPOUND, /* 0 or 1, two references */
  AV1PART_FEATURE_NONE_NEW_MOTION, /* 0 or 1, a motion vector is coded */
  AV1PART_FEATURE_NONE_MOTION, /* log 1 + samples */
  AV1PART_FEATURE_NONE_MOTION_TO_PARENT, /* log 1 + samples, distance to its parent's; 0 with another reference */
  AV1PART_FEATURE_NONE_DISTORTION, /* log a pixel, relative to the quantiser */
  AV1PART_FEATURE_NONE_REFERENCE_SIZE, /* mean log side of the blocks where its motion leads, relative to the node; -8 unknown */
  AV1PART_FEATURE_NONE_REFERENCE_SIZE_LEAST, /* log side of the smallest of them, relative to the node; -8 unknown */
  AV1PART_FEATURE_NONE_REFERENCE_SKIP, /* 0 to 1, share of them without coefficients */
  AV1PART_FEATURE_SPLIT_TO_NONE, /* ratio; of what was searched, where cut short */
  AV1PART_FEATURE_SPLIT_QUARTERS_DONE, /* 0 to 4 */
  AV1PART_FEATURE_SPLIT_NONES_TO_NONE, /* ratio, the quarters' NONE costs */
  AV1PART_FEATURE_SPLIT_LARGEST_SHARE, /* 0 to 1, of the quarters' costs */
  AV1PART_FEATURE_SPLIT_SMALLEST_SHARE, /* 0 to 1, of the quarters' costs */
  AV1PART_FEATURE_SPLIT_TOP_SHARE, /* 0 to 1, of the quarters' costs */
  AV1PART_FEATURE_SPLIT_LEFT_SHARE, /* 0 to 1, of the quarters' costs */
  AV1PART_FEATURE_SPLIT_QUARTERS_NONE, /* 0 to 4, quarters that chose NONE */
  AV1PART_FEATURE_SPLIT_QUARTERS_SPLIT, /* 0 to 4, quarters that chose SPLIT */
  AV1PART_FEATURE_BEST_TO_LIMIT, /* ratio to the cost to beat; 0 without one */
  AV1PART_FEATURE_HORZ_TO_BEST, /* ratio to the best of NONE, SPLIT, HORZ, VERT */
  AV1PART_FEATURE_VERT_TO_BEST, /* ratio, likewise */
  AV1PART_FEATURE_NONE_TO_BEST, /* ratio, likewise */
  AV1PART_FEATURE_SPLIT_TO_BEST, /* ratio, likewise */
  AV1PART_FEATURE_HORZ_FIRST_TO_BEST, /* ratio, its first half */
  AV1PART_FEATURE_VERT_FIRST_TO_BEST, /* ratio, its first half */
  AV1PART_FEATURE_BEST_PARTITION, /* AV1 partition id */
  AV1PART_FEATURE_BEST_WITH_AB_TO_BEST, /* ratio, at most 1: the best with the ABs to that before */
  AV1PART_FEATURE_BEST_PARTITION_WITH_AB, /* AV1 partition id */
  AV1PART_FEATURES
};

/* Names of the decisions. */
#define AV1PART_DECISION_NAMES { \
  "stop", \
  "no_split", \
  "no_rect", \
  "no_ab", \
  "no_four_way", \
  "no_more_split", \
  "no_horz_a", \
  "no_horz_b", \
  "no_vert_a", \
  "no_vert_b", \
}

#define AV1PART_INTRA_FEATURES 52 /* of these, those of intra frames too */

/* Name, unit and point of each feature, and whether it is known in inter frames alone. */
#define AV1PART_FEATURE_TABLE { \
  { "qindex", "0 to 255", 0, 0 }, \
  { "variance", "log, relative to the quantiser", 0, 0 }, \
  { "quarter_variance_least", "log, relative to the quantiser", 0, 0 }, \
  { "quarter_variance_most", "log, relative to the quantiser", 0, 0 }, \
  { "quarter_means_variance", "log, relative to the quantiser", 0, 0 }, \
  { "halves_differ_top_bottom", "difference of means, relative to the quantiser", 0, 0 }, \
  { "halves_differ_left_right", "difference of means, relative to the quantiser", 0, 0 }, \
  { "gradient_horizontal", "log mean absolute, relative to the quantiser", 0, 0 }, \
  { "gradient_vertical", "log mean absolute, relative to the quantiser", 0, 0 }, \
  { "gradient_ratio", "log, horizontal over vertical", 0, 0 }, \
  { "above_width", "log, relative to the node; -8 outside", 0, 0 }, \
  { "above_height", "log, relative to the node; -8 outside", 0, 0 }, \
  { "left_width", "log, relative to the node; -8 outside", 0, 0 }, \
  { "left_height", "log, relative to the node; -8 outside", 0, 0 }, \
  { "symbol_none", "bits", 0, 0 }, \
  { "symbol_split", "bits", 0, 0 }, \
  { "symbol_horz", "bits", 0, 0 }, \
  { "symbol_vert", "bits", 0, 0 }, \
  { "parent_none", "log bits a pixel; -8 unknown", 0, 0 }, \
  { "quarter", "0 to 3, which of its parent", 0, 0 }, \
  { "siblings_to_parent_none", "ratio, the quarters before it; 0 for the first", 0, 0 }, \
  { "frame_gradient", "log mean absolute in the frame, relative to the quantiser", 0, 0 }, \
  { "frame_quarter_variance_least", "mean over the frame's 64x64 squares", 0, 0 }, \
  { "frame_level", "0 to 6, of the pyramid", 0, 1 }, \
  { "frame_distance", "log frames, to the nearest reference", 0, 1 }, \
  { "frame_reference_step", "log, the nearest reference's quantiser step relative to the frame's", 0, 1 }, \
  { "reference_size", "mean log side of its blocks, relative to the node; -8 unknown", 0, 1 }, \
  { "reference_size_least", "log side of its smallest block, relative to the node; -8 unknown", 0, 1 }, \
  { "reference_skip", "0 to 1, share without coefficients", 0, 1 }, \
  { "reference_intra", "0 to 1, share", 0, 1 }, \
  { "tpl_intra", "log cost a pixel, relative to the quantiser; -8 unknown", 0, 1 }, \
  { "tpl_inter", "log cost a pixel, relative to the quantiser; -8 unknown", 0, 1 }, \
  { "tpl_inter_spread", "log, the dearest block's inter cost over the cheapest one's", 0, 1 }, \
  { "tpl_distortion", "log a pixel, relative to the quantiser; -8 unknown", 0, 1 }, \
  { "tpl_dependency", "log, 1 + what later frames take over to its own distortion", 0, 1 }, \
  { "tpl_motion", "log 1 + samples, mean length", 0, 1 }, \
  { "tpl_motion_spread", "log 1 + samples, mean distance to the mean, with the blocks around the node", 0, 1 }, \
  { "simple_residual", "log a pixel, relative to the quantiser; -8 unknown", 0, 1 }, \
  { "simple_quarters", "ratio, the quarters' residuals to the node's; 4 unknown", 0, 1 }, \
  { "simple_halves", "ratio, the better halves' residuals to the node's; 4 unknown", 0, 1 }, \
  { "none_cost", "log bits a pixel", 1, 0 }, \
  { "none_rate", "log bits a pixel, rate alone", 1, 0 }, \
  { "none_rate_share", "0 to 1, of its cost", 1, 0 }, \
  { "none_to_limit", "ratio to the cost to beat; 0 without one", 1, 0 }, \
  { "none_to_parent", "ratio to a quarter of the parent's; 0 unknown", 1, 0 }, \
  { "none_mode", "AV1 intra mode, 0 to 12", 1, 0 }, \
  { "none_chroma_from_luma", "0 or 1", 1, 0 }, \
  { "none_transform", "log width, relative to the node", 1, 0 }, \
  { "none_skip", "0 or 1, no coefficient coded", 1, 0 }, \
  { "none_tools", "0, 1 filter intra, 2 palette", 1, 0 }, \
  { "none_intra", "0 or 1", 1, 1 }, \
  { "none_compound", "0 or 1, two references", 1, 1 }, \
  { "none_new_motion", "0 or 1, a motion vector is coded", 1, 1 }, \
  { "none_motion", "log 1 + samples", 1, 1 }, \
  { "none_motion_to_parent", "log 1 + samples, distance to its parent's; 0 with another reference", 1, 1 }, \
  { "none_distortion", "log a pixel, relative to the quantiser", 1, 1 }, \
  { "none_reference_size", "mean log side of the blocks where its motion leads, relative to the node; -8 unknown", 1, 1 }, \
  { "none_reference_size_least", "log side of the smallest of them, relative to the node; -8 unknown", 1, 1 }, \
  { "none_reference_skip", "0 to 1, share of them without coefficients", 1, 1 }, \
  { "split_to_none", "ratio; of what was searched, where cut short", 2, 0 }, \
  { "split_quarters_done", "0 to 4", 2, 0 }, \
  { "split_nones_to_none", "ratio, the quarters' NONE costs", 2, 0 }, \
  { "split_largest_share", "0 to 1, of the quarters' costs", 2, 0 }, \
  { "split_smallest_share", "0 to 1, of the quarters' costs", 2, 0 }, \
  { "split_top_share", "0 to 1, of the quarters' costs", 2, 0 }, \
  { "split_left_share", "0 to 1, of the quarters' costs", 2, 0 }, \
  { "split_quarters_none", "0 to 4, quarters that chose NONE", 2, 0 }, \
  { "split_quarters_split", "0 to 4, quarters that chose SPLIT", 2, 0 }, \
  { "best_to_limit", "ratio to the cost to beat; 0 without one", 2, 0 }, \
  { "horz_to_best", "ratio to the best of NONE, SPLIT, HORZ, VERT", 3, 0 }, \
  { "vert_to_best", "ratio, likewise", 3, 0 }, \
  { "none_to_best", "ratio, likewise", 3, 0 }, \
  { "split_to_best", "ratio, likewise", 3, 0 }, \
  { "horz_first_to_best", "ratio, its first half", 3, 0 }, \
  { "vert_first_to_best", "ratio, its first half", 3, 0 }, \
  { "best_partition", "AV1 partition id", 3, 0 }, \
  { "best_with_ab_to_best", "ratio, at most 1: the best with the ABs to that before", 4, 0 }, \
  { "best_partition_with_ab", "AV1 partition id", 4, 0 }, \
}

#endif
