/* The table of instances: as many as there may be, each found while it is bound. */
#include "instances.h"

#include <stddef.h>

#include "av1part_hook.h"
#include "check.h"

void test_instances(void) {
  char instance[AV1PART_MAX_ENCODERS], encoder[AV1PART_MAX_ENCODERS];
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) {
    CHECK(av1part_instances_claim() == i);
    CHECK(av1part_instances_slot((void *)&instance[i]) == -1);
    av1part_instances_bind(i, (void *)&instance[i], (void *)&encoder[i]);
  }
  CHECK(av1part_instances_claim() == -1);
  for (int i = 0; i < AV1PART_MAX_ENCODERS; ++i) {
    CHECK(av1part_instances_slot((void *)&instance[i]) == i);
    CHECK((void *)av1part_instances_find((void *)&instance[i]) == &encoder[i]);
  }
  av1part_instances_release(5);
  CHECK(av1part_instances_slot((void *)&instance[5]) == -1 && !av1part_instances_find((void *)&instance[5]));
  CHECK(av1part_instances_claim() == 5);
  av1part_instances_bind(5, (void *)&instance[5], (void *)&encoder[6]); /* the address again, another's */
  CHECK((void *)av1part_instances_find((void *)&instance[5]) == &encoder[6]);
}
