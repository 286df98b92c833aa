/* What ONNX Runtime's native WebGPU execution provider has kernels for: where ONNX Runtime Web 1.30.0 placed each operator, for each of
 * its types and in opsets 17 to 24. What it has none for is computed on the CPU, with copies in between. */
#include "lint/lint.h"

#define T(type) GX_LINT_TYPE(GX_DTYPE_##type)
#define FLOATS (T(F32) | T(F16))
#define NUMBERS (FLOATS | T(I32))
#define TESTED "tested with onnxruntime-web 1.30.0"
#define INT64_DATA "data of int64 only with the option enableInt64; as shape, index or axis it is no data"
#define KERNEL(file) "onnxruntime/core/providers/webgpu/" file ", 2026-07"

static const gx_lint_operator operators[] = {
    {"Abs", FLOATS, 0, NULL, TESTED},
    {"Add", NUMBERS, 0, NULL, TESTED},
    {"And", T(BOOL), 0, NULL, TESTED},
    {"Cast", NUMBERS | T(I64) | T(U8) | T(BOOL), 0, "to int64 always, from int64 only with the option enableInt64", TESTED},
    {"Concat", NUMBERS, 0, NULL, TESTED},
    {"DequantizeLinear", NUMBERS | T(I8) | T(U8) | T(U4), 0, "not in opset 24, which is the profile standard's", TESTED},
    {"Div", NUMBERS, 0, NULL, TESTED},
    {"Erf", FLOATS, 0, NULL, TESTED},
    {"Expand", NUMBERS | T(I64) | T(U8) | T(BOOL), 0, INT64_DATA, TESTED},
    {"Floor", FLOATS, 0, NULL, TESTED},
    {"Gather", NUMBERS | T(I64) | T(U8) | T(BOOL), 0, INT64_DATA, TESTED},
    {"Gelu", FLOATS, 0, NULL, TESTED},
    {"Gemm", NUMBERS, 0, NULL, TESTED},
    {"Greater", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {"LessOrEqual", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {"MatMul", FLOATS, 0, NULL, TESTED},
    {"Max", NUMBERS, 0, NULL, TESTED},
    {"Mul", NUMBERS, 0, NULL, TESTED},
    {"Pow", NUMBERS, 0, NULL, TESTED},
    {"RMSNormalization", FLOATS, 0, NULL, TESTED},
    {"ReduceMax", NUMBERS | T(I64), 0, INT64_DATA, TESTED},
    {"ReduceMean", NUMBERS | T(I64), 0, INT64_DATA, TESTED},
    {"ReduceSum", NUMBERS | T(I64), 0, INT64_DATA, KERNEL("reduction/reduction_ops.cc")},
    {"Relu", FLOATS, 0, NULL, KERNEL("math/unary_elementwise_ops.cc")},
    {"Reshape", NUMBERS | T(I64) | T(U8) | T(BOOL), 0, INT64_DATA, TESTED},
    {"RotaryEmbedding", FLOATS, 0, NULL, TESTED},
    {"ScatterElements", NUMBERS | T(I64), 0, "int64 as indices alone", KERNEL("tensor/scatter_elements.cc")},
    {"ScatterND", NUMBERS | T(I64), 0, INT64_DATA, TESTED},
    {"Shape", NUMBERS | T(I64), 0, "int64 as the result alone: the shape of an int64 tensor is taken on the CPU", TESTED},
    {"Slice", FLOATS | T(I64), 0, INT64_DATA, TESTED},
    {"Softmax", FLOATS, 0, NULL, TESTED},
    {"Split", NUMBERS | T(I64), 0, INT64_DATA, TESTED},
    {"Sqrt", FLOATS, 0, NULL, TESTED},
    {"Sub", NUMBERS, 0, NULL, TESTED},
    {"Tanh", FLOATS, 0, NULL, TESTED},
    {"TopK", FLOATS | T(I64), 0, "int64 as count and as indices alone", KERNEL("math/top_k.cc")},
    {"Transpose", NUMBERS, 0, NULL, TESTED},
    {"Unsqueeze", NUMBERS | T(I64) | T(BOOL), 0, INT64_DATA, TESTED},
    {"Where", NUMBERS | T(BOOL), 0, NULL, TESTED},
    {"com.microsoft:GroupQueryAttention", NUMBERS, 0, "not with sliding_window_cache (--cache bounded): no session opens then",
     "onnxruntime/contrib_ops/webgpu/bert/group_query_attention.h; " TESTED},
    {"com.microsoft:MatMulNBits", FLOATS | T(U8), 0, NULL, TESTED},
    {"com.microsoft:MultiHeadAttention", FLOATS, 0, NULL, "onnxruntime/contrib_ops/webgpu/bert/multihead_attention.cc, 2026-07"},
    {"com.microsoft:SkipSimplifiedLayerNormalization", FLOATS, 0, NULL, TESTED},
    {0},
};

const gx_lint_target gx_lint_webgpu = {
    .name = "webgpu",
    .description = "ONNX Runtime's WebGPU execution provider (fp16 wants the device feature shader-f16)",
    .version = "onnxruntime-web 1.30.0, 2026-09",
    .dynamic_shapes = true,
    .max_tensor_nbytes = 134217728, /* maxStorageBufferBindingSize, the least that a device has; ONNX Runtime asks for the adapter's own */
    .limits_source = "WebGPU specification, limits",
    .operators = operators,
};
