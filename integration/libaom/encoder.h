/* What our C files share: one encoder's state, and what each offers the others. Not part of the interface. */
#ifndef AV1PART_ENCODER_H_
#define AV1PART_ENCODER_H_

#include <stdbool.h>

#include "aom/aom_encoder.h"
#include "av1part_record.h"

/* What the mask did at a node during the search (av1part_encoder.effect). */
enum { EFFECT_NONE = 0, EFFECT_MASKED = 1, EFFECT_KEPT = 2 };

enum { AV1PART_METADATA = 2, AV1PART_METADATA_SIZE = 24 }; /* kinds of metadata OBU, and most bytes of one */

/* The nodes of one size. */
typedef struct av1part_level {
  int side, rows, columns;
  uint16_t *mask;  /* rows x columns */
  uint8_t *effect; /* rows x columns; each byte is written by the one thread that searches the node */
  uint8_t *labels; /* rows x columns */
  av1part_node_costs *costs; /* rows x columns, written like `effect`; NULL where none are recorded */
} av1part_level;

typedef struct av1part_time {
  int64_t start, length; /* in AV1PART_TICKS a second; a length of 0: not set */
} av1part_time;

enum { AV1PART_IN_FLIGHT = 64 }; /* more frames than libaom holds back with the largest lag */

struct av1part_encoder {
  av1part_config config;
  aom_codec_ctx_t codec;
  char detail[256];
  bool busy; /* inside av1part_encode or av1part_flush */
  int slot;  /* of the table of instances */
  int64_t fed;     /* frames given to libaom */
  int64_t packets; /* got back: each shows one frame, in order, so this is also the next one's number */
  bool flushing;   /* no more frames are taken */
  av1part_time next; /* of the next frame, where the caller said it */
  int64_t until;     /* end of the last frame given to libaom */
  int64_t starts[AV1PART_IN_FLIGHT]; /* by number of the frame, modulo their count: by these packets are told apart */
  struct {
    int type;
    size_t size;
    uint8_t data[AV1PART_METADATA_SIZE];
  } metadata[AV1PART_METADATA]; /* put before every key frame */
  int metadata_count;

  av1part_mask_callback callback;
  void *user;
  bool cnn_disabled; /* libaom's own pruning by a CNN */

  av1part_level levels[AV1PART_LEVELS];
  bool mask_given;   /* the caller passed this frame's masks to av1part_encode */
  bool mask_active;  /* the levels' masks hold for the search that runs now */
  bool mask_failed;  /* callback or pipelines gave none for this frame */
  int mask_qindex;   /* the qindex for which they were asked, -1 before they were */
  const void *mask_frame; /* and the source frame */
  bool labels_ready; /* a frame has been packed since the last av1part_encode or av1part_flush began */
  int qindex;
  bool intra_frame;
  int superblock; /* side of the last frame's superblocks, 0 before there was one */

  bool search_inter;  /* inter frames are recorded, and intra frames are not; else the reverse */
  bool search_active; /* this frame's search is recorded or pruned */
  float frame_gradient, frame_quarter_least; /* features of this frame, where search_active */
  bool knows_motion; /* features of motion are asked for in this frame */
  float frame_level, frame_distance, frame_reference_step; /* the same, of an inter frame */
  const struct av1part_blocks *blocks[8]; /* what each reference was split into, by libaom's number; NULL: not known */
  int nearest; /* number of the reference nearest in time, 0 without one */
  struct av1part_references *references; /* the same of each coded frame; NULL: nothing is kept */
  struct av1part_recording *recording; /* record.c; NULL: this library records nothing */
  struct av1part_deciding *deciding;   /* decide.c */
  struct av1part_masker *masker;       /* NULL: no pipeline was loaded */
};

/* status.c. Keep in the detail what failed (and libaom's own words where it is its status); returns the status. */
int av1part_fail(av1part_encoder *encoder, int status, const char *what);

/* Fail unless partitions are searched, for whatever acts on their search. */
static inline int av1part_check_search(av1part_encoder *e) {
  if (e->config.cpu_used <= 6 || !e->config.all_intra) return AV1PART_OK;
  return av1part_fail(e, AV1PART_ERR_ARGUMENT, "cpu_used: above 6 libaom searches no partitions, so nothing acts on them");
}

/* nodes.c */
static inline size_t node_count(const av1part_level *level) { return (size_t)level->rows * (size_t)level->columns; }
int av1part_nodes_allocate(av1part_encoder *encoder);
void av1part_nodes_free(av1part_encoder *encoder);
int av1part_take_masks(av1part_encoder *encoder, const av1part_mask *masks);
void av1part_clear_effects(av1part_encoder *encoder);
/* Raster index of the node around this luma sample, -1 where the frame's edge cuts it. */
int av1part_whole_node(const av1part_encoder *encoder, const av1part_level *level, int y, int x);

/* hook.c, or stock.c in its place. Between these two libaom's searches are the encoder's; what decides and records in them
 * is closed with it. */
int av1part_hook_open(av1part_encoder *encoder);
void av1part_hook_close(av1part_encoder *encoder);

/* Around aom_codec_encode: says which encoder this thread runs, so that the hook can learn its instance.
 * Returns the one that was current before (an encoder may run inside another's callback). */
av1part_encoder *av1part_hook_enter(av1part_encoder *encoder);
void av1part_hook_leave(av1part_encoder *previous);

#endif
