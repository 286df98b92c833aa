/* What the files of this layer share: ONNX Runtime's own types, and how its statuses become ours. Nothing outside
 * src/runtime includes it. */
#ifndef GX_RUNTIME_INTERNAL_H
#define GX_RUNTIME_INTERNAL_H

#include <onnxruntime_c_api.h>

#include "runtime/runtime.h"

struct gx_runtime {
    const OrtApi *api;
    OrtEnv *env;
    OrtMemoryInfo *memory;   /* ordinary CPU memory */
    OrtAllocator *allocator; /* ONNX Runtime's default one: not freed */
    char *path;
    const char *version; /* the library's storage */
};

/* What ONNX Runtime was doing decides what its status means: a bad argument when opening is a bad file, when running a
 * bad call. */
typedef enum gx_ort_stage {
    GX_ORT_SETTING_UP,
    GX_ORT_OPENING,
    GX_ORT_RUNNING,
} gx_ort_stage;

/* Turns a status of ONNX Runtime's into ours and releases it; `what` stands before its message. */
gx_status gx_ort_check(const OrtApi *api, OrtStatus *ort_status, gx_ort_stage stage, const char *what, gx_error *error) GX_MUST_USE;

/* Where the library may be, in the order in which to try; in the arena. `library` as for gx_runtime_open. `*asked` tells
 * that the user named the place. */
gx_status gx_runtime_places(gx_arena *arena, const char *library, char ***paths, size_t *count, bool *asked, gx_error *error) GX_MUST_USE;

/* ---- Sessions ---- */

typedef struct gx_shared_weight {
    char *name;
    OrtValue *value;
    struct gx_shared_weight *next;
} gx_shared_weight;

struct gx_shared_weights {
    const gx_runtime *runtime;
    gx_arena *arena;
    OrtPrepackedWeightsContainer *packed;
    gx_shared_weight *first;
};

#define GX_FIRST_WARNING_NBYTES 512

/* Filled by ONNX Runtime's threads. */
typedef struct gx_session_log {
    _Atomic size_t count;
    _Atomic bool first_ready;
    char first[GX_FIRST_WARNING_NBYTES];
} gx_session_log;

typedef struct gx_session_values {
    gx_session_value *values;
    size_t count;
} gx_session_values;

struct gx_session {
    gx_runtime *runtime;
    gx_arena *arena; /* the session itself and all that it tells */
    OrtSession *handle;
    char *name;
    gx_session_log log;
    gx_session_values inputs, outputs;
    char **metadata_keys, **metadata_values;
    size_t metadata_count;
};

/* Reads names, types, shapes and metadata of an open session into its arena. */
gx_status gx_session_introspect(gx_session *session, gx_error *error) GX_MUST_USE;

#endif
