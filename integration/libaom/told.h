/* What the drop-in library (runtime.c) tells: to stderr, and to files that the environment names. */
#ifndef AV1PART_TOLD_H_
#define AV1PART_TOLD_H_

/* What comes of a reason, for av1part_say_once. */
#define AV1PART_ALONE "coded as by libaom alone"
#define AV1PART_UNMASKED "coded without masks"
#define AV1PART_UNPRUNED "coded without a pruner"

/* Append a line to the file that an environment variable names, if any. It is written at once, so that encoders of
 * several processes may share the file. */
void av1part_append_line(const char *variable, const char *line);

/* Print what comes of a reason, and the reason, unless this process has printed that; and append it to the file that
 * AV1PART_REASONS names. */
void av1part_say_once(const char *consequence, const char *what);

#endif
