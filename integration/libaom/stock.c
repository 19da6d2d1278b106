/* In place of hook.c, for a library without it: libaom as it is, to compare bitstreams with. No masks, no labels. */
#include "encoder.h"

int av1part_hook_claim(av1part_encoder *encoder) {
  encoder->slot = 0;
  return AV1PART_OK;
}

void av1part_hook_release(av1part_encoder *encoder) { encoder->slot = -1; }

av1part_encoder *av1part_hook_enter(av1part_encoder *encoder) { return encoder; }

void av1part_hook_leave(av1part_encoder *previous) { (void)previous; }
