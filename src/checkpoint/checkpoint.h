/*
 * A checkpoint: an index of named tensors over the files of a Hugging Face folder or a GGUF, and, for GGUF, its
 * metadata. Opening reads headers only and checks every length, offset, count and name; payload is read on request.
 */
#ifndef GX_CHECKPOINT_CHECKPOINT_H
#define GX_CHECKPOINT_CHECKPOINT_H

#include "base/file.h"
#include "tensor/dtype.h"

#define GX_MAX_RANK 8

/* What a sentence-transformers folder has around its model, and how large it may be. */
#define GX_MODULES_NAME "modules.json"
#define GX_MODULES_LIMIT (UINT64_C(1) << 20)

typedef struct gx_tensor {
    const char *name;
    gx_dtype dtype;
    unsigned rank;
    uint64_t shape[GX_MAX_RANK]; /* slowest dimension first, also for GGUF: a linear weight is [out, in] */
    uint64_t elements;
    unsigned file;               /* index into the checkpoint's files */
    uint64_t offset;             /* absolute, in that file */
    uint64_t nbytes;
} gx_tensor;

typedef enum gx_checkpoint_format { GX_CHECKPOINT_SAFETENSORS, GX_CHECKPOINT_GGUF, GX_CHECKPOINT_NPZ } gx_checkpoint_format;

/* A GGUF metadata value. Arrays of strings and numbers keep their elements in the arrays below. */
typedef enum gx_gguf_kind { GX_GGUF_UNSIGNED, GX_GGUF_SIGNED, GX_GGUF_FLOAT, GX_GGUF_BOOL, GX_GGUF_STRING, GX_GGUF_ARRAY } gx_gguf_kind;

typedef struct gx_gguf_string {
    const char *bytes; /* nbytes bytes, then a 0; may contain NULs */
    size_t nbytes;
} gx_gguf_string;

typedef struct gx_gguf_value {
    const char *key;
    gx_gguf_kind kind;
    gx_gguf_kind element_kind; /* of an array */
    union {
        uint64_t u;
        int64_t i;
        double f;
        bool b;
        gx_gguf_string string;
    };
    size_t count; /* of an array */
    union {
        const uint64_t *u;
        const int64_t *i;
        const double *f;
        const bool *b;
        const gx_gguf_string *strings;
    } array;
} gx_gguf_value;

typedef struct gx_checkpoint gx_checkpoint;

/* `path`: a folder with model.safetensors or model.safetensors.index.json (or exactly one other .safetensors file), and with
 * the weights of the modules that modules.json names, or a .gguf file (of a split model: any part), or a folder whose only weights are one GGUF, split or not; or an .npz file, for
 * recorded values. */
gx_status gx_checkpoint_open(gx_checkpoint **out, const char *path, gx_error *error) GX_MUST_USE;
/* The same of files of which only the headers are here yet: of the right size, with anything in place of the payload. */
gx_status gx_checkpoint_open_headers(gx_checkpoint **out, const char *path, gx_error *error) GX_MUST_USE;
bool gx_checkpoint_has_payload(const gx_checkpoint *checkpoint);
void gx_checkpoint_close(gx_checkpoint *checkpoint); /* NULL allowed */

gx_checkpoint_format gx_checkpoint_get_format(const gx_checkpoint *checkpoint);
const char *gx_checkpoint_path(const gx_checkpoint *checkpoint); /* as opened */

/* The folder that holds config.json and tokenizer files; for a GGUF the folder of the file. */
const char *gx_checkpoint_folder(const gx_checkpoint *checkpoint);

size_t gx_checkpoint_tensor_count(const gx_checkpoint *checkpoint);
const gx_tensor *gx_checkpoint_tensor(const gx_checkpoint *checkpoint, size_t index); /* sorted by (file, offset) */
const gx_tensor *gx_checkpoint_find(const gx_checkpoint *checkpoint, const char *name); /* NULL: not there */

size_t gx_checkpoint_file_count(const gx_checkpoint *checkpoint);
gx_file *gx_checkpoint_file(const gx_checkpoint *checkpoint, size_t index);
const char *gx_checkpoint_file_name(const gx_checkpoint *checkpoint, size_t index); /* in the folder: "model.safetensors", "2_Dense/model.safetensors" */

/* GGUF metadata; NULL when absent or for safetensors. */
const gx_gguf_value *gx_checkpoint_metadata(const gx_checkpoint *checkpoint, const char *key);
size_t gx_checkpoint_metadata_count(const gx_checkpoint *checkpoint);
const gx_gguf_value *gx_checkpoint_metadata_at(const gx_checkpoint *checkpoint, size_t index);

/* Elements [first, first + count) of the tensor seen as [elements / row, row], decoded to fp32. `row` is shape[rank-1];
 * whole rows only. `scratch` must hold the raw bytes of those rows (gx_tensor_rows_nbytes). Thread-safe. */
gx_status gx_tensor_rows_nbytes(const gx_tensor *tensor, uint64_t rows, uint64_t *out, gx_error *error) GX_MUST_USE;
gx_status gx_checkpoint_read_rows(const gx_checkpoint *checkpoint, const gx_tensor *tensor, uint64_t first_row, uint64_t rows,
                                  void *scratch, float *out, gx_error *error) GX_MUST_USE;

#endif
