/* In place of hook.c, for a library without it: libaom as it is, to compare bitstreams with. No masks, no labels. */
#include "encoder.h"

int av1part_hook_open(av1part_encoder *encoder) {
  (void)encoder;
  return AV1PART_OK;
}

void av1part_hook_close(av1part_encoder *encoder) { (void)encoder; }

av1part_encoder *av1part_hook_enter(av1part_encoder *encoder) { return encoder; }

void av1part_hook_leave(av1part_encoder *previous) { (void)previous; }
