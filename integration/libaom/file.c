/* Reading whole files, and the checks that all of them share. */
#define _POSIX_C_SOURCE 200809L
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aom/aom_codec.h"

uint32_t av1part_crc32(uint32_t crc, const void *data, size_t size) {
  /* CRC of every half byte: models are megabytes, and bit by bit would take a noticeable time. */
  static const uint32_t half[16] = { 0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                     0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                     0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C };
  const uint8_t *const bytes = data;
  crc = ~crc;
  for (size_t i = 0; i < size; ++i) {
    crc = half[(crc ^ bytes[i]) & 15] ^ crc >> 4;
    crc = half[(crc ^ bytes[i] >> 4) & 15] ^ crc >> 4;
  }
  return ~crc;
}

FILE *av1part_open_ordinary(const char *path, const char *mode, size_t *size) {
  const int access = *mode == 'r' ? O_RDONLY : O_WRONLY | O_APPEND | O_CREAT;
  const int descriptor = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
  if (descriptor < 0) return NULL;
  struct stat status;
  const bool ordinary = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  FILE *const file = ordinary ? fdopen(descriptor, mode) : NULL;
  if (file) {
    *size = (size_t)status.st_size;
    return file;
  }
  close(descriptor);
  errno = ordinary ? ENOMEM : 0;
  return NULL;
}

char *av1part_read_file(const char *folder, const char *name, size_t most, size_t *size, char *why, size_t why_size) {
  char path[4096];
  if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) path[0] = 0;
  FILE *const file = av1part_open_ordinary(path, "rb", size);
  if (!file) {
    snprintf(why, why_size, "%s/%s: %s", folder, name, errno ? strerror(errno) : "no ordinary file");
    return NULL;
  }
  char *const bytes = *size <= most ? malloc(*size + 1) : NULL;
  const bool whole = bytes && fread(bytes, 1, *size, file) == *size;
  fclose(file);
  if (!whole) {
    snprintf(why, why_size, "%s/%s: not readable, or larger than %zu bytes", folder, name, most);
    free(bytes);
    return NULL;
  }
  bytes[*size] = 0;
  return bytes;
}

bool av1part_text_is_sound(const char *text, size_t size) {
  unsigned check;
  int end = 0;
  const char *const last = strlen(text) == size ? strstr(text, "\ncheck ") : NULL;
  return last && sscanf(last, "\ncheck %8x%n", &check, &end) == 1 && strcmp(last + end, "\n") == 0 &&
         av1part_crc32(0, text, (size_t)(last + 1 - text)) == check;
}

const char *av1part_libaom(void) {
  const char *const version = aom_codec_version_str();
  return *version == 'v' ? version + 1 : version;
}

bool av1part_is_libaom(const char *version, const char *folder, char *why, size_t why_size) {
  if (strcmp(av1part_libaom(), version) == 0) return true;
  snprintf(why, why_size, "%s: made for libaom %s, this is %s", folder, version, av1part_libaom());
  return false;
}
