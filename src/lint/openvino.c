/* What OpenVINO's ONNX front end converts and its CPU plug-in runs: every operator here was converted and run for each of its types, in
 * opsets 17 to 24, and the result compared with ONNX's reference. The NPU plug-in was not tried. */
#include "lint/lint.h"

#define T(type) GX_LINT_TYPE(GX_DTYPE_##type)
#define FLOATS (T(F32) | T(F16))
#define NUMBERS (FLOATS | T(I64) | T(I32))
#define STORED (NUMBERS | T(I8) | T(U8))
#define TESTED "tested with OpenVINO 2026.4, CPU plug-in"
#define AS_INT32 "int64 is computed as int32"

static const gx_lint_operator operators[] = {
    {"Abs", NUMBERS, 0, AS_INT32, TESTED},
    {"Add", NUMBERS, 0, AS_INT32, TESTED},
    {"And", T(BOOL), 0, NULL, TESTED},
    {"Attention", FLOATS, 0, NULL, TESTED},
    {"Cast", STORED | T(BOOL), 0, NULL, TESTED},
    {"Concat", STORED | T(BOOL), 0, NULL, TESTED},
    {"ConstantOfShape", T(F32) | T(I64), 0, NULL, TESTED},
    {"DequantizeLinear", FLOATS | T(I8) | T(U8) | T(U4), 0, NULL, TESTED},
    {"Div", NUMBERS, 0, AS_INT32, TESTED},
    {"Equal", T(I64) | T(BOOL), 0, AS_INT32, TESTED},
    {"Erf", FLOATS, 0, NULL, TESTED},
    {"Expand", STORED, 0, NULL, TESTED},
    {"Floor", FLOATS, 0, NULL, TESTED},
    {"Gather", STORED, 0, NULL, TESTED},
    {"GatherND", FLOATS | T(I64), 0, NULL, TESTED},
    {"Gelu", FLOATS, 0, NULL, TESTED},
    {"Gemm", FLOATS, 0, NULL, TESTED},
    {"Greater", STORED | T(BOOL), 0, AS_INT32, TESTED},
    {"Identity", T(BOOL), 0, NULL, TESTED},
    {"LessOrEqual", STORED | T(BOOL), 0, AS_INT32, TESTED},
    {"Loop", T(F32) | T(I64) | T(BOOL), 0, NULL, TESTED},
    {"MatMul", FLOATS, 0, NULL, TESTED},
    {"MatMulInteger", T(U8) | T(I8) | T(I32), 0, NULL, TESTED},
    {"Max", NUMBERS, 0, AS_INT32, TESTED},
    {"Mul", NUMBERS, 0, AS_INT32, TESTED},
    {"Pow", NUMBERS, 0, NULL, TESTED},
    {"RMSNormalization", FLOATS, 0, NULL, TESTED},
    {"ReduceMax", NUMBERS, 0, NULL, TESTED},
    {"ReduceMean", NUMBERS, 0, NULL, TESTED},
    {"ReduceSum", FLOATS | T(I64), 0, NULL, TESTED},
    {"Relu", FLOATS, 0, NULL, TESTED},
    {"Reshape", STORED, 0, NULL, TESTED},
    {"RotaryEmbedding", FLOATS, 0, NULL, TESTED},
    {"Round", FLOATS, 0, NULL, TESTED},
    {"ScatterElements", FLOATS | T(I64), 0, NULL, TESTED},
    {"ScatterND", STORED, 0, NULL, TESTED},
    {"Shape", STORED, 0, NULL, TESTED},
    {"Slice", STORED, 0, NULL, TESTED},
    {"Softmax", FLOATS, 0, NULL, TESTED},
    {"Split", STORED, 0, NULL, TESTED},
    {"Sqrt", FLOATS, 0, NULL, TESTED},
    {"Sub", NUMBERS, 0, AS_INT32, TESTED},
    {"Tanh", FLOATS, 0, NULL, TESTED},
    {"TopK", FLOATS | T(I64), 0, NULL, TESTED},
    {"Transpose", STORED, 0, NULL, TESTED},
    {"Unsqueeze", STORED, 0, NULL, TESTED},
    {"Where", STORED | T(BOOL), 0, NULL, TESTED},
    {"com.microsoft:GroupQueryAttention", FLOATS | T(I32), 0, "batch 1 where the batch is a number; caches that grow need symbols as dimensions", TESTED},
    {"com.microsoft:MatMulNBits", FLOATS | T(U8), 1u << 1, NULL, TESTED},
    {"com.microsoft:MultiHeadAttention", FLOATS, 0, NULL, TESTED},
    {"com.microsoft:SkipSimplifiedLayerNormalization", FLOATS, 0, NULL, TESTED},
    {0},
};

const gx_lint_target gx_lint_openvino = {
    .name = "openvino",
    .description = "OpenVINO's ONNX front end, CPU plug-in",
    .version = "OpenVINO 2026.4.1, 2026-10",
    .dynamic_shapes = true,
    .limits_source = TESTED,
    .operators = operators,
};
