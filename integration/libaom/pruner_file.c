/* Reading a pruner's folder. */
#include "pruner_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "av1part_hook.h"
#include "file.h"

enum { LARGEST_TEXT = 1 << 15, LARGEST_DATA = 1 << 26 };

double av1part_decimal(const char *text) {
  double digits = 0, scale = 1;
  bool point = false, any = false;
  for (; *text; ++text) {
    if (*text == '.' && !point) {
      point = true;
    } else if (*text >= '0' && *text <= '9' && digits < 1e15) { /* exact so far: one division rounds right */
      digits = 10 * digits + (*text - '0');
      if (point) scale *= 10;
      any = true;
    } else {
      return 0;
    }
  }
  return any ? digits / scale : 0;
}

typedef struct {
  av1part_pruner_file *file;
  char usage[16], price[32], most[32];
  unsigned crc;
  bool carded;
  char wrong[128]; /* with an override; empty: nothing */
} facts;

/* Take the lines of overrides over; returns the text behind them, NULL where one is not as it was written or is wrong. */
static const char *parse_overrides(const char *text, facts *f) {
  av1part_pruner_file *const file = f->file;
  char name[80];
  int value, end = 0;
  for (; strncmp(text, "\noverride ", 10) == 0; text += end) {
    av1part_override own;
    if (file->override_count == AV1PART_FILE_OVERRIDES) return NULL;
    if (sscanf(text, "\noverride %1d %79[a-z0-9_.] %9d%n", &own.cpu_used, name, &value, &end) != 3) return NULL;
    if (!av1part_override_named(name, value, &own, f->wrong, sizeof(f->wrong))) return NULL;
    file->overrides[file->override_count++] = own;
  }
  return text;
}

static bool parse(const char *text, facts *f) {
  static const char made_for[] =
      "av1part-pruner 1\nlibaom %15[0-9.]\nfeatures %8x\nbit_depth %2d\nusage %15[a-z]\ncpu_used %1[0-9]\nfour_way %1d%n";
  static const char chroma[] = "\nchroma ", inter[] = "\nframes inter";
  static const char prices[] = "\nprice %31[0-9.]\nmost %31[0-9.]%n", rest[] = "\nsize %zu\ncrc32 %8x%n";
  unsigned features;
  int end = 0;
  av1part_pruner_file *const file = f->file;
  av1part_served own = { .chroma = 420, .tune = AV1PART_ANY_TUNE };
  int found = sscanf(text, made_for, file->libaom, &features, &own.bit_depth, f->usage, own.speeds, &file->four_way, &end);
  if (found != 6) return false;
  if (strncmp(text + end, chroma, sizeof(chroma) - 1) == 0) {
    int more = 0;
    if (sscanf(text + end, "\nchroma %3d%n", &own.chroma, &more) != 1) return false;
    end += more;
  }
  file->inter = strncmp(text + end, inter, sizeof(inter) - 1) == 0;
  if (file->inter) end += (int)sizeof(inter) - 1;
  text += end;
  if (sscanf(text, prices, f->price, f->most, &end) != 2) return false;
  text = parse_overrides(text + end, f);
  if (!text || sscanf(text, rest, &file->size, &f->crc, &end) != 2 || strncmp(text + end, "\ncheck ", 7) != 0) return false;
  file->features = features;
  file->all_intra = strcmp(f->usage, "allintra") == 0;
  file->price = av1part_decimal(f->price);
  file->most = av1part_decimal(f->most);
  if (!file->inter) {
    own.bit_depth = 8;
    file->served[file->served_count++] = own;
    own.bit_depth = 10;
  }
  file->served[file->served_count++] = own;
  return true;
}

/* What a card says of pruner.bin and, in its lines for this libaom, else in those of its first, of what is served. */
static bool parse_card(const char *text, unsigned *crc, av1part_pruner_file *file) {
  static const char line[] = "\nspeeds %15[0-9.] %2d %3d %2d %15[0-9none]%n";
  char libaom[16], taken[16] = "";
  av1part_served found;
  int end = 0;
  if (sscanf(text, "av1part-card 4\ncrc32 %8x%n", crc, &end) != 1) return false;
  for (text += end;
       sscanf(text, line, libaom, &found.bit_depth, &found.chroma, &found.tune, found.speeds, &end) == 5; text += end) {
    const bool own = strcmp(libaom, av1part_libaom()) == 0;
    if (!*taken || (own && strcmp(taken, libaom) != 0)) { /* the first, until this libaom's come */
      snprintf(taken, sizeof(taken), "%s", libaom);
      file->served_count = 0;
    }
    if (strcmp(taken, libaom) != 0) continue;
    if (file->served_count == AV1PART_SERVED) return false;
    file->served[file->served_count++] = found;
  }
  return *taken && strncmp(text, "\ncheck ", 7) == 0;
}

/* Take over where the pruner's card shows a gain, if it has one. */
static bool read_card(const char *folder, facts *f, char *why, size_t why_size) {
  unsigned crc;
  size_t size;
  errno = 0;
  char *const text = av1part_read_file(folder, "card.txt", LARGEST_TEXT, &size, why, why_size);
  if (!text) {
    if (errno != ENOENT) return false;
    *why = 0;
    return true;
  }
  f->carded = av1part_text_is_sound(text, size) && parse_card(text, &crc, f->file) && crc == f->crc;
  free(text);
  if (!f->carded) snprintf(why, why_size, "%s/card.txt: not as it was written, or another pruner's", folder);
  return f->carded;
}

const av1part_served *av1part_pruner_file_served(const av1part_pruner_file *file, int bit_depth, int chroma, int tune) {
  for (int i = 0; i < file->served_count; ++i) {
    const av1part_served *const own = &file->served[i];
    if (own->bit_depth == bit_depth && own->chroma == chroma && (own->tune == tune || own->tune == AV1PART_ANY_TUNE)) return own;
  }
  return NULL;
}

bool av1part_pruner_file_serves(const av1part_pruner_file *file, int bit_depth, int chroma, int tune, int cpu_used) {
  const av1part_served *const own = av1part_pruner_file_served(file, bit_depth, chroma, tune);
  return own && cpu_used >= 0 && cpu_used <= 9 && strchr(own->speeds, '0' + cpu_used);
}

static bool suits_this_hook(const facts *f, const char *folder, char *why, size_t why_size) {
  const av1part_pruner_file *const file = f->file;
  if (!f->carded && !av1part_is_libaom(file->libaom, folder, why, why_size)) return false;
  const bool inter_table = file->inter && file->features == av1part_feature_table(1);
  if (file->features != av1part_feature_table(0) && !inter_table) {
    snprintf(why, why_size, "%s: made for another table of features than this library's", folder);
    return false;
  }
  return true;
}

bool av1part_pruner_file_read(const char *folder, av1part_pruner_file *file, char *why, size_t why_size) {
  memset(file, 0, sizeof(*file));
  facts f = { .file = file };
  size_t size;
  char *const text = av1part_read_file(folder, "hook.txt", LARGEST_TEXT, &size, why, why_size);
  if (!text) return false;
  const bool parsed = av1part_text_is_sound(text, size) && parse(text, &f);
  free(text);
  if (!parsed) {
    snprintf(why, why_size, "%s/hook.txt: %s", folder, *f.wrong ? f.wrong : "not as it was written");
    return false;
  }
  if (!read_card(folder, &f, why, why_size) || !suits_this_hook(&f, folder, why, why_size)) return false;
  const size_t expected = file->size;
  file->data = av1part_read_file(folder, "pruner.bin", LARGEST_DATA, &file->size, why, why_size);
  if (!file->data) return false;
  if (file->size == expected && av1part_crc32(0, file->data, file->size) == f.crc) return true;
  snprintf(why, why_size, "%s/pruner.bin: changed since it was made", folder);
  av1part_pruner_file_free(file);
  return false;
}

void av1part_pruner_file_free(av1part_pruner_file *file) {
  free(file->data);
  file->data = NULL;
}
