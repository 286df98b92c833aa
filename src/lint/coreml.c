/* What ONNX Runtime's CoreML execution provider takes when it writes an MLProgram: from its sources, where each operator's builder says
 * what it supports (HasSupportedInputsImpl, IsOpSupportedImpl). Not tried on a Mac. */
#include "lint/lint.h"

#define T(type) GX_LINT_TYPE(GX_DTYPE_##type)
#define FLOATS (T(F32) | T(F16))
#define NUMBERS (FLOATS | T(I64)) /* base_op_builder.cc: what most builders take as first input; Core ML holds int64 as int32 */
#define BUILDER(file) "onnxruntime/core/providers/coreml/builders/impl/" file "_op_builder.cc"

static const gx_lint_operator operators[] = {
    {"Add", NUMBERS, 0, NULL, BUILDER("binary")},
    {"And", T(BOOL), 0, NULL, BUILDER("logical")},
    {"Cast", NUMBERS | T(I32) | T(BOOL), 0, NULL, BUILDER("cast")},
    {"Concat", NUMBERS, 0, NULL, BUILDER("concat")},
    {"Div", NUMBERS, 0, "int64 rounds down (floor_div), where ONNX rounds to zero", BUILDER("binary")},
    {"Erf", FLOATS, 0, NULL, BUILDER("unary")},
    {"Gather", NUMBERS | T(I32), 0, "int32 as index alone; the result has at most rank 5", BUILDER("gather")},
    {"Gelu", FLOATS, 0, NULL, BUILDER("activation")},
    {"Gemm", FLOATS, 0, "B must be a constant initializer: not the result of DequantizeLinear", BUILDER("gemm")},
    {"MatMul", FLOATS, 0, NULL, BUILDER("gemm")},
    {"Max", NUMBERS, 0, NULL, BUILDER("binary")},
    {"Mul", NUMBERS, 0, NULL, BUILDER("binary")},
    {"Pow", FLOATS, 0, "both inputs of one type", BUILDER("binary")},
    {"ReduceMax", NUMBERS, 0, "the axes must be a constant initializer", BUILDER("reduction")},
    {"ReduceMean", NUMBERS, 0, "the axes must be a constant initializer", BUILDER("reduction")},
    {"ReduceSum", NUMBERS, 0, "the axes must be a constant initializer", BUILDER("reduction")},
    {"Relu", FLOATS, 0, NULL, BUILDER("activation")},
    {"Reshape", NUMBERS, 0, "the shape must be a constant initializer, and not empty; the input's shape static", BUILDER("reshape")},
    {"Round", FLOATS, 0, NULL, BUILDER("unary")},
    {"Shape", NUMBERS | T(I32), 0, NULL, BUILDER("shape")},
    {"Slice", NUMBERS, 0, "starts, ends and axes must be constant initializers, the input's shape static", BUILDER("slice")},
    {"Softmax", FLOATS, 0, NULL, BUILDER("softmax")},
    {"Split", NUMBERS, 0, "the sizes must be a constant initializer, of two or more", BUILDER("split")},
    {"Sqrt", FLOATS, 0, NULL, BUILDER("unary")},
    {"Sub", NUMBERS, 0, NULL, BUILDER("binary")},
    {"Tanh", FLOATS, 0, NULL, BUILDER("activation")},
    {"Transpose", NUMBERS, 0, NULL, BUILDER("transpose")},
    {"Unsqueeze", NUMBERS, 0, "the axes must be a constant initializer", BUILDER("squeeze")},
    {"Where", FLOATS | T(BOOL), 0, "bool as condition alone", BUILDER("where")},
    {0},
};

const gx_lint_target gx_lint_coreml = {
    .name = "coreml",
    .description = "ONNX Runtime's CoreML execution provider, MLProgram format",
    .version = "onnxruntime 1.30 sources, 2026-08; the macOS library of 1.31.1, 2026-10, has the same builders",
    .dynamic_shapes = true, /* unless RequireStaticInputShapes is set */
    .max_rank = 5,
    .limits_source = "onnxruntime/core/providers/coreml/builders/helper.cc",
    .operators = operators,
};
