/* One group of native tests by its name: 0 where all holds. Needs no libaom, and the folder for files as second word. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <unistd.h>

#include "check.h"

int failures;

const char *aom_codec_version_str(void) { return "v9.9.9"; }

int main(int count, char **words) {
  static const struct {
    const char *name;
    void (*run)(void);
  } groups[] = { { "policy", test_policy },
                 { "pruner", test_pruner },
                 { "files", test_files },
                 { "masker", test_masker },
                 { "instances", test_instances },
                 { "references", test_references } };
  if (count != 3 || chdir(words[2]) != 0) return 2;
  for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); ++i) {
    if (strcmp(words[1], groups[i].name) != 0) continue;
    groups[i].run();
    return failures != 0;
  }
  return 2;
}
