/* Files of a model's folder, and the checksum that they carry. */
#ifndef AV1PART_FILE_H_
#define AV1PART_FILE_H_

#include <stddef.h>
#include <stdint.h>

/* The file's bytes with a zero behind them, to be freed; NULL, with the reason in `why`, where it cannot be read or is
 * larger than `most`. */
char *av1part_read_file(const char *folder, const char *name, size_t most, size_t *size, char *why, size_t why_size);

/* zlib's CRC-32 of bytes that follow those of `crc`, 0 at first. */
uint32_t av1part_crc32(uint32_t crc, const void *data, size_t size);

#endif
