/* Values in place of libaom's own for some of its speed features: those of override_table.h, by name. */
#ifndef AV1PART_OVERRIDES_H_
#define AV1PART_OVERRIDES_H_

#include <stdbool.h>
#include <stddef.h>

#include "override_table.h"

/* A feature, by its index in the table, and its value; as a pruner's folder has it, for one cpu_used. */
typedef struct {
  int cpu_used, feature, value;
} av1part_override;

/* Take the feature's index by its name, and check the value; false, with the reason in `why`, where there is no such
 * feature or it has no such value. */
bool av1part_override_named(const char *name, int value, av1part_override *override, char *why, size_t why_size);

#endif
