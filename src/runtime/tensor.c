/* Tensors: over the caller's memory or with memory of ONNX Runtime's. Element types go by the dtype table: ONNX Runtime
 * numbers them as ONNX files do. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "runtime/internal.h"

static gx_status shape_nbytes(uint64_t *out, gx_dtype dtype, size_t rank, const int64_t *dims, gx_error *error)
{
    const gx_dtype_info *info = gx_dtype_get(dtype);
    uint64_t nbytes = info->block_nbytes;
    if (info->onnx_type == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "a tensor of type %s cannot be given to ONNX Runtime", info->name);
    if (rank > GX_ORT_MAX_RANK)
        return gx_fail(error, GX_ERROR_ARGUMENT, "a tensor of rank %zu, expected at most %d", rank, GX_ORT_MAX_RANK);
    for (size_t i = 0; i < rank; i++)
        if (dims[i] < 0 || !gx_mul_u64(nbytes, (uint64_t)dims[i], &nbytes))
            return gx_fail(error, GX_ERROR_ARGUMENT, "dimension %zu of a tensor is %lld: negative, or the size overflows", i,
                           (long long)dims[i]);
    *out = gx_ceil_div(nbytes, info->block_elements);
    return GX_OK;
}

gx_status gx_ort_tensor_wrap(gx_ort_tensor **out, const gx_runtime *runtime, gx_dtype dtype, size_t rank, const int64_t *dims, void *data,
                             size_t nbytes, gx_error *error)
{
    uint64_t needed;
    OrtValue *value = NULL;
    GX_TRY(shape_nbytes(&needed, dtype, rank, dims, error));
    if (needed != nbytes)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%zu bytes for a tensor whose shape needs %llu", nbytes, (unsigned long long)needed);
    OrtStatus *made = runtime->api->CreateTensorWithDataAsOrtValue(runtime->memory, data, nbytes, dims, rank,
                                                                   (ONNXTensorElementDataType)gx_dtype_get(dtype)->onnx_type, &value);
    GX_TRY(gx_ort_check(runtime->api, made, GX_ORT_RUNNING, "a tensor", error));
    *out = value;
    return GX_OK;
}

gx_status gx_ort_tensor_new(gx_ort_tensor **out, const gx_runtime *runtime, gx_dtype dtype, size_t rank, const int64_t *dims,
                            gx_error *error)
{
    const OrtApi *api = runtime->api;
    uint64_t nbytes;
    OrtValue *value = NULL;
    void *data = NULL;
    GX_TRY(shape_nbytes(&nbytes, dtype, rank, dims, error));
    OrtStatus *made = api->CreateTensorAsOrtValue(runtime->allocator, dims, rank, (ONNXTensorElementDataType)gx_dtype_get(dtype)->onnx_type,
                                                  &value);
    GX_TRY(gx_ort_check(api, made, GX_ORT_RUNNING, "a tensor", error));
    const gx_status status = gx_ort_check(api, api->GetTensorMutableData(value, &data), GX_ORT_RUNNING, "a tensor", error);
    if (status != GX_OK) {
        api->ReleaseValue(value);
        return status;
    }
    if (nbytes)
        memset(data, 0, nbytes);
    *out = value;
    return GX_OK;
}

static gx_status describe_shape(gx_ort_view *view, const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, gx_error *error)
{
    ONNXTensorElementDataType type;
    GX_TRY(gx_ort_check(api, api->GetTensorElementType(info, &type), GX_ORT_RUNNING, "a tensor", error));
    GX_TRY(gx_ort_check(api, api->GetDimensionsCount(info, &view->rank), GX_ORT_RUNNING, "a tensor", error));
    if (view->rank > GX_ORT_MAX_RANK)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "a tensor of rank %zu, expected at most %d", view->rank, GX_ORT_MAX_RANK);
    GX_TRY(gx_ort_check(api, api->GetDimensions(info, view->dims, view->rank), GX_ORT_RUNNING, "a tensor", error));
    view->dtype = gx_dtype_from_onnx((int)type);
    return gx_ort_check(api, api->GetTensorShapeElementCount(info, &view->elements), GX_ORT_RUNNING, "a tensor", error);
}

gx_status gx_ort_tensor_describe(gx_ort_view *out, const gx_runtime *runtime, gx_ort_tensor *tensor, gx_error *error)
{
    const OrtApi *api = runtime->api;
    OrtTensorTypeAndShapeInfo *info = NULL;
    gx_ort_view view = {0};
    GX_TRY(gx_ort_check(api, api->GetTensorTypeAndShape(tensor, &info), GX_ORT_RUNNING, "a tensor", error));
    const gx_status status = describe_shape(&view, api, info, error);
    api->ReleaseTensorTypeAndShapeInfo(info);
    GX_TRY(status);
    GX_TRY(gx_ort_check(api, api->GetTensorMutableData(tensor, &view.data), GX_ORT_RUNNING, "a tensor", error));
    *out = view;
    return GX_OK;
}

void gx_ort_tensor_free(const gx_runtime *runtime, gx_ort_tensor *tensor)
{
    if (tensor)
        runtime->api->ReleaseValue(tensor);
}
