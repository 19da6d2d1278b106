/* What the statuses mean, and the detail that an encoder keeps of its last failure. */
#include <stdio.h>

#include "encoder.h"

const char *av1part_status_text(int status) {
  switch (status) {
    case AV1PART_OK: return "ok";
    case AV1PART_ERR_ARGUMENT: return "a null pointer or a value outside its range";
    case AV1PART_ERR_MEMORY: return "out of memory";
    case AV1PART_ERR_LIBAOM: return "libaom refused";
    case AV1PART_ERR_STATE: return "called while encoding, or before a frame was encoded";
    case AV1PART_ERR_FULL: return "too many encoders are open";
    case AV1PART_ERR_MASK: return "the mask's rows and columns are not the frame's";
    case AV1PART_ERR_SAMPLE: return "a sample does not fit in the bit depth";
    case AV1PART_ERR_PRUNER: return "not a pruner for this hook";
    case AV1PART_ERR_PIPELINE: return "not a pipeline for this encoder, or its networks cannot be run";
    case AV1PART_ERR_BITSTREAM: return "the stream shows a block structure that AV1 does not have";
    default: return "unknown status";
  }
}

int av1part_fail(av1part_encoder *e, int status, const char *what) {
  const char *words = aom_codec_error(&e->codec);
  const char *more = aom_codec_error_detail(&e->codec);
  if (status == AV1PART_ERR_LIBAOM) {
    snprintf(e->detail, sizeof(e->detail), "%s: %s%s%s", what, words, more ? ": " : "", more ? more : "");
  } else {
    snprintf(e->detail, sizeof(e->detail), "%s", what);
  }
  return status;
}

const char *av1part_error_detail(const av1part_encoder *e) { return e ? e->detail : "encoder: NULL"; }
