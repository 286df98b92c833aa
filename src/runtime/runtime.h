/*
 * ONNX Runtime, loaded when it is wanted: the library, sessions on models, tensors that go in and come out. The rest of
 * the program sees no type of ONNX Runtime's own but one opaque handle. CPU only.
 */
#ifndef GX_RUNTIME_RUNTIME_H
#define GX_RUNTIME_RUNTIME_H

#include "base/arena.h"
#include "tensor/dtype.h"

/* ---- The library ------------------------------------------------------------------------------------------------ */

typedef struct gx_runtime gx_runtime; /* safe to use from several threads */

/* `library`: the shared library's file or its folder. NULL: the environment's GEMMA_ONNX_ORT_LIBRARY (the same), else
 * what the loader finds, else the lib folder beside the program's, else the onnxruntime package of a python3 on the PATH or of
 * the user, else onnxruntime-node below the working directory. GX_ERROR_UNSUPPORTED, with the way out, when there is none
 * or it is older than 1.24. The library itself stays loaded until the process ends. */
gx_status gx_runtime_open(gx_runtime **out, const char *library, gx_error *error) GX_MUST_USE;
void gx_runtime_close(gx_runtime *runtime); /* NULL allowed; after every session and tensor */

const char *gx_runtime_version(const gx_runtime *runtime); /* "1.32.0" */
const char *gx_runtime_path(const gx_runtime *runtime);    /* as it was loaded: a path, or the bare name the loader resolved */

/* ---- Tensors ---------------------------------------------------------------------------------------------------- */

typedef struct OrtValue gx_ort_tensor;

#define GX_ORT_MAX_RANK 8

typedef struct gx_ort_view {
    gx_dtype dtype; /* GX_DTYPE_COUNT: a type that this program does not know */
    size_t rank;
    int64_t dims[GX_ORT_MAX_RANK];
    size_t elements;
    void *data; /* the tensor's memory, as long as the tensor lives */
} gx_ort_view;

/* A tensor over the caller's memory, which must outlive it. nbytes must be what the shape needs. */
gx_status gx_ort_tensor_wrap(gx_ort_tensor **out, const gx_runtime *runtime, gx_dtype dtype, size_t rank, const int64_t *dims, void *data,
                             size_t nbytes, gx_error *error) GX_MUST_USE;

/* A tensor with memory of its own, zeroed. */
gx_status gx_ort_tensor_new(gx_ort_tensor **out, const gx_runtime *runtime, gx_dtype dtype, size_t rank, const int64_t *dims,
                            gx_error *error) GX_MUST_USE;

gx_status gx_ort_tensor_describe(gx_ort_view *out, const gx_runtime *runtime, gx_ort_tensor *tensor, gx_error *error) GX_MUST_USE;
void gx_ort_tensor_free(const gx_runtime *runtime, gx_ort_tensor *tensor); /* NULL allowed */

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

typedef struct gx_session gx_session; /* runs may go on in several threads at once */

typedef enum gx_session_optimization {
    GX_SESSION_OPTIMIZE_NONE,
    GX_SESSION_OPTIMIZE_BASIC,
    GX_SESSION_OPTIMIZE_EXTENDED,
    GX_SESSION_OPTIMIZE_ALL,
} gx_session_optimization;

/* Weights that several sessions read from the caller's memory, packed once for all of them. Add them all before the first
 * session is opened with them. */
typedef struct gx_shared_weights gx_shared_weights;
gx_status gx_shared_weights_new(gx_shared_weights **out, const gx_runtime *runtime, gx_error *error) GX_MUST_USE;
void gx_shared_weights_free(gx_shared_weights *weights); /* NULL allowed; after the sessions */

/* Stands in for the initializer `name` of a model; `data` must outlive the sessions. */
gx_status gx_shared_weights_add(gx_shared_weights *weights, const char *name, gx_dtype dtype, size_t rank, const int64_t *dims, const void *data,
                                size_t nbytes, gx_error *error) GX_MUST_USE;

typedef struct gx_session_entry {
    const char *key, *value; /* a configuration entry by ONNX Runtime's own name */
} gx_session_entry;

typedef struct gx_session_options {
    unsigned threads; /* 0: all processors */
    bool spinning;    /* threads wait for work by spinning: faster decoding, busier machine */
    gx_session_optimization optimization;
    const gx_session_entry *entries;
    size_t entry_count;
    const gx_shared_weights *weights; /* NULL: the session's own */
} gx_session_options;

void gx_session_options_default(gx_session_options *options); /* all processors, spinning, every optimisation */

gx_status gx_session_open(gx_session **out, gx_runtime *runtime, const char *path, const gx_session_options *options,
                          gx_error *error) GX_MUST_USE;

/* From a model's bytes, which need not outlive the call; `folder` holds its external data. `name` stands in messages. */
gx_status gx_session_open_bytes(gx_session **out, gx_runtime *runtime, const char *name, const void *bytes, size_t nbytes,
                                const char *folder, const gx_session_options *options, gx_error *error) GX_MUST_USE;
void gx_session_close(gx_session *session); /* NULL allowed */

const char *gx_session_name(const gx_session *session); /* its path */
gx_runtime *gx_session_runtime(const gx_session *session);

/* What ONNX Runtime complained about since the session was opened, opening included. The first one: "" when none. */
size_t gx_session_warning_count(const gx_session *session);
const char *gx_session_first_warning(const gx_session *session);

typedef struct gx_session_value {
    const char *name;
    gx_dtype dtype; /* GX_DTYPE_COUNT: not a tensor, or of a type that this program does not know */
    size_t rank;
    const int64_t *dims;        /* -1: not a number */
    const char *const *symbols; /* "" where there is none */
} gx_session_value;

size_t gx_session_input_count(const gx_session *session);
size_t gx_session_output_count(const gx_session *session);
const gx_session_value *gx_session_input(const gx_session *session, size_t index);
const gx_session_value *gx_session_output(const gx_session *session, size_t index);
const gx_session_value *gx_session_find_input(const gx_session *session, const char *name); /* NULL: none */
const gx_session_value *gx_session_find_output(const gx_session *session, const char *name);

/* The model's metadata_props; NULL: no such key. The session's storage. */
const char *gx_session_metadata(const gx_session *session, const char *key);

typedef struct gx_session_run_io {
    const char *const *input_names;
    gx_ort_tensor *const *inputs;
    size_t input_count;
    const char *const *output_names;
    gx_ort_tensor **outputs; /* NULL entries: ONNX Runtime makes the tensor, the caller frees it; others are written in place */
    size_t output_count;
} gx_session_run_io;

/* On failure the entries of `outputs` are what they were; memory written in place may have changed. */
gx_status gx_session_run(gx_session *session, const gx_session_run_io *io, gx_error *error) GX_MUST_USE;

#endif
