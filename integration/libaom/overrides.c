/* Overrides by name. Without libaom, so that whatever reads a pruner's folder may use it; speed.c sets them. */
#include "overrides.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  const char *name;
  int least, greatest;
} row;

#define ROW(field, least, greatest) { #field, least, greatest },
static const row table[] = { AV1PART_OVERRIDE_TABLE(ROW) };
_Static_assert(sizeof(table) / sizeof(*table) == AV1PART_OVERRIDES, "every feature has a row");

bool av1part_override_named(const char *name, int value, av1part_override *override, char *why, size_t why_size) {
  for (int i = 0; i < AV1PART_OVERRIDES; ++i) {
    if (strcmp(table[i].name, name) != 0) continue;
    if (value < table[i].least || value > table[i].greatest) {
      snprintf(why, why_size, "%s is %d, expected %d to %d", name, value, table[i].least, table[i].greatest);
      return false;
    }
    override->feature = i;
    override->value = value;
    return true;
  }
  snprintf(why, why_size, "%s is no speed feature that can be overridden", name);
  return false;
}
