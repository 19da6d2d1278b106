/* Files of a model's folder, and the checksum that they carry. */
#ifndef AV1PART_FILE_H_
#define AV1PART_FILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Open a file to read ("rb") or to append ("a"), and say how many bytes it has. NULL where it cannot be opened, with the
 * reason in errno, and where it is no ordinary file, with errno 0: a pipe would be waited for, a device read for ever. */
FILE *av1part_open_ordinary(const char *path, const char *mode, size_t *size);

/* The file's bytes with a zero behind them, to be freed; NULL, with the reason in `why`, where it cannot be read or is
 * larger than `most`. */
char *av1part_read_file(const char *folder, const char *name, size_t most, size_t *size, char *why, size_t why_size);

/* zlib's CRC-32 of bytes that follow those of `crc`, 0 at first. */
uint32_t av1part_crc32(uint32_t crc, const void *data, size_t size);

/* Whether a text of that size ends in a line `check`: the CRC-32 of all lines before it, in eight hexadecimal digits. */
bool av1part_text_is_sound(const char *text, size_t size);

/* Version of libaom that this library has inside, as 3.14.1. */
const char *av1part_libaom(void);

/* Whether that is `version`; else `why` says so of the folder. */
bool av1part_is_libaom(const char *version, const char *folder, char *why, size_t why_size);

#endif
