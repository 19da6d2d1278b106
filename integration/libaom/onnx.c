/* ONNX Runtime through its C interface, without its header: a library found at run time is not one to compile against.
 *
 * OrtGetApiBase gives a table of functions whose order never changes once a version has been published. All that is
 * used here has been there since version 5, of 2020. The numbers asserted below are the functions' places in that
 * table. */
#define _GNU_SOURCE
#include "onnx.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { API_VERSION = 5, FATAL_ONLY = 4, DEVICE_ALLOCATOR = 0, DEFAULT_MEMORY = 0, FLOAT32 = 1 };

typedef struct OrtStatus OrtStatus; /* NULL: success */
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtValue OrtValue;
typedef void (*unused)(void);

typedef struct {
  unused before_message[2];
  const char *(*GetErrorMessage)(const OrtStatus *);
  OrtStatus *(*CreateEnv)(int severity, const char *name, OrtEnv **);
  unused before_session[4];
  OrtStatus *(*CreateSessionFromArray)(const OrtEnv *, const void *data, size_t size, const OrtSessionOptions *,
                                       OrtSession **);
  OrtStatus *(*Run)(OrtSession *, const void *options, const char *const *inputs, const OrtValue *const *values,
                    size_t count, const char *const *outputs, size_t output_count, OrtValue **results);
  OrtStatus *(*CreateSessionOptions)(OrtSessionOptions **);
  unused before_severity[11];
  OrtStatus *(*SetSessionLogSeverityLevel)(OrtSessionOptions *, int severity);
  unused before_threads;
  OrtStatus *(*SetIntraOpNumThreads)(OrtSessionOptions *, int threads);
  unused before_tensor[24];
  OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo *, void *data, size_t bytes, const int64_t *shape,
                                               size_t dimensions, int type, OrtValue **);
  unused before_memory[19];
  OrtStatus *(*CreateCpuMemoryInfo)(int allocator, int type, OrtMemoryInfo **);
  unused before_release[22];
  void (*ReleaseEnv)(OrtEnv *);
  void (*ReleaseStatus)(OrtStatus *);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo *);
  void (*ReleaseSession)(OrtSession *);
  void (*ReleaseValue)(OrtValue *);
  unused before_options[3];
  void (*ReleaseSessionOptions)(OrtSessionOptions *);
  unused before_entry[29];
  OrtStatus *(*AddSessionConfigEntry)(OrtSessionOptions *, const char *key, const char *value);
} ort_api;

#define AT(function, place) _Static_assert(offsetof(ort_api, function) == (place) * sizeof(unused), #function)
AT(GetErrorMessage, 2);
AT(CreateSessionFromArray, 8);
AT(Run, 9);
AT(SetSessionLogSeverityLevel, 22);
AT(SetIntraOpNumThreads, 24);
AT(CreateTensorWithDataAsOrtValue, 49);
AT(CreateCpuMemoryInfo, 69);
AT(ReleaseEnv, 92);
AT(ReleaseSessionOptions, 100);
AT(AddSessionConfigEntry, 130);

typedef struct {
  const ort_api *(*GetApi)(uint32_t version);
  const char *(*GetVersionString)(void);
} ort_base;

struct av1part_model {
  const ort_api *ort;
  OrtEnv *environment;
  OrtMemoryInfo *memory;
  OrtSession *session;
};

/* ONNX Runtime reports its use to its maker unless this is set before it is loaded. Where it is set already, as by
 * `av1part run`, the host's environment is not touched. Elsewhere it changes once. glibc's setenv waits for setenv in
 * other threads; it moves the table under their getenv only where the host had added variables itself. */
static void stop_telemetry(void) { setenv("ORT_DISABLE_TELEMETRY", "1", 0); }

/* The library's functions; NULL with the reason in `why`. It is never unloaded, and looked for again until found. */
static const ort_api *find_library(const char *runtime, char *why, size_t why_size) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static const ort_api *found;
  pthread_mutex_lock(&lock);
  if (!found) {
    const char *const given = runtime ? runtime : secure_getenv("AV1PART_ONNXRUNTIME");
    const char *const name = given && *given ? given : "libonnxruntime.so.1";
    stop_telemetry();
    void *const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    const ort_base *(*get_base)(void) = NULL;
    if (library) *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    const ort_base *const base = get_base ? get_base() : NULL;
    found = base ? base->GetApi(API_VERSION) : NULL;
    if (!library) {
      snprintf(why, why_size, "no ONNX Runtime (%s); AV1PART_ONNXRUNTIME has its path", dlerror());
    } else if (!found) {
      snprintf(why, why_size, "%s: not ONNX Runtime, or of an unknown interface", name);
      dlclose(library);
    }
  }
  pthread_mutex_unlock(&lock);
  return found;
}

/* Whether a call succeeded; else its words go to `why`. */
static bool succeeded(const ort_api *ort, OrtStatus *status, char *why, size_t why_size) {
  if (!status) return true;
  snprintf(why, why_size, "ONNX Runtime: %s", ort->GetErrorMessage(status));
  for (char *c = why; *c; ++c) {
    if (*c == '\n') *c = ' '; /* one line */
  }
  ort->ReleaseStatus(status);
  return false;
}

av1part_model *av1part_model_open(const void *data, size_t size, int threads, const char *runtime, char *why,
                                  size_t why_size) {
  const ort_api *const ort = find_library(runtime, why, why_size);
  if (!ort) return NULL;
  av1part_model *const m = calloc(1, sizeof(*m));
  if (!m) {
    snprintf(why, why_size, "out of memory");
    return NULL;
  }
  m->ort = ort;
  OrtSessionOptions *options = NULL;
  const bool opened =
      succeeded(ort, ort->CreateEnv(FATAL_ONLY, "av1part", &m->environment), why, why_size) &&
      succeeded(ort, ort->CreateCpuMemoryInfo(DEVICE_ALLOCATOR, DEFAULT_MEMORY, &m->memory), why, why_size) &&
      succeeded(ort, ort->CreateSessionOptions(&options), why, why_size) &&
      succeeded(ort, ort->SetSessionLogSeverityLevel(options, FATAL_ONLY), why, why_size) &&
      succeeded(ort, ort->SetIntraOpNumThreads(options, threads), why, why_size) &&
      /* Threads that spin while they wait burn the cores that the encoder runs on. */
      succeeded(ort, ort->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"), why, why_size) &&
      succeeded(ort, ort->CreateSessionFromArray(m->environment, data, size, options, &m->session), why, why_size);
  if (options) ort->ReleaseSessionOptions(options);
  if (opened) return m;
  av1part_model_free(m);
  return NULL;
}

void av1part_model_free(av1part_model *m) {
  if (!m) return;
  if (m->session) m->ort->ReleaseSession(m->session);
  if (m->memory) m->ort->ReleaseMemoryInfo(m->memory);
  if (m->environment) m->ort->ReleaseEnv(m->environment); /* counted within ONNX Runtime */
  free(m);
}

bool av1part_model_run(const av1part_model *m, float *luma, int side, float *qindex, int count, float *logits,
                       int classes, char *why, size_t why_size) {
  static const char *const inputs[] = { "luma", "qindex" }, *const outputs[] = { "logits" };
  const ort_api *const ort = m->ort;
  const struct { float *data; int64_t shape[4]; size_t dimensions; } tensors[3] = {
    { luma, { count, 1, side, side }, 4 }, { qindex, { count, 1 }, 2 }, { logits, { count, classes }, 2 },
  };
  OrtValue *values[3] = { NULL };
  bool good = true;
  for (int i = 0; good && i < 3; ++i) {
    size_t bytes = sizeof(float);
    for (size_t d = 0; d < tensors[i].dimensions; ++d) bytes *= (size_t)tensors[i].shape[d];
    OrtStatus *const made = ort->CreateTensorWithDataAsOrtValue(m->memory, tensors[i].data, bytes, tensors[i].shape,
                                                                tensors[i].dimensions, FLOAT32, &values[i]);
    good = succeeded(ort, made, why, why_size);
  }
  if (good) { /* a result that is there already is written to; one of another shape is an error */
    const OrtValue *const given[2] = { values[0], values[1] };
    good = succeeded(ort, ort->Run(m->session, NULL, inputs, given, 2, outputs, 1, &values[2]), why, why_size);
  }
  for (int i = 0; i < 3; ++i) {
    if (values[i]) ort->ReleaseValue(values[i]);
  }
  return good;
}
