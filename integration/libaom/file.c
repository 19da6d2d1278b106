/* Reading whole files, and the checks that all of them share. */
#include "file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

char *av1part_read_file(const char *folder, const char *name, size_t most, size_t *size, char *why, size_t why_size) {
  char path[4096];
  if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) path[0] = 0;
  FILE *const file = fopen(path, "rb");
  if (!file) {
    snprintf(why, why_size, "%s/%s: %s", folder, name, strerror(errno));
    return NULL;
  }
  char *const bytes = malloc(most + 2);
  *size = bytes ? fread(bytes, 1, most + 1, file) : 0;
  const bool failed = !bytes || ferror(file) || *size > most;
  fclose(file);
  if (failed) {
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
