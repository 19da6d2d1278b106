/* av1part's C interface to libaom: encode frames, restrict the partitions that are searched, read the result.
 *
 * examples/encode.c is a whole program; `av1part encoder info --flags` prints what a compiler needs for one.
 *
 * Every function returns AV1PART_OK or a negative av1part_status; the text behind a failure is in the
 * encoder's (or inspector's) error detail. One encoder belongs to one thread at a time; several encoders
 * may run at once in one process.
 *
 * Nodes are luma squares of AV1PART_NODE_SIZE samples a side, from 8 at level 0 to 128 at level 4, in a raster of
 * rows = ceil(height / side) by columns = ceil(width / side). Partition ids are AV1's: 0 NONE, 1 HORZ, 2 VERT,
 * 3 SPLIT (whatever its quarters are), 4 HORZ_A, 5 HORZ_B, 6 VERT_A, 7 VERT_B, 8 HORZ_4, 9 VERT_4. An 8x8 node has
 * none above SPLIT, a 128x128 node none above VERT_B. AV1PART_INSIDE_LARGER stands where the node lies inside a
 * larger block, is cut by the frame's edge, or is larger than the superblock.
 */
#ifndef AV1PART_HOOK_H_
#define AV1PART_HOOK_H_

#include <stddef.h>
#include <stdint.h>

#include "search_table.h"

/* Changes whenever a struct or a function does. A host compares it with av1part_api_version() before it opens
 * an encoder; av1part_open refuses a config of another size besides. */
#define AV1PART_API_VERSION 11
#define AV1PART_MAX_ENCODERS 64
#define AV1PART_INSIDE_LARGER 255
#define AV1PART_PARTITIONS 10
#define AV1PART_LEVELS 5
#define AV1PART_NODE_SIZE(level) (8 << (level))
#define AV1PART_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef enum av1part_status {
  AV1PART_OK = 0,
  AV1PART_ERR_ARGUMENT = -1,   /* a null pointer, or a value outside its range */
  AV1PART_ERR_MEMORY = -2,     /* out of memory */
  AV1PART_ERR_LIBAOM = -3,     /* libaom refused; the detail has its words */
  AV1PART_ERR_STATE = -4,      /* called while it encodes, or before a frame was encoded */
  AV1PART_ERR_FULL = -5,       /* AV1PART_MAX_ENCODERS are open already */
  AV1PART_ERR_MASK = -6,       /* the mask's rows and columns are not the frame's */
  AV1PART_ERR_SAMPLE = -7,     /* a sample does not fit in the bit depth */
  AV1PART_ERR_BITSTREAM = -8,  /* the stream shows a block structure that AV1 does not have */
  AV1PART_ERR_PRUNER = -9,     /* the bytes are no pruner, or one for another table of features */
  AV1PART_ERR_PIPELINE = -10   /* no sound pipeline for this encoder, or its networks cannot be run */
} av1part_status;

typedef struct av1part_encoder av1part_encoder;
typedef struct av1part_inspector av1part_inspector;
typedef struct av1part_masker av1part_masker;

typedef struct av1part_config {
  uint32_t struct_size; /* sizeof(av1part_config), so that a caller built against another header is refused */
  int32_t width;        /* 1 to 16384 */
  int32_t height;       /* 1 to 16384 */
  int32_t bit_depth;    /* 8 or 10; 4:2:0 always */
  int32_t cq;           /* 0 to 63 */
  int32_t cpu_used;     /* 0 to 6; 7 to 9 of all intra search no partitions, so nothing acts on them */
  int32_t all_intra;    /* usage: 0 good quality, 1 all intra */
  int32_t keyint;       /* 1 to 9999 frames from key frame to key frame at most; 1: every frame, as all intra wants */
  int32_t threads;      /* 1 to 64 */
  int32_t lag;          /* 0 to 48 frames that libaom looks ahead, only with keyint above 1 */
  int32_t four_way;     /* 1: HORZ_4 and VERT_4 are searched, as libaom does by default; 0: they are not */
} av1part_config;

/* What a mask callback is shown. `luma` is the source that the encoder codes: uint8_t for 8 bit, uint16_t
 * for 10, `stride` in samples; valid only during the call. */
typedef struct av1part_source {
  const void *luma;
  int32_t stride;
  int32_t width;
  int32_t height;
  int32_t bit_depth;
  int32_t qindex; /* the frame's base_qindex, 0 to 255 */
  int32_t key_frame;
  int64_t frame_number; /* from 0, in the order of av1part_encode */
} av1part_source; /* with lag, libaom may have filtered a key frame's noise: this is the filtered luma */

/* What may be searched at the nodes of a level: rows x columns, bit k = partition id k allowed, 0 = unrestricted. Bits
 * of partitions that such nodes do not have mean nothing.
 * NULL, where a caller gives it: the whole level is unrestricted, and rows and columns are not read. */
typedef struct av1part_mask {
  uint16_t *allowed;
  int32_t rows;
  int32_t columns;
} av1part_mask;

/* Fill what `masks` point to (all 0 on entry), of every level or of some.
 * Called on the encoding thread once a frame and qindex, for intra frames only.
 * Return non-zero for "no mask": the frame is then encoded unmasked and av1part_result.mask_failed is set. */
typedef int (*av1part_mask_callback)(void *user, const av1part_source *source,
                                     const av1part_mask masks[AV1PART_LEVELS]);

enum {
  AV1PART_NETWORKS = 4,   /* Stages 1, 2, 3-rect and 3-ab, in this order */
  AV1PART_THRESHOLDS = 10 /* of a policy, in the order of Thresholds in integration/pipeline/policy.py */
};

/* The network of a stage. */
typedef struct av1part_network {
  int32_t present;   /* 0: there is no such stage; Stage 2 has to be there */
  int32_t context;   /* samples around a node that it is shown, 0 to 16 */
  const void *graph; /* ONNX, run on the CPU; NULL: the config's `ask` runs it */
  size_t size;
} av1part_network;

/* Write the logits, count x classes, of `count` windows, a node and its context each, at as many qindexes. Classes are 2,
 * 3, 2 and 4 by stage; at 8x8 nodes 2, 2 and 2. Return non-zero where they cannot be had. */
typedef int (*av1part_ask_callback)(void *user, int stage, const float *luma, const float *qindex, int32_t count,
                                    float *logits);

/* A pipeline: networks, and the policy that makes masks of their answers. */
typedef struct av1part_pipeline_config {
  uint32_t struct_size; /* sizeof(av1part_pipeline_config) */
  int32_t node_size;
  int32_t bit_depth; /* 8 to 16 */
  int32_t threads;   /* of ONNX Runtime in one network; 0: one a core */
  int32_t ranges;    /* of qindex, 1 to 256, each with thresholds of its own */
  const int32_t *to_qindex; /* last qindex of each range, rising to 255 */
  const double *thresholds; /* ranges x AV1PART_THRESHOLDS */
  av1part_network networks[AV1PART_NETWORKS];
  const char *runtime; /* path of ONNX Runtime's library; NULL: as av1part_load_pipeline */
  av1part_ask_callback ask;
  void *user;
} av1part_pipeline_config;

/* A packet is one temporal unit: one shown frame and, with lag, the hidden frames that were coded before it.
 * Packets come in the order of display. What is told of the frame, like av1part_labels, is that of the last
 * one coded in the packet; hidden frames are never intra frames here, hence never masked. */
typedef struct av1part_result {
  const uint8_t *data; /* the packet, valid until the encoder's next call; NULL: with lag, none is ready yet */
  size_t size;
  int64_t frame_number; /* of the frame shown, in the order of av1part_encode */
  int32_t qindex;       /* -1: the packet shows a hidden frame and codes none */
  int32_t intra_frame;
  int32_t mask_failed; /* the callback or the pipelines gave no mask; of these the detail has the reason */
  /* Per level: nodes at which the mask took something away from the search, */
  int32_t masked_blocks[AV1PART_LEVELS];
  /* and nodes where nothing would have been left, so that libaom's own choice stayed. */
  int32_t kept_blocks[AV1PART_LEVELS];
  int32_t key_frame; /* decoding can start at this packet */
  int32_t superblock; /* side in luma samples, 64 or 128; 0 before a frame was coded. No larger square is searched */
} av1part_result;

/* What the search of a node spent and found, by partition id. */
typedef struct av1part_node_costs {
  float rd[AV1PART_PARTITIONS];      /* RD cost in libaom's units, partition signalling included; NaN: not tried */
  float seconds[AV1PART_PARTITIONS]; /* the thread's CPU time from its first block's search to its last one's end */
  uint16_t bound;                    /* bit k: the search of k was cut short, rd[k] is a lower bound */
} av1part_node_costs;

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

/* How often a pruner was asked, and how often it skipped, by side (8 << index) and decision. */
typedef struct av1part_decision_counts {
  int32_t asked[AV1PART_SQUARES][AV1PART_DECISIONS];
  int32_t taken[AV1PART_SQUARES][AV1PART_DECISIONS];
} av1part_decision_counts;

AV1PART_API int av1part_api_version(void);
AV1PART_API const char *av1part_libaom_version(void);
AV1PART_API const char *av1part_status_text(int status);

/* Open an encoder: one pass, constant quality, deltaq-mode 0.
 * On failure *encoder is NULL and `detail` (may be NULL) holds the reason. */
AV1PART_API int av1part_open(const av1part_config *config, av1part_encoder **encoder, char *detail,
                             size_t detail_size);
/* Does nothing while the encoder is inside av1part_encode. */
AV1PART_API void av1part_close(av1part_encoder *encoder);
AV1PART_API const char *av1part_error_detail(const av1part_encoder *encoder);

/* Set or (callback NULL) clear the mask callback. */
AV1PART_API int av1part_set_mask_callback(av1part_encoder *encoder, av1part_mask_callback callback, void *user);

/* Describe the colour in the sequence header, before the first frame: ITU-T H.273's numbers of primaries, transfer
 * characteristics and matrix coefficients (2: unspecified, as at first; 4:2:0 has no identity matrix, 0), and the range,
 * 0 limited or 1 full. No sample is changed. */
AV1PART_API int av1part_set_colour(av1part_encoder *encoder, int primaries, int transfer, int matrix, int full_range);

/* Say in the sequence header where chroma samples lie, before the first frame, in AV1's numbers: 0 unknown (as at
 * first), 1 between two rows of luma samples and on a column, 2 on a luma sample. */
AV1PART_API int av1part_set_chroma_position(av1part_encoder *encoder, int position);

/* Say in the frame headers at which size, 1 to 65536 each way, a player should show frames whose samples are not
 * square; before the first frame. */
AV1PART_API int av1part_set_render_size(av1part_encoder *encoder, int width, int height);

/* When the next frame is shown and for how long, in AV1PART_TICKS a second, for libaom's control of rate and groups of
 * frames. A frame starts where the one before ends, or later. A frame of which nothing is said lasts 1/30 second, and
 * starts as many of these after the first. */
enum { AV1PART_TICKS = 10000000 };
AV1PART_API int av1part_set_time(av1part_encoder *encoder, int64_t start, int64_t length);

/* Put a metadata OBU before every key frame; call it before the first frame. `type` is AV1's metadata_type: 1 for the
 * content light level (HDR_CLL, 4 bytes) or 2 for the mastering display's colour volume (HDR_MDCV, 24 bytes), each at
 * most once. `data` is copied. */
AV1PART_API int av1part_add_metadata(av1part_encoder *encoder, int type, const void *data, size_t size);

/* Switch libaom's own CNN, which prunes partitions of intra frames from cpu_used 1 on, off (1) or on again (0). */
AV1PART_API int av1part_disable_cnn(av1part_encoder *encoder, int disable);

/* Record RD costs and times of every whole node of these sizes (8, 16, 32, 64, 128, or the sum of several) of intra
 * frames, or no longer (0, at first). The bitstream is the same either way. */
AV1PART_API int av1part_log_costs(av1part_encoder *encoder, int node_sizes);

/* Name, unit and point (0 before the node's search, 1 after NONE, 2 after SPLIT, 3 after the rectangles, 4 after the
 * ABs) of a feature, 0 to AV1PART_FEATURES - 1. The table is sorted by point. */
AV1PART_API int av1part_feature(int index, const char **name, const char **unit, int *point);

/* A number that names the table of features: the CRC-32 of AV1PART_FEATURES_VERSION and of every name, unit and point. */
AV1PART_API uint32_t av1part_feature_table(void);

/* Whose search is recorded, and for which frames the next av1part_set_pruner is: intra frames (0, at first), or inter
 * frames (1, with a keyint above 1), hidden ones included. */
AV1PART_API int av1part_search_inter(av1part_encoder *encoder, int inter);

/* Record the search of frames at a share (0 to 1, by superblock, drawn by `seed`) of the squares that no edge of the
 * frame cuts; 0 stops it. One thread alone. The bitstream is the same either way. */
AV1PART_API int av1part_record_search(av1part_encoder *encoder, double share, uint32_t seed);

/* The rows of the last packet's frames, valid until the encoder's next call. A parent's row comes before its quarters'. */
AV1PART_API int av1part_search_rows(const av1part_encoder *encoder, const av1part_search_row **rows, size_t *count);

/* Prune inside the search, of the frames that av1part_search_inter says: skip where the predicted loss is below `price`
 * times the predicted time, and below `most`. `data` NULL switches it off. On an error nothing changes. An encoder holds
 * a pruner for each kind of frames. */
AV1PART_API int av1part_set_pruner(av1part_encoder *encoder, const void *data, size_t size, double price, double most);

/* The same from a pruner's folder (of `av1part pruner fit`), at its own price and for its kind of frames; refused where
 * it was made for another libaom, table of features, usage, speed or 4-way setting, or for inter frames where there are
 * none: the encoder's detail says which. */
AV1PART_API int av1part_load_pruner(av1part_encoder *encoder, const char *folder);

/* Mask intra frames by the networks of a pipeline's folder (of `av1part pipeline build` or `policy fit`), in place of a
 * callback; where there is one, or masks are given with the frame, these are taken instead. One pipeline for each node
 * size: a second of a size replaces the first. A pruner that the pipeline holds is loaded as by av1part_load_pruner.
 * ONNX Runtime's library is loaded from AV1PART_ONNXRUNTIME, else as libonnxruntime.so.1, with its telemetry off: the
 * environment variable ORT_DISABLE_TELEMETRY is set to 1 before, unless it is there. Refused where the library is
 * missing, where the pipeline was made for another libaom, bit depth, usage, speed or 4-way setting, or was changed: the
 * encoder's detail says which. */
AV1PART_API int av1part_load_pipeline(av1part_encoder *encoder, const char *folder);

/* Masks without an encoder: of frames of any size, by several threads at once, to be changed or given to av1part_encode.
 * `detail` gets the reason of a failure; it may not be NULL. */
AV1PART_API int av1part_masker_open(av1part_masker **masker);
AV1PART_API void av1part_masker_close(av1part_masker *masker);

/* Add a pipeline, in place of one for nodes of the same size; all have one bit depth. What the config points to may then
 * go, but for `user`. While no other thread uses the masker. */
AV1PART_API int av1part_masker_add(av1part_masker *masker, const av1part_pipeline_config *config, char *detail,
                                   size_t detail_size);

/* The same from a pipeline's folder of this libaom, whatever encoder settings it was made for. Its pruner is left out. */
AV1PART_API int av1part_masker_load(av1part_masker *masker, const char *folder, char *detail, size_t detail_size);

/* What the pipelines allow in a frame, as a callback gives it; 0 at nodes that they leave alone. */
AV1PART_API int av1part_masker_masks(const av1part_masker *masker, const av1part_source *source,
                                     const av1part_mask masks[AV1PART_LEVELS], char *detail, size_t detail_size);

/* Since the encoder was opened. */
AV1PART_API int av1part_decisions(const av1part_encoder *encoder, av1part_decision_counts *counts);

/* What a pruner predicts for rows x AV1PART_FEATURES features: log of loss and log of time, two doubles a row. For
 * comparison with the model that it was made from. */
AV1PART_API int av1part_pruner_evaluate(const void *data, size_t size, int side, int decision, const float *features,
                                        size_t rows, double *predictions);

/* Encode one frame of three planes, `strides` in bytes. `masks` may be NULL; else it has AV1PART_LEVELS entries,
 * which are copied and take the callback's place for this frame; with lag it has to be NULL. */
AV1PART_API int av1part_encode(av1part_encoder *encoder, const void *const planes[3], const size_t strides[3],
                               const av1part_mask *masks, av1part_result *result);

/* With lag: after the last frame, call it until result->data is NULL. No frame may follow. */
AV1PART_API int av1part_flush(av1part_encoder *encoder, av1part_result *result);

/* Copy plane 0 to 2 of the frame that the last packet shows; `stride` of `target` in bytes. */
AV1PART_API int av1part_reconstruction(av1part_encoder *encoder, int plane, void *target, size_t stride);

/* Copy the partition ids of the nodes of that size, rows x columns; AV1PART_ERR_STATE after a packet that codes no
 * frame. */
AV1PART_API int av1part_labels(const av1part_encoder *encoder, int node_size, uint8_t *target, int rows,
                               int columns);

/* Copy the costs that belong to the labels of a node size that is recorded, rows x columns; AV1PART_ERR_STATE
 * where it is not. SPLIT is the sum of a node's four quarters with all below them. All NaN at nodes that were not
 * searched: those of inter frames, those cut by the frame's edge, those larger than the superblock, those under a
 * larger block whose split was not tried. A node inside a larger block may well have been searched, and so may a NONE that is a
 * square of a larger block's AB. */
AV1PART_API int av1part_costs(const av1part_encoder *encoder, int node_size, av1part_node_costs *target, int rows,
                              int columns);

/* Read partition ids out of a bitstream instead, with libaom's decoder and its inspection interface:
 * shares no code with the encoder's labels. Feed the packets of one stream in order. */
AV1PART_API int av1part_inspector_open(int width, int height, av1part_inspector **inspector);
AV1PART_API void av1part_inspector_close(av1part_inspector *inspector);
AV1PART_API const char *av1part_inspector_detail(const av1part_inspector *inspector);
AV1PART_API int av1part_inspect(av1part_inspector *inspector, const uint8_t *data, size_t size, int node_size,
                                uint8_t *labels, int rows, int columns, int *qindex);

#ifdef __cplusplus
}
#endif

#endif
