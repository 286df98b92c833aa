/* What is in an .onnx file, ours or another tool's: a summary, without payload. */
#ifndef GX_ONNX_MODEL_READER_H
#define GX_ONNX_MODEL_READER_H

#include "base/arena.h"

#define GX_ONNX_MAX_RANK 8

typedef struct gx_onnx_value {
    const char *name;
    int element_type; /* TensorProto.DataType; 0: no tensor */
    unsigned rank;
    struct {
        int64_t number;
        const char *symbol; /* NULL: number; "": neither is said */
    } dims[GX_ONNX_MAX_RANK];
    struct gx_onnx_value *next;
} gx_onnx_value;

typedef struct gx_onnx_tensor {
    const char *name;
    int data_type;
    unsigned rank;
    int64_t dims[GX_ONNX_MAX_RANK];
    uint64_t inline_nbytes; /* of raw data */
    const char *location;   /* NULL: inside the file */
    uint64_t offset, length;
    struct gx_onnx_tensor *next;
} gx_onnx_tensor;

/* How often an operator occurs. */
typedef struct gx_onnx_operator {
    const char *domain, *op_type;
    size_t count;
    struct gx_onnx_operator *next;
} gx_onnx_operator;

typedef struct gx_onnx_pair {
    const char *key, *value;
    struct gx_onnx_pair *next;
} gx_onnx_pair;

typedef struct gx_onnx_opset {
    const char *domain;
    int64_t version;
    struct gx_onnx_opset *next;
} gx_onnx_opset;

typedef struct gx_onnx_model {
    int64_t ir_version;
    const char *producer_name, *producer_version;
    size_t node_count, initializer_count;
    gx_onnx_opset *opsets;
    gx_onnx_operator *operators; /* most frequent first */
    gx_onnx_value *inputs, *outputs;
    gx_onnx_tensor *initializers;
    gx_onnx_pair *metadata;
} gx_onnx_model;

/* Parses the bytes of a ModelProto; everything in *out is in the arena. */
gx_status gx_onnx_read(gx_onnx_model *out, gx_arena *arena, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;

const char *gx_onnx_metadata(const gx_onnx_model *model, const char *key); /* NULL: not there */
const char *gx_onnx_type_name(int data_type);                              /* "float32"; "type 99" kinds are "?" */

#endif
