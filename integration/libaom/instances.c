/* A table of instances. libaom hands its instance to our functions in several threads, which look it up without a lock. */
#include "instances.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "av1part_hook.h"

/* `encoder` is written before `instance` is, and not again while that is there. */
static struct {
  atomic_bool claimed;
  _Atomic(const struct AV1_COMP *) instance;
  struct av1part_encoder *encoder;
} table[AV1PART_MAX_ENCODERS];

int av1part_instances_claim(void) {
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) {
    if (!atomic_exchange(&table[i].claimed, true)) return i;
  }
  return -1;
}

void av1part_instances_bind(int slot, const struct AV1_COMP *instance, struct av1part_encoder *encoder) {
  if (atomic_load(&table[slot].instance) == instance) return;
  table[slot].encoder = encoder;
  atomic_store_explicit(&table[slot].instance, instance, memory_order_release);
}

void av1part_instances_release(int slot) {
  atomic_store(&table[slot].instance, NULL);
  atomic_store(&table[slot].claimed, false);
}

int av1part_instances_slot(const struct AV1_COMP *instance) {
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) {
    if (atomic_load_explicit(&table[i].instance, memory_order_acquire) == instance) return i;
  }
  return -1;
}

struct av1part_encoder *av1part_instances_find(const struct AV1_COMP *instance) {
  const int slot = av1part_instances_slot(instance);
  return slot < 0 ? NULL : table[slot].encoder;
}
