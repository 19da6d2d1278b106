/* The folders that AV1PART_PIPELINE names, and which encoders they were made for. */
#define _GNU_SOURCE
#include "given.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "told.h"

static const char *const usages[] = { "good", "realtime", "allintra" }; /* by libaom's MODE */

static av1part_given given;
static atomic_bool masks_given_up;

/* Read a pruner's or a pipeline's folder, and the pruner that a pipeline holds. */
static bool read_folder(const char *folder, double price, char *why, size_t why_size) {
  char inside[4096];
  if (given.pruner_count + given.pipeline_count == AV1PART_MOST_FOLDERS) {
    snprintf(why, why_size, "AV1PART_PIPELINE: more than %d folders", AV1PART_MOST_FOLDERS);
    return false;
  }
  if (av1part_is_pipeline(folder)) {
    if (!av1part_pipeline_file_read(folder, &given.pipelines[given.pipeline_count], why, why_size)) return false;
    if (!given.pipelines[given.pipeline_count++].has_pruner) return true;
    return read_folder(av1part_pruner_inside(folder, inside, sizeof(inside)), price, why, why_size);
  }
  if (!av1part_pruner_file_read(folder, &given.pruners[given.pruner_count], why, why_size)) return false;
  if (price > 0) given.pruners[given.pruner_count].price = price;
  ++given.pruner_count;
  return true;
}

void av1part_free_given(void) {
  while (given.pruner_count) av1part_pruner_file_free(&given.pruners[--given.pruner_count]);
  while (given.pipeline_count) av1part_pipeline_file_free(&given.pipelines[--given.pipeline_count]);
}

/* Nothing is pruned or masked unless all can be read. */
static void read_all(void) {
  const char *const folders = secure_getenv("AV1PART_PIPELINE"), *const price = secure_getenv("AV1PART_PRICE");
  if (!folders || !*folders) return;
  char list[8192], why[4352] = "", *rest = list;
  if (snprintf(list, sizeof(list), "%s", folders) >= (int)sizeof(list)) snprintf(why, sizeof(why), "AV1PART_PIPELINE: too long");
  const double own_price = price && *price ? av1part_decimal(price) : 0;
  if (price && *price && !(own_price > 0)) {
    snprintf(why, sizeof(why), "AV1PART_PRICE: expected a number above 0, as 0.05");
  }
  bool good = !*why;
  for (char *folder; good && (folder = strtok_r(rest, ":", &rest)) != NULL;) {
    good = read_folder(folder, own_price, why, sizeof(why));
  }
  if (good) return;
  av1part_say_once(AV1PART_ALONE, why);
  av1part_free_given();
}

const av1part_given *av1part_given_folders(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, read_all);
  return &given;
}

void av1part_give_masks_up(void) { atomic_store(&masks_given_up, true); }

bool av1part_masks_given_up(void) { return atomic_load(&masks_given_up); }

/* How chroma is sampled, as in av1part_config. */
static int chroma_of(const AV1_COMP *cpi) {
  const SequenceHeader *const seq = cpi->common.seq_params;
  if (seq->monochrome) return 400;
  return !seq->subsampling_x ? 444 : !seq->subsampling_y ? 422 : 420;
}

static int depth_of(const AV1_COMP *cpi) { return (int)cpi->common.seq_params->bit_depth; }

static int tune_of(const AV1_COMP *cpi) { return (int)cpi->oxcf.tune_cfg.tuning; }

/* Whether this encoder has that usage and 4-way setting. */
static bool suits(const AV1_COMP *cpi, int all_intra, int four_way) {
  const AV1EncoderConfig *const config = &cpi->oxcf;
  return config->mode == (all_intra ? ALLINTRA : GOOD) && config->part_cfg.enable_1to4_partitions == (four_way != 0);
}

bool av1part_pruner_suits(const AV1_COMP *cpi, const av1part_pruner_file *file) {
  return suits(cpi, file->all_intra, file->four_way) && (!file->inter || cpi->oxcf.kf_cfg.key_freq_max > 0) &&
         av1part_pruner_file_serves(file, depth_of(cpi), chroma_of(cpi), tune_of(cpi), cpi->oxcf.speed);
}

bool av1part_pipeline_suits(const AV1_COMP *cpi, const av1part_pipeline_file *file) {
  return suits(cpi, file->all_intra, file->four_way) && depth_of(cpi) == file->config.bit_depth &&
         chroma_of(cpi) == 420 && tune_of(cpi) == AOM_TUNE_PSNR && cpi->oxcf.speed == file->cpu_used;
}

static const char *on_off(int on) { return on ? "on" : "off"; }

static const char *chroma_name(int chroma) {
  return chroma == 400 ? "monochrome" : chroma == 444 ? "4:4:4" : chroma == 422 ? "4:2:2" : "4:2:0";
}

/* A tune by libaom's number; empty: PSNR, its default, or any. */
static const char *tune_said(int tune) {
  switch (tune) {
    case AOM_TUNE_PSNR:
    case AV1PART_ANY_TUNE: return "";
    case AOM_TUNE_SSIM: return ", tune ssim";
    case AV1PART_TUNE_IQ: return ", tune iq";
    case AV1PART_TUNE_SSIMULACRA2: return ", tune ssimulacra2";
    default: return ", another tune";
  }
}

/* Write the `lack` and, after it, for which encoder; returns the length. */
static int describe(const AV1_COMP *cpi, const char *lack, char *text, size_t size) {
  const AV1EncoderConfig *const config = &cpi->oxcf;
  return snprintf(text, size, "%s for %d bit, %s, usage %s, cpu-used %d, 4-way %s%s", lack, depth_of(cpi),
                  chroma_name(chroma_of(cpi)), usages[config->mode], config->speed,
                  on_off(config->part_cfg.enable_1to4_partitions), tune_said(tune_of(cpi)));
}

/* What a pruner serves that is most like what this encoder codes; of several, the first. */
static const av1part_served *nearest(const AV1_COMP *cpi, const av1part_pruner_file *pruner) {
  const av1part_served *best = NULL;
  int most = -1;
  for (int i = 0; i < pruner->served_count; ++i) {
    const av1part_served *const own = &pruner->served[i];
    const bool tune = own->tune == AV1PART_ANY_TUNE || own->tune == tune_of(cpi);
    const int alike = (own->bit_depth == depth_of(cpi)) + (own->chroma == chroma_of(cpi)) + tune;
    if (alike > most) {
      best = own;
      most = alike;
    }
  }
  return best;
}

/* Every bit depth at which a pruner serves what it does there, as in `8 or 10 bit`. */
static void depths_said(const av1part_pruner_file *pruner, const av1part_served *as, char text[32]) {
  int used = 0;
  for (int i = 0; i < pruner->served_count && used < 16; ++i) {
    const av1part_served *const own = &pruner->served[i];
    if (own->chroma != as->chroma || own->tune != as->tune || strcmp(own->speeds, as->speeds) != 0) continue;
    used += snprintf(text + used, 32 - (size_t)used, "%s%d", used ? " or " : "", own->bit_depth);
  }
}

/* Say that there is no `what` for this encoder, and if there is one of it alone, for what that was made. */
static void say_unsuitable(const AV1_COMP *cpi, const char *consequence, const char *what,
                           const av1part_pruner_file *pruner, const av1part_pipeline_file *pipeline) {
  char lack[32], why[256];
  snprintf(lack, sizeof(lack), "no %s", what);
  const int used = describe(cpi, lack, why, sizeof(why));
  char *const rest = why + used;
  const size_t room = sizeof(why) - (size_t)used;
  if (pruner) {
    const av1part_served *const own = nearest(cpi, pruner);
    char depths[32];
    depths_said(pruner, own, depths);
    snprintf(rest, room, " (this one: %s bit, %s, usage %s, each cpu-used of %s, 4-way %s%s)", depths,
             chroma_name(own->chroma), usages[pruner->all_intra ? ALLINTRA : GOOD], own->speeds,
             on_off(pruner->four_way), tune_said(own->tune));
  } else if (pipeline) {
    snprintf(rest, room, " (this one: %d bit, 4:2:0, usage %s, cpu-used %d, 4-way %s)", pipeline->config.bit_depth,
             usages[pipeline->all_intra ? ALLINTRA : GOOD], pipeline->cpu_used, on_off(pipeline->four_way));
  }
  av1part_say_once(consequence, why);
}

void av1part_say_searchless(const AV1_COMP *cpi) {
  char why[128];
  describe(cpi, "libaom searches no partitions", why, sizeof(why));
  av1part_say_once(AV1PART_ALONE, why);
}

void av1part_say_without(const AV1_COMP *cpi, bool pruned, bool masked) {
  const av1part_pruner_file *const pruner = given.pruner_count == 1 ? given.pruners : NULL;
  const av1part_pipeline_file *const pipeline = given.pipeline_count == 1 ? given.pipelines : NULL;
  const bool want_pruner = given.pruner_count && !pruned;
  const bool want_masks = given.pipeline_count && !masked && !atomic_load(&masks_given_up); /* of which a line was printed */
  if (want_pruner && want_masks) {
    say_unsuitable(cpi, AV1PART_ALONE, "pruner or pipeline", NULL, NULL);
  } else if (want_pruner) {
    say_unsuitable(cpi, masked ? AV1PART_UNPRUNED : AV1PART_ALONE, "pruner", pruner, NULL);
  } else if (want_masks) {
    say_unsuitable(cpi, pruned ? AV1PART_UNMASKED : AV1PART_ALONE, "pipeline", NULL, pipeline);
  }
}
