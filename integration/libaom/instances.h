/* Which of our encoders one of libaom's own instances (AV1_COMP) belongs to. */
#ifndef AV1PART_INSTANCES_H_
#define AV1PART_INSTANCES_H_

struct AV1_COMP;
struct av1part_encoder;

/* Take a slot of the table; -1: all are taken. */
int av1part_instances_claim(void);

/* From now on the instance's searches are this encoder's, in every thread. */
void av1part_instances_bind(int slot, const struct AV1_COMP *instance, struct av1part_encoder *encoder);

/* Give a slot back, before its instance and its encoder are freed: a later instance may have the same address. */
void av1part_instances_release(int slot);

/* Slot of an instance, -1 where it is none of ours; and its encoder, NULL. */
int av1part_instances_slot(const struct AV1_COMP *instance);
struct av1part_encoder *av1part_instances_find(const struct AV1_COMP *instance);

#endif
