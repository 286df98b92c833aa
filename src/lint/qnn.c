/* What ONNX Runtime's QNN execution provider takes on the HTP backend: from the answers of its operator validation and the values that it
 * computed, node by node and in whole graphs, in the simulator of onnxruntime-qnn 2.7.0 with enable_htp_fp16_precision=1 and soc_model=60. */
#include "lint/lint.h"

#define T(type) GX_LINT_TYPE(GX_DTYPE_##type)
#define FLOATS (T(F32) | T(F16))
#define NUMBERS (FLOATS | T(I64) | T(I32))
#define TESTED "tested with onnxruntime-qnn 2.7.0, HTP backend simulated on x86-64"
#define BUILDER(file) "onnxruntime/core/providers/qnn/builder/opbuilder/" file ", 2026-07; not tried"

static const gx_lint_operator operators[] = {
    {"Abs", NUMBERS, 0, NULL, TESTED},
    {"Add", NUMBERS, 0, "int64 is computed as int32", TESTED},
    {"And", T(BOOL), 0, NULL, TESTED},
    {"Attention", FLOATS, 0, "the mask is a bias, not bool; no nonpad_kv_seqlen", TESTED},
    {"Cast", NUMBERS | T(BOOL), 0, "to int64 from int32 alone; uint8 to fp32 would be taken, but gives 0 or 1: to fp16 it is right", TESTED},
    {"Concat", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {"Div", NUMBERS, 0, "int64 is computed as int32", TESTED},
    {"Expand", NUMBERS, 0, "the shape must be a constant initializer", TESTED},
    {"Floor", FLOATS, 0, NULL, TESTED},
    {"Gather", NUMBERS, 0, "int64 as index or as an input's data, not as a constant's", TESTED},
    {"Gelu", FLOATS, 0, NULL, TESTED},
    {"Gemm", FLOATS, 0, NULL, TESTED},
    {"Greater", NUMBERS | T(BOOL), 0, "int64 is compared as int32", TESTED},
    {"LessOrEqual", NUMBERS | T(BOOL), 0, "int64 is compared as int32", TESTED},
    {"MatMul", FLOATS, 0, NULL, TESTED},
    {"Max", NUMBERS, 0, "int64 is computed as int32", TESTED},
    {"Mul", NUMBERS, 0, "int64 is computed as int32", TESTED},
    {"Pow", FLOATS, 0, NULL, TESTED},
    {"RMSNormalization", FLOATS, 0, NULL, TESTED},
    {"ReduceMax", NUMBERS, 0, "the axes must be a constant initializer", TESTED},
    {"ReduceMean", FLOATS | T(I64), 0, "int64 as axes alone, which must be a constant initializer", TESTED},
    {"ReduceSum", FLOATS | T(I64), 0, "int64 as axes alone, which must be a constant initializer", BUILDER("reduce_op_builder.cc")},
    {"Relu", FLOATS, 0, NULL, BUILDER("simple_op_builder.cc")},
    {"Reshape", NUMBERS | T(U8), 0, "the shape must be a constant initializer", TESTED},
    {"RotaryEmbedding", FLOATS, 0, "ai.onnx 23, not com.microsoft", TESTED},
    {"Round", FLOATS, 0, NULL, TESTED},
    {"ScatterElements", FLOATS | T(I64), 0, "int64 as indices alone", BUILDER("simple_op_builder.cc")},
    {"ScatterND", NUMBERS, 0, NULL, TESTED},
    {"Slice", NUMBERS | T(U8), 0, "starts, ends and axes must be constant initializers", TESTED},
    {"Softmax", FLOATS, 0, NULL, TESTED},
    {"Split", NUMBERS, 0, "the sizes must be a constant initializer", TESTED},
    {"Sqrt", FLOATS, 0, NULL, TESTED},
    {"Sub", NUMBERS, 0, "int64 is computed as int32", TESTED},
    {"Tanh", FLOATS, 0, NULL, TESTED},
    {"TopK", FLOATS | T(I64), 0, "int64 as count, which must be a constant initializer, and as indices alone", BUILDER("topk.cc")},
    {"Transpose", FLOATS | T(I32), 0, NULL, TESTED},
    {"Unsqueeze", NUMBERS | T(U8), 0, "the axes must be a constant initializer", TESTED},
    {"Where", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {0},
};

const gx_lint_target gx_lint_qnn = {
    .name = "qnn",
    .description = "ONNX Runtime's QNN execution provider, HTP backend",
    .version = "onnxruntime-qnn 2.7.0 with QNN 2.51 and onnxruntime 1.31.1, 2026-10",
    .dynamic_shapes = false,
    .max_rank = 5,
    .limits_source = TESTED,
    .operators = operators,
};
