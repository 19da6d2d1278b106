/* What hook.c tells the recorder (record.c) and squares.c of a frame's search and a square's. Each does nothing where the
 * encoder neither records its search or costs nor prunes inside it. */
#ifndef AV1PART_SEARCH_H_
#define AV1PART_SEARCH_H_

#include "av1/encoder/encodeframe_utils.h"
#include "encoder.h"
#include "overrides.h"
#include "pruner.h"
#include "pruner_file.h"

/* decide.c. What decides inside an encoder's search: opened (AV1PART_ERR_MEMORY) and closed with it. */
int av1part_decide_open(av1part_encoder *encoder);
void av1part_decide_close(av1part_encoder *encoder);

/* Hand over a pruner for the frames of a kind, 0 intra or 1 inter, in place of the one that is there; NULL: for none. */
void av1part_decide_take(av1part_encoder *encoder, int kind, av1part_pruner *pruner, double price, double most);

/* Override a speed feature of libaom in the frames of a kind, until another pruner is handed over for them. */
void av1part_decide_override(av1part_encoder *encoder, int kind, av1part_override override);

/* The same for those that a pruner's folder has for a speed, in the frames that it is for. */
void av1part_decide_overrides(av1part_encoder *encoder, const av1part_pruner_file *file, int cpu_used);

/* Overrides of the frame that av1part_decide_frame began; none where nobody decides in it. */
const av1part_override *av1part_overrides_now(const av1part_encoder *encoder, int *count);

/* speed.c. Set them in libaom, for the frame that begins now. */
void av1part_override_frame(const av1part_encoder *encoder, AV1_COMP *cpi);

/* Whether the pruner of inter frames knows the features of motion. */
bool av1part_decides_by_motion(const av1part_encoder *encoder);

/* A frame begins: its decisions and overrides are those for that kind of frames, or of nobody; false: there are none. */
enum { AV1PART_NOBODY = -1 };
bool av1part_decide_frame(av1part_encoder *encoder, int kind);

/* record.c. What is recorded of an encoder's search, likewise; an encoder may do without. */
int av1part_record_open(av1part_encoder *encoder);
void av1part_record_close(av1part_encoder *encoder);

/* A packet's frames begin: forget the rows of the last one's. */
void av1part_record_packet(av1part_encoder *encoder);

/* A frame begins, which may be recorded where it is `wanted`; whether it is. */
bool av1part_record_frame(av1part_encoder *encoder, bool wanted);

/* Forget the costs that were recorded: nothing tried at any node. */
void av1part_clear_costs(av1part_encoder *encoder);

/* The search of a frame begins: look at its luma, and where it is coded again, forget its rows. */
void av1part_search_frame(av1part_encoder *encoder, const AV1_COMP *cpi);

/* A frame was coded: where features of motion are recorded or decided by, keep what it was split into. */
void av1part_search_frame_end(av1part_encoder *encoder, const AV1_COMP *cpi);

/* motion.c. An inter frame begins: where it stands in time, and its nearest reference. */
void av1part_motion_frame(av1part_encoder *encoder, const AV1_COMP *cpi);

/* Keep what a coded frame was split into, for the frames that refer to it. */
void av1part_motion_keep(av1part_encoder *encoder, const AV1_COMP *cpi);

/* Forget this thread's squares: an error may have jumped over their ends, and what they point to is gone. */
void av1part_search_reset(void);

/* The search of a square begins; `encoder` NULL where it is none of ours. */
void av1part_search_begin(av1part_encoder *encoder, const AV1_COMP *cpi, const MACROBLOCK *x,
                          const SIMPLE_MOTION_DATA_TREE *sms_tree, PartitionSearchState *state);

/* Which of HORZ_A, HORZ_B, VERT_A, VERT_B are about to be searched; takes all or some away where that pays. */
void av1part_search_ab(const PartitionSearchState *state, int *ab_partitions_allowed);

/* masks.c. Take away HORZ_4 and VERT_4 where the square's mask forbids them, of those that libaom would search next. */
void av1part_mask_four_way(const AV1_COMP *cpi, const PartitionSearchState *state, int *part4_allowed);

#endif
