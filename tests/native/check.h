/* What the native tests share: a check that goes on, and the groups that main.c runs by name. */
#ifndef CHECK_H_
#define CHECK_H_

#include <stdio.h>

extern int failures;

#define CHECK(what)                                                      \
  do {                                                                   \
    if (!(what)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
      ++failures;                                                        \
    }                                                                    \
  } while (0)

void test_policy(void);
void test_pruner(void);
void test_files(void);
void test_masker(void);
void test_instances(void);
void test_references(void);

#endif
