/* libaom's speed features as an encoder overrides them: set when the search of a frame begins, which is after all of
 * av1_set_speed_features_*, those by the frame's qindex included. libaom sets its own anew for every frame. */
#include <stddef.h>
#include <string.h>

#include "av1/encoder/encoder.h"
#include "overrides.h"
#include "search.h"

typedef struct {
  size_t offset, size;
} place;

#define PLACE(field, least, greatest) { offsetof(SPEED_FEATURES, field), sizeof(((SPEED_FEATURES *)0)->field) },
static const place places[] = { AV1PART_OVERRIDE_TABLE(PLACE) };
#define CHECK(field, least, greatest) \
  _Static_assert(sizeof(((SPEED_FEATURES *)0)->field) == 1 || sizeof(((SPEED_FEATURES *)0)->field) == sizeof(int), #field);
AV1PART_OVERRIDE_TABLE(CHECK)

void av1part_override_frame(const av1part_encoder *e, AV1_COMP *cpi) {
  int count;
  const av1part_override *const all = av1part_overrides_now(e, &count);
  for (int i = 0; i < count; ++i) {
    const place *const own = &places[all[i].feature];
    char *const at = (char *)&cpi->sf + own->offset;
    if (own->size == 1) {
      *at = (char)all[i].value; /* a bool, or an enumeration of one byte */
    } else {
      memcpy(at, &all[i].value, sizeof(int));
    }
  }
}
