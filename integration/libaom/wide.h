/* Functions in two copies, one of them for CPUs with AVX2. Both do the same operations in the same order without fusing a
 * product with a sum, so that they give the same bits. */
#ifndef AV1PART_WIDE_H_
#define AV1PART_WIDE_H_

#ifdef __x86_64__
#define AV1PART_WIDE __attribute__((target("avx2")))
#define AV1PART_HAS_WIDE __builtin_cpu_supports("avx2")
#else
#define AV1PART_WIDE
#define AV1PART_HAS_WIDE 0
#endif
/* What both copies consist of. */
#define AV1PART_BOTH static inline __attribute__((always_inline))

#endif
