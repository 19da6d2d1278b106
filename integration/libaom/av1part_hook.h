/* av1part's C interface to libaom: encode frames, restrict the partitions that are searched, read the result.
 *
 * examples/encode.c is a whole program; `av1part encoder info --flags` prints what a compiler needs for one. The record
 * of the search has a header of its own, av1part_record.h.
 *
 * Each function says what it takes (@param), what it gives (@return) and who may call it (@thread): "one at a time"
 * stands for one thread at a time on the same object, "any" for any number of threads at once. Different objects never
 * stand in each other's way. A function that returns a status returns AV1PART_OK or a negative av1part_status, and
 * where the object has a detail, that has the text behind a failure. A NULL where nothing says that it may be one is
 * AV1PART_ERR_ARGUMENT. A call that is refused changes nothing.
 *
 * Nodes are luma squares of AV1PART_NODE_SIZE samples a side, from 8 at level 0 to 128 at level 4, in a raster of rows
 * = ceil(height / side) by columns = ceil(width / side). Partition ids are AV1's: 0 NONE, 1 HORZ, 2 VERT, 3 SPLIT
 * (whatever its quarters are), 4 HORZ_A, 5 HORZ_B, 6 VERT_A, 7 VERT_B, 8 HORZ_4, 9 VERT_4. An 8x8 node has none above
 * SPLIT, a 128x128 node none above VERT_B. AV1PART_INSIDE_LARGER stands where the node lies inside a larger block, is
 * cut by the frame's edge, or is larger than the superblock.
 */
#ifndef AV1PART_HOOK_H_
#define AV1PART_HOOK_H_

#include <stddef.h>
#include <stdint.h>

#include "search_table.h"

/* Changes whenever a struct or a function does. A host compares it with av1part_api_version() before it opens
 * an encoder; av1part_open refuses a config of another size besides. */
#define AV1PART_API_VERSION 15
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

/* What libaom tunes for, by its own numbers. Of IQ and SSIMULACRA2 it sets further controls itself, delta-q among them. */
typedef enum av1part_tune {
  AV1PART_TUNE_PSNR = 0,
  AV1PART_TUNE_SSIM = 1,
  AV1PART_TUNE_IQ = 10,
  AV1PART_TUNE_SSIMULACRA2 = 11
} av1part_tune;

typedef struct av1part_config {
  uint32_t struct_size; /* sizeof(av1part_config), so that a caller built against another header is refused */
  int32_t width;        /* 1 to 16384 */
  int32_t height;       /* 1 to 16384 */
  int32_t bit_depth;    /* 8, 10 or 12 */
  int32_t chroma;       /* 420, 422 or 444; 400: luma alone, and planes 1 and 2 are neither read nor written */
  int32_t cq;           /* 0 to 63 */
  int32_t cpu_used;     /* 0 to 9; in all intra 7 to 9 search no partitions, so nothing acts on them; in good they are as 6 */
  int32_t all_intra;    /* usage: 0 good quality, 1 all intra */
  int32_t keyint;       /* 1 to 9999 frames from key frame to key frame at most; 1: every frame, as all intra wants */
  int32_t threads;      /* 1 to 64 */
  int32_t lag;          /* 0 to 48 frames that libaom looks ahead, only with keyint above 1 */
  int32_t still;        /* 1: there is one frame, and the stream has the short header of a still picture, as AVIF wants */
  int32_t four_way;     /* 1: HORZ_4 and VERT_4 are searched, as libaom does by default; 0: they are not */
  int32_t tune;         /* av1part_tune */
} av1part_config;

/* What a mask callback is shown. `luma` is the source that the encoder codes: uint8_t for 8 bit, uint16_t
 * above, `stride` in samples; valid only during the call. */
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

/* Write the logits, count x classes, of `count` windows, a node and its context each, at as many qindexes. Classes are
 * 2, 3, 2 and 4 by stage; at 8x8 nodes 2, 2 and 2. Return non-zero where they cannot be had. */
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
  /* Path of ONNX Runtime's library; NULL: as av1part_load_pipeline. The first that is found serves the process. */
  const char *runtime;
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

/* How often a pruner was asked, and how often it skipped, by side (8 << index) and decision. */
typedef struct av1part_decision_counts {
  int64_t asked[AV1PART_SQUARES][AV1PART_DECISIONS];
  int64_t taken[AV1PART_SQUARES][AV1PART_DECISIONS];
} av1part_decision_counts;

/* ---- the library ---- */

/* Version of the interface.
 * @return AV1PART_API_VERSION of the header that the library was built with.
 * @thread any */
AV1PART_API int av1part_api_version(void);

/* Version of libaom.
 * @return as v3.14.1; never freed.
 * @thread any */
AV1PART_API const char *av1part_libaom_version(void);

/* A status in words.
 * @return the words, never freed; "unknown status" for a number that is none.
 * @thread any */
AV1PART_API const char *av1part_status_text(int status);

/* ---- an encoder ---- */

/* Open an encoder: one pass, constant quality, deltaq-mode 0 (with the tunes IQ and SSIMULACRA2 libaom's own).
 * @param encoder      gets the encoder, NULL on failure.
 * @param detail       gets the reason of a failure; may be NULL.
 * @return AV1PART_ERR_ARGUMENT for a setting out of its range, which the detail names; AV1PART_ERR_FULL;
 *         AV1PART_ERR_MEMORY; AV1PART_ERR_LIBAOM.
 * @thread any */
AV1PART_API int av1part_open(const av1part_config *config, av1part_encoder **encoder, char *detail,
                             size_t detail_size);

/* Close an encoder and free what it gave out.
 * @param encoder      may be NULL. One that is inside av1part_encode stays open.
 * @thread one at a time */
AV1PART_API void av1part_close(av1part_encoder *encoder);

/* The text behind the last failure.
 * @return valid until the encoder's next call.
 * @thread one at a time */
AV1PART_API const char *av1part_error_detail(const av1part_encoder *encoder);

/* Set or clear the mask callback.
 * @param callback     NULL clears it. It takes the place of loaded pipelines.
 * @param user         handed to it.
 * @return AV1PART_ERR_STATE during an encode; AV1PART_ERR_ARGUMENT where libaom searches no partitions.
 * @thread one at a time; the callback runs in the thread that encodes */
AV1PART_API int av1part_set_mask_callback(av1part_encoder *encoder, av1part_mask_callback callback, void *user);

/* Describe the colour in the sequence header. No sample is changed.
 * @param primaries, transfer, matrix  numbers of ITU-T H.273; 2: unspecified, as at first. 4:4:4 alone has an
 *                     identity matrix, 0.
 * @param full_range   0 limited, 1 full.
 * @return AV1PART_ERR_STATE after the first frame; AV1PART_ERR_ARGUMENT; AV1PART_ERR_LIBAOM for an unknown number.
 * @thread one at a time */
AV1PART_API int av1part_set_colour(av1part_encoder *encoder, int primaries, int transfer, int matrix, int full_range);

/* Say in the sequence header where chroma samples lie.
 * @param position     0 unknown, as at first; 1 between two rows of luma samples and on a column; 2 on a luma sample.
 * @return AV1PART_ERR_STATE after the first frame; AV1PART_ERR_ARGUMENT.
 * @thread one at a time */
AV1PART_API int av1part_set_chroma_position(av1part_encoder *encoder, int position);

/* Say in the frame headers at which size a player should show frames whose samples are not square.
 * @param width, height  1 to 65536.
 * @return AV1PART_ERR_STATE after the first frame; AV1PART_ERR_ARGUMENT.
 * @thread one at a time */
AV1PART_API int av1part_set_render_size(av1part_encoder *encoder, int width, int height);

enum { AV1PART_TICKS = 10000000 }; /* units of time in a second */

/* Say when the next frame is shown and for how long, for libaom's control of rate and groups of frames. A frame of
 * which nothing is said lasts 1/30 second, and starts as many of these after the first.
 * @param start, length  in AV1PART_TICKS a second. A frame starts where the one before ends, or later.
 * @return AV1PART_ERR_STATE during an encode; AV1PART_ERR_ARGUMENT.
 * @thread one at a time */
AV1PART_API int av1part_set_time(av1part_encoder *encoder, int64_t start, int64_t length);

/* Put a metadata OBU before every key frame.
 * @param type         AV1's metadata_type: 1 for the content light level (HDR_CLL), 2 for the mastering display's
 *                     colour volume (HDR_MDCV); each at most once.
 * @param data, size   4 bytes of type 1, 24 of type 2; copied.
 * @return AV1PART_ERR_STATE after the first frame, or for a type that is there; AV1PART_ERR_ARGUMENT.
 * @thread one at a time */
AV1PART_API int av1part_add_metadata(av1part_encoder *encoder, int type, const void *data, size_t size);

/* Switch libaom's own CNN, which prunes partitions of intra frames from cpu_used 1 on, off or on.
 * @param disable      1 off, 0 on again.
 * @return AV1PART_ERR_STATE during an encode.
 * @thread one at a time */
AV1PART_API int av1part_disable_cnn(av1part_encoder *encoder, int disable);

/* Record RD costs and times of every whole node of intra frames, for av1part_costs. The bitstream is the same either
 * way.
 * @param node_sizes   8, 16, 32, 64, 128, or the sum of several; 0, as at first: none.
 * @return AV1PART_ERR_STATE during an encode; AV1PART_ERR_ARGUMENT; AV1PART_ERR_MEMORY.
 * @thread one at a time */
AV1PART_API int av1part_log_costs(av1part_encoder *encoder, int node_sizes);

/* ---- frames ---- */

/* Encode one frame.
 * @param planes       y, u and v, of uint8_t for 8 bit, uint16_t above.
 * @param strides      in bytes.
 * @param masks        AV1PART_LEVELS entries, which are copied and take the place of the callback and of pipelines for
 *                     this frame; NULL: none are given. With lag it has to be NULL.
 * @param result       what is ready; with lag, its data may be NULL.
 * @return AV1PART_ERR_ARGUMENT; AV1PART_ERR_SAMPLE; AV1PART_ERR_MASK; AV1PART_ERR_STATE within a callback or after
 *         av1part_flush; AV1PART_ERR_MEMORY; AV1PART_ERR_LIBAOM.
 * @thread one at a time */
AV1PART_API int av1part_encode(av1part_encoder *encoder, const void *const planes[3], const size_t strides[3],
                               const av1part_mask *masks, av1part_result *result);

/* Get what libaom still holds, with lag. Call it after the last frame until the result's data is NULL.
 * @return AV1PART_ERR_STATE within a callback; AV1PART_ERR_LIBAOM.
 * @thread one at a time */
AV1PART_API int av1part_flush(av1part_encoder *encoder, av1part_result *result);

/* Copy a plane of the frame that the last packet shows.
 * @param plane        0 to 2.
 * @param stride       of `target`, in bytes.
 * @return AV1PART_ERR_STATE before the first packet; AV1PART_ERR_ARGUMENT; AV1PART_ERR_LIBAOM.
 * @thread one at a time */
AV1PART_API int av1part_reconstruction(av1part_encoder *encoder, int plane, void *target, size_t stride);

/* Copy the partition ids of the nodes of a size.
 * @param target       rows x columns.
 * @return AV1PART_ERR_STATE after a packet that codes no frame; AV1PART_ERR_ARGUMENT for another size; AV1PART_ERR_MASK
 *         for other rows or columns.
 * @thread one at a time */
AV1PART_API int av1part_labels(const av1part_encoder *encoder, int node_size, uint8_t *target, int rows,
                               int columns);

/* Copy the costs that belong to the labels. SPLIT is the sum of a node's four quarters with all below them. All are NaN
 * at nodes that were not searched: those of inter frames, those cut by the frame's edge, those larger than the
 * superblock, those under a larger block whose split was not tried. A node inside a larger block may well have been
 * searched, and so may a NONE that is a square of a larger block's AB.
 * @param node_size    one that av1part_log_costs was asked for.
 * @param target       rows x columns.
 * @return as av1part_labels; AV1PART_ERR_STATE also where that size's costs are not recorded.
 * @thread one at a time */
AV1PART_API int av1part_costs(const av1part_encoder *encoder, int node_size, av1part_node_costs *target, int rows,
                              int columns);

/* ---- a pruner, inside the search ---- */

/* A feature of a square, as a pruner knows it. The table is sorted by point.
 * @param inter        0: the table of intra frames, of AV1PART_INTRA_FEATURES; 1: that of inter frames, of
 *                     AV1PART_FEATURES, which has those of motion and time as well.
 * @param index        from 0, in that table.
 * @param name, unit   get texts that are never freed.
 * @param point        gets when it is known: 0 before the node's search, 1 after NONE, 2 after SPLIT, 3 after the
 *                     rectangles, 4 after the ABs.
 * @return AV1PART_ERR_ARGUMENT.
 * @thread any */
AV1PART_API int av1part_feature(int inter, int index, const char **name, const char **unit, int *point);

/* A number that names the table of features of intra frames (0) or inter frames (1). A pruner of intra frames is made by
 * the first, one of inter frames by either.
 * @return the CRC-32 of AV1PART_FEATURES_VERSION and of every name, unit and point.
 * @thread any */
AV1PART_API uint32_t av1part_feature_table(int inter);

/* Say which frames av1part_set_pruner prunes and av1part_record_search records.
 * @param inter        0, as at first: intra frames; 1, with a keyint above 1: inter frames, hidden ones included.
 * @return AV1PART_ERR_STATE during an encode; AV1PART_ERR_ARGUMENT.
 * @thread one at a time */
AV1PART_API int av1part_search_inter(av1part_encoder *encoder, int inter);

/* Prune inside the search of the frames that av1part_search_inter says; frames of the other kind keep their own pruner.
 * @param data, size   a pruner's bytes, copied; NULL switches it off.
 * @param price, most  skip where the predicted loss is below `price` times the predicted time, and below `most`; above
 *                     0.
 * @return AV1PART_ERR_PRUNER; AV1PART_ERR_STATE during an encode; AV1PART_ERR_ARGUMENT.
 * @thread one at a time */
AV1PART_API int av1part_set_pruner(av1part_encoder *encoder, const void *data, size_t size, double price, double most);

/* Override one of libaom's speed features, in the frames that av1part_search_inter says, with or without a pruner. Giving
 * those frames another pruner, or none, ends all their overrides.
 * @param name   as in overrides.toml, such as "lpf_sf.prune_wiener_based_on_src_var".
 * @return AV1PART_ERR_ARGUMENT on another name or a value out of its range: the detail says which; AV1PART_ERR_STATE during
 *         an encode.
 * @thread one at a time */
AV1PART_API int av1part_override_feature(av1part_encoder *encoder, const char *name, int value);

/* Prune by a pruner's folder (of `av1part pruner fit`), at its own price, for its kind of frames, with its overrides.
 * @return AV1PART_ERR_PRUNER also where it was made for another libaom, table of features, usage, speed, chroma, tune,
 *         bit depth or 4-way setting, or for inter frames where there are none: the detail says which.
 * @thread one at a time */
AV1PART_API int av1part_load_pruner(av1part_encoder *encoder, const char *folder);

/* How often a pruner was asked and how often it skipped, since the encoder was opened.
 * @return AV1PART_ERR_STATE during an encode.
 * @thread one at a time */
AV1PART_API int av1part_decisions(const av1part_encoder *encoder, av1part_decision_counts *counts);

/* What a pruner predicts, for comparison with the model that it was made from.
 * @param features     rows x the features of the pruner's own table.
 * @param predictions  gets the log of loss and of time, two doubles a row.
 * @return AV1PART_ERR_PRUNER; AV1PART_ERR_ARGUMENT where it decides nothing at that side and decision.
 * @thread any */
AV1PART_API int av1part_pruner_evaluate(const void *data, size_t size, int side, int decision, const float *features,
                                        size_t rows, double *predictions);

/* ---- a pipeline's masks ---- */

/* Mask intra frames by the networks of a pipeline's folder (of `av1part pipeline build` or `policy fit`). A mask
 * callback, or masks that are given with the frame, are taken instead where there are some. There is one pipeline for
 * each node size: a second of a size replaces the first. A pruner that it holds is loaded as by av1part_load_pruner.
 *
 * ONNX Runtime's library is loaded from AV1PART_ONNXRUNTIME, else as libonnxruntime.so.1, with its telemetry off: the
 * environment variable ORT_DISABLE_TELEMETRY is set to 1 before, unless it is there.
 * @return AV1PART_ERR_PIPELINE where the library is missing, or the pipeline was changed or made for another libaom,
 *         bit depth, usage, speed, tune or 4-way setting: the detail says which; as av1part_load_pruner; AV1PART_ERR_STATE
 *         during an encode; AV1PART_ERR_MEMORY.
 * @thread one at a time */
AV1PART_API int av1part_load_pipeline(av1part_encoder *encoder, const char *folder);

/* Open a masker: masks without an encoder, of frames of any size, to be changed, or given to av1part_encode.
 * @return AV1PART_ERR_MEMORY.
 * @thread any */
AV1PART_API int av1part_masker_open(av1part_masker **masker);

/* Close a masker.
 * @param masker       may be NULL.
 * @thread one at a time, while no other uses the masker */
AV1PART_API void av1part_masker_close(av1part_masker *masker);

/* Add a pipeline, in place of one for nodes of the same size; all have one bit depth.
 * @param config       what it points to may go after the call, but for `user`.
 * @param detail       gets the reason of a failure; not NULL.
 * @return AV1PART_ERR_ARGUMENT; AV1PART_ERR_PIPELINE where a network cannot be opened.
 * @thread one at a time, while no other uses the masker */
AV1PART_API int av1part_masker_add(av1part_masker *masker, const av1part_pipeline_config *config, char *detail,
                                   size_t detail_size);

/* The same from a pipeline's folder of this libaom, whatever encoder settings it was made for. Its pruner is left out.
 * @return AV1PART_ERR_PIPELINE; AV1PART_ERR_ARGUMENT; AV1PART_ERR_MEMORY.
 * @thread one at a time, while no other uses the masker */
AV1PART_API int av1part_masker_load(av1part_masker *masker, const char *folder, char *detail, size_t detail_size);

/* What the pipelines allow in a frame.
 * @param masks        of every level, with memory; get what a callback gives, 0 at nodes that the pipelines leave
 *                     alone.
 * @param detail       gets the reason of a failure; not NULL.
 * @return AV1PART_ERR_ARGUMENT, also without a pipeline and for another bit depth; AV1PART_ERR_PIPELINE where a network
 *         fails: the masks are then of no use.
 * @thread any */
AV1PART_API int av1part_masker_masks(const av1part_masker *masker, const av1part_source *source,
                                     const av1part_mask masks[AV1PART_LEVELS], char *detail, size_t detail_size);

/* ---- an inspector ---- */

/* Open an inspector, which reads partition ids out of a bitstream, with libaom's decoder and its inspection interface.
 * It shares no code with the encoder's labels.
 * @param width, height  of the frames, 1 to 16384.
 * @return AV1PART_ERR_ARGUMENT; AV1PART_ERR_MEMORY; AV1PART_ERR_LIBAOM.
 * @thread any */
AV1PART_API int av1part_inspector_open(int width, int height, av1part_inspector **inspector);

/* Close an inspector.
 * @param inspector    may be NULL.
 * @thread one at a time */
AV1PART_API void av1part_inspector_close(av1part_inspector *inspector);

/* The text behind the last failure.
 * @return valid until the inspector's next call.
 * @thread one at a time */
AV1PART_API const char *av1part_inspector_detail(const av1part_inspector *inspector);

/* Read the partition ids of a packet. Feed the packets of one stream in order.
 * @param labels       rows x columns.
 * @param qindex       gets the frame's base_qindex.
 * @return AV1PART_ERR_ARGUMENT; AV1PART_ERR_MASK for other rows or columns; AV1PART_ERR_LIBAOM; AV1PART_ERR_BITSTREAM.
 * @thread one at a time */
AV1PART_API int av1part_inspect(av1part_inspector *inspector, const uint8_t *data, size_t size, int node_size,
                                uint8_t *labels, int rows, int columns, int *qindex);

#ifdef __cplusplus
}
#endif

#endif
