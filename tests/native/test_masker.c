/* Masks of a frame by networks that are functions here: windows, nodes of two sizes, and what is refused. */
#include <stdbool.h>
#include <string.h>

#include "av1part_hook.h"
#include "check.h"

enum { WIDTH = 72, HEIGHT = 40 };

typedef struct {
  int side, windows; /* of a window, and how many */
  bool fails;
  float first; /* sample of the first window */
  float qindex;
} seen;

/* Sure of the first class where the window's first sample is 9. */
static int ask(void *user, int stage, const float *luma, const float *qindex, int32_t count, float *logits) {
  static const int classes[AV1PART_NETWORKS] = { 2, 3, 2, 4 };
  seen *const s = user;
  const int side = s->side;
  if (!s->windows) {
    s->first = luma[0];
    s->qindex = qindex[0];
  }
  s->windows += count;
  for (int i = 0; i < count; ++i) {
    for (int k = 0; k < classes[stage]; ++k) *logits++ = k ? 0 : luma[i * side * side] == 9 ? 9 : 0;
  }
  return s->fails;
}

static const int32_t to_qindex[] = { 255 };
static const double thresholds[AV1PART_THRESHOLDS] = { 0.9, 0, 0.9 }; /* NONE alone, SPLIT alone */

static av1part_pipeline_config config(int node, int context, seen *user) {
  av1part_pipeline_config c = { .struct_size = sizeof(c), .node_size = node, .bit_depth = 8, .threads = 1, .ranges = 1,
                                .to_qindex = to_qindex, .thresholds = thresholds, .ask = ask, .user = user };
  c.networks[0] = c.networks[1] = (av1part_network){ .present = 1, .context = context };
  return c;
}

/* The masks' memory: of every level, full of ones. */
static uint16_t memory[AV1PART_LEVELS][9 * 5];

static void arrays(av1part_mask masks[AV1PART_LEVELS]) {
  memset(memory, 0xFF, sizeof(memory));
  for (int l = 0; l < AV1PART_LEVELS; ++l) {
    const int side = AV1PART_NODE_SIZE(l);
    masks[l] = (av1part_mask){ memory[l], (HEIGHT + side - 1) / side, (WIDTH + side - 1) / side };
  }
}

static void two_sizes(void) {
  uint8_t luma[HEIGHT * WIDTH];
  memset(luma, 1, sizeof(luma));
  luma[0] = 9;  /* the first 32x32 node is NONE for sure */
  luma[44] = 9; /* and so is the fourth 16x16 node of the first row: 4 samples left of it */
  seen large = { .side = 32 }, small = { .side = 16 + 2 * 4 };
  av1part_masker *masker = NULL;
  av1part_mask masks[AV1PART_LEVELS];
  char why[256];
  const av1part_source source = { luma, WIDTH, WIDTH, HEIGHT, 8, 77, 1, 0 };
  CHECK(av1part_masker_open(&masker) == AV1PART_OK);
  arrays(masks);
  CHECK(av1part_masker_masks(masker, &source, masks, why, sizeof(why)) == AV1PART_ERR_ARGUMENT);
  CHECK(strcmp(why, "no pipeline was added") == 0);
  const av1part_pipeline_config of_small = config(16, 4, &small), of_large = config(32, 0, &large);
  CHECK(av1part_masker_add(masker, &of_small, why, sizeof(why)) == AV1PART_OK);
  CHECK(av1part_masker_add(masker, &of_large, why, sizeof(why)) == AV1PART_OK);
  CHECK(av1part_masker_masks(masker, &source, masks, why, sizeof(why)) == AV1PART_OK);
  CHECK(memory[2][0] == 1 && memory[2][1] == 0x3FF && memory[2][2] == 0); /* the third is cut by the edge */
  CHECK(large.windows == 2 + 1 && large.qindex == 77 && large.first == 9);
  CHECK(memory[1][0] == 0 && memory[1][1] == 0 && memory[1][5] == 0 && memory[1][6] == 0); /* inside the first large one */
  CHECK(memory[1][2] == 0x3FF && memory[1][3] == 1 && memory[1][4] == 0 && memory[1][10] == 0);
  CHECK(small.windows == 4 + 3 && small.first == 1); /* Stage 1 about the four that are left, Stage 2 about three */
  CHECK(memory[0][0] == 0 && memory[3][0] == 0 && memory[4][0] == 0); /* no pipeline for these */
  small.fails = true;
  CHECK(av1part_masker_masks(masker, &source, masks, why, sizeof(why)) == AV1PART_ERR_PIPELINE);
  CHECK(strcmp(why, "the callback gave no logits of Stage 1") == 0);
  av1part_masker_close(masker);
}

static void refusals(void) {
  seen user = { 0 };
  av1part_masker *masker = NULL;
  av1part_mask masks[AV1PART_LEVELS];
  uint8_t luma[HEIGHT * WIDTH] = { 0 };
  char why[256];
  av1part_source source = { luma, WIDTH, WIDTH, HEIGHT, 8, 77, 1, 0 };
  av1part_pipeline_config c = config(16, 0, &user);
  CHECK(av1part_masker_open(NULL) == AV1PART_ERR_ARGUMENT);
  CHECK(av1part_masker_open(&masker) == AV1PART_OK);
  CHECK(av1part_masker_add(NULL, &c, why, sizeof(why)) == AV1PART_ERR_ARGUMENT);
  CHECK(av1part_masker_add(masker, NULL, why, sizeof(why)) == AV1PART_ERR_ARGUMENT);
  CHECK(av1part_masker_add(masker, &c, NULL, 0) == AV1PART_ERR_ARGUMENT);
  CHECK(av1part_masker_load(masker, "none", why, sizeof(why)) == AV1PART_ERR_PIPELINE && strstr(why, "No such file"));
  c.struct_size = 1;
  CHECK(av1part_masker_add(masker, &c, why, sizeof(why)) == AV1PART_ERR_ARGUMENT && strstr(why, "struct_size"));
  c = config(16, 0, &user);
  c.threads = -1;
  CHECK(av1part_masker_add(masker, &c, why, sizeof(why)) == AV1PART_ERR_ARGUMENT && strstr(why, "threads"));
  c = config(16, 0, &user);
  c.bit_depth = 7;
  CHECK(av1part_masker_add(masker, &c, why, sizeof(why)) == AV1PART_ERR_ARGUMENT && strstr(why, "bit_depth"));
  c = config(16, 0, &user);
  c.ask = NULL;
  CHECK(av1part_masker_add(masker, &c, why, sizeof(why)) == AV1PART_ERR_ARGUMENT && strstr(why, "neither a graph"));
  for (int s = 0; s < AV1PART_NETWORKS; ++s) c.networks[s].graph = "", c.networks[s].size = 1;
  c.runtime = "/none/libonnxruntime.so";
  CHECK(av1part_masker_add(masker, &c, why, sizeof(why)) == AV1PART_ERR_PIPELINE && strstr(why, "no ONNX Runtime"));
  c = config(16, 0, &user);
  CHECK(av1part_masker_add(masker, &c, why, sizeof(why)) == AV1PART_OK);
  arrays(masks);
  masks[1].rows = 1;
  CHECK(av1part_masker_masks(masker, &source, masks, why, sizeof(why)) == AV1PART_ERR_ARGUMENT && strstr(why, "rows"));
  arrays(masks);
  source.qindex = 256;
  CHECK(av1part_masker_masks(masker, &source, masks, why, sizeof(why)) == AV1PART_ERR_ARGUMENT && strstr(why, "255"));
  source.qindex = 0;
  source.stride = WIDTH - 1;
  CHECK(av1part_masker_masks(masker, &source, masks, why, sizeof(why)) == AV1PART_ERR_ARGUMENT && strstr(why, "size"));
  av1part_masker_close(masker);
  av1part_masker_close(NULL);
}

void test_masker(void) {
  two_sizes();
  refusals();
}
