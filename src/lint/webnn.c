/* What ONNX Runtime Web's WebNN execution provider takes in a browser that supports the data types and ranks which the WebNN specification
 * requires, and no more: what the provider itself answered, node by node and in whole graphs, on a stand-in for such a context. */
#include "lint/lint.h"

#define T(type) GX_LINT_TYPE(GX_DTYPE_##type)
#define FLOATS (T(F32) | T(F16))
#define NUMBERS (FLOATS | T(I64) | T(I32)) /* int64 becomes int32 in a context without it */
#define STORED (NUMBERS | T(I8) | T(U8))
#define TESTED "tested with onnxruntime-web 1.30.0; WebNN specification, required data types"
#define DOCUMENTED "ONNX Runtime, js/web/docs/webnn-operators.md, 2026-07"

static const gx_lint_operator operators[] = {
    {"Abs", NUMBERS, 0, NULL, TESTED},
    {"Add", NUMBERS, 0, NULL, TESTED},
    {"And", T(BOOL), 0, NULL, TESTED},
    {"Cast", STORED | T(BOOL), 0, NULL, TESTED},
    {"Concat", NUMBERS, 0, NULL, TESTED},
    {"DequantizeLinear", FLOATS | T(I8) | T(U8), 0, "uint4 only where the browser has it: the specification does not", TESTED},
    {"Div", NUMBERS, 0, NULL, TESTED},
    {"Erf", FLOATS, 0, NULL, TESTED},
    {"Expand", NUMBERS, 0, "the shape must be a constant initializer", TESTED},
    {"Floor", FLOATS, 0, NULL, TESTED},
    {"Gather", STORED, 0, NULL, TESTED},
    {"Gelu", FLOATS, 0, NULL, TESTED},
    {"Gemm", FLOATS, 0, NULL, TESTED},
    {"Greater", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {"LessOrEqual", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {"MatMul", FLOATS, 0, NULL, TESTED},
    {"MatMulInteger", T(U8) | T(I32), 0, "multiplied in fp32, which rounds sums from 2^24 on", TESTED},
    {"Max", NUMBERS, 0, NULL, TESTED},
    {"Mul", NUMBERS, 0, NULL, TESTED},
    {"Pow", NUMBERS, 0, NULL, TESTED},
    {"ReduceMax", NUMBERS, 0, "the axes must be a constant initializer", TESTED},
    {"ReduceMean", FLOATS | T(I64), 0, "int64 as axes alone, which must be a constant initializer", TESTED},
    {"ReduceSum", FLOATS | T(I64), 0, "int64 as axes alone, which must be a constant initializer", DOCUMENTED},
    {"Relu", FLOATS, 0, NULL, DOCUMENTED},
    {"Reshape", STORED, 0, "the shape must be a constant initializer", TESTED},
    {"RotaryEmbedding", FLOATS, 0, NULL, TESTED},
    {"Round", FLOATS, 0, NULL, TESTED},
    {"ScatterElements", FLOATS | T(I64), 0, "int64 as indices alone; no reduction", DOCUMENTED},
    {"ScatterND", NUMBERS, 0, NULL, TESTED},
    {"Shape", STORED, 0, NULL, DOCUMENTED},
    {"Slice", STORED, 0, "starts, ends and axes must be constant initializers", TESTED},
    {"Softmax", FLOATS, 0, NULL, TESTED},
    {"Split", NUMBERS, 0, "the sizes must be a constant initializer", TESTED},
    {"Sqrt", FLOATS, 0, NULL, TESTED},
    {"Sub", NUMBERS, 0, NULL, TESTED},
    {"Tanh", FLOATS, 0, NULL, TESTED},
    {"Transpose", NUMBERS, 0, NULL, TESTED},
    {"Unsqueeze", STORED, 0, NULL, TESTED},
    {"Where", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {"com.microsoft:MatMulNBits", FLOATS | T(U8), 0, "4 bits only where the browser has uint4: the specification does not; 8 bits everywhere", TESTED},
    {"com.microsoft:SkipSimplifiedLayerNormalization", FLOATS, 0, NULL, TESTED},
    {0},
};

const gx_lint_target gx_lint_webnn = {
    .name = "webnn",
    .description = "ONNX Runtime Web's WebNN execution provider",
    .version = "onnxruntime-web 1.30.0, 2026-09; WebNN specification of 2026-06",
    .dynamic_shapes = false, /* freeDimensionOverrides make numbers of them */
    .max_rank = 5,
    .limits_source = "onnxruntime/core/providers/webnn/builders/helper.cc; WebNN specification, required ranks",
    .operators = operators,
};
