/* What the drop-in library tells: to stderr, and to files that the environment names. */
#define _GNU_SOURCE
#include "told.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

enum { MOST_REASONS = 16 };

void av1part_append_line(const char *variable, const char *line) {
  const char *const path = secure_getenv(variable);
  if (!path || !*path) return;
  size_t size;
  FILE *const file = av1part_open_ordinary(path, "a", &size);
  const bool whole = file && fputs(line, file) >= 0;
  /* A full disk shows when the file is closed. */
  if ((file && fclose(file) != 0) || !whole) fprintf(stderr, "av1part: %s: %s cannot be written\n", variable, path);
}

void av1part_say_once(const char *consequence, const char *what) {
  static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
  static char said[MOST_REASONS][256];
  int i = 0;
  pthread_mutex_lock(&own);
  while (i < MOST_REASONS && *said[i] && strncmp(said[i], what, sizeof(*said) - 1) != 0) ++i;
  if (i < MOST_REASONS && !*said[i]) {
    snprintf(said[i], sizeof(*said), "%s", what);
    char line[sizeof(*said) + 64];
    snprintf(line, sizeof(line), "%s: %s\n", consequence, what);
    fprintf(stderr, "av1part: %s", line);
    av1part_append_line("AV1PART_REASONS", line);
  }
  pthread_mutex_unlock(&own);
}
