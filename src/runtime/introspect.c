/* What a session tells about its model: inputs, outputs, metadata. Copied once into the session's arena. */
#include <string.h>

#include "runtime/internal.h"

typedef OrtStatus *(*count_function)(const OrtSession *session, size_t *out);
typedef OrtStatus *(*name_function)(const OrtSession *session, size_t index, OrtAllocator *allocator, char **out);
typedef OrtStatus *(*type_function)(const OrtSession *session, size_t index, OrtTypeInfo **out);

static gx_status check(const gx_session *s, OrtStatus *status, gx_error *error)
{
    return gx_ort_check(s->runtime->api, status, GX_ORT_OPENING, s->name, error);
}

/* Copies a string of ONNX Runtime's into the arena and frees the original. */
static gx_status adopt_string(const gx_session *s, char *string, char **out, gx_error *error)
{
    char *copy = gx_arena_copy_string(s->arena, string);
    const gx_status freed = check(s, s->runtime->api->AllocatorFree(s->runtime->allocator, string), error);
    if (!copy)
        return gx_fail_memory(error);
    *out = copy;
    return freed;
}

static gx_status read_shape(const gx_session *s, const OrtTensorTypeAndShapeInfo *info, gx_session_value *value, gx_error *error)
{
    const OrtApi *api = s->runtime->api;
    ONNXTensorElementDataType type;
    GX_TRY(check(s, api->GetTensorElementType(info, &type), error));
    GX_TRY(check(s, api->GetDimensionsCount(info, &value->rank), error));
    int64_t *dims = GX_NEW_ARRAY(s->arena, int64_t, value->rank);
    const char **symbols = GX_NEW_ARRAY(s->arena, const char *, value->rank);
    if (!dims || !symbols)
        return gx_fail_memory(error);
    GX_TRY(check(s, api->GetDimensions(info, dims, value->rank), error));
    GX_TRY(check(s, api->GetSymbolicDimensions(info, symbols, value->rank), error));
    for (size_t i = 0; i < value->rank; i++)
        if (!(symbols[i] = gx_arena_copy_string(s->arena, symbols[i] ? symbols[i] : "")))
            return gx_fail_memory(error);
    value->dtype = gx_dtype_from_onnx((int)type);
    value->dims = dims;
    value->symbols = symbols;
    return GX_OK;
}

static gx_status read_type(const gx_session *s, type_function get_type, size_t index, gx_session_value *value, gx_error *error)
{
    const OrtApi *api = s->runtime->api;
    OrtTypeInfo *type = NULL;
    const OrtTensorTypeAndShapeInfo *info = NULL; /* NULL: not a tensor */
    GX_TRY(check(s, get_type(s->handle, index, &type), error));
    gx_status status = check(s, api->CastTypeInfoToTensorInfo(type, &info), error);
    value->dtype = GX_DTYPE_COUNT;
    if (status == GX_OK && info)
        status = read_shape(s, info, value, error);
    api->ReleaseTypeInfo(type);
    return status;
}

static gx_status read_values(gx_session *s, gx_session_values *out, count_function get_count, name_function get_name,
                             type_function get_type, gx_error *error)
{
    size_t count = 0;
    GX_TRY(check(s, get_count(s->handle, &count), error));
    gx_session_value *values = GX_NEW_ARRAY(s->arena, gx_session_value, count);
    if (!values)
        return gx_fail_memory(error);
    for (size_t i = 0; i < count; i++) {
        char *name = NULL;
        GX_TRY(check(s, get_name(s->handle, i, s->runtime->allocator, &name), error));
        GX_TRY(adopt_string(s, name, &name, error));
        values[i].name = name;
        GX_TRY(read_type(s, get_type, i, &values[i], error));
    }
    *out = (gx_session_values){values, count};
    return GX_OK;
}

static gx_status read_property(gx_session *s, const OrtModelMetadata *metadata, const char *key, size_t index, gx_error *error)
{
    char *value = NULL;
    OrtAllocator *allocator = s->runtime->allocator;
    GX_TRY(check(s, s->runtime->api->ModelMetadataLookupCustomMetadataMap(metadata, allocator, key, &value), error));
    if (!value)
        return GX_OK;
    if (!(s->metadata_keys[index] = gx_arena_copy_string(s->arena, key)))
        return gx_fail_memory(error);
    return adopt_string(s, value, &s->metadata_values[index], error);
}

static gx_status read_properties(gx_session *s, const OrtModelMetadata *metadata, char **keys, size_t count, gx_error *error)
{
    s->metadata_keys = GX_NEW_ARRAY(s->arena, char *, count);
    s->metadata_values = GX_NEW_ARRAY(s->arena, char *, count);
    if (!s->metadata_keys || !s->metadata_values)
        return gx_fail_memory(error);
    for (size_t i = 0; i < count; i++)
        GX_TRY(read_property(s, metadata, keys[i], i, error));
    s->metadata_count = count;
    return GX_OK;
}

static gx_status free_keys(const gx_session *s, char **keys, size_t count, gx_error *error)
{
    const OrtApi *api = s->runtime->api;
    gx_status status = GX_OK;
    for (size_t i = 0; i < count; i++)
        if (check(s, api->AllocatorFree(s->runtime->allocator, keys[i]), error) != GX_OK)
            status = GX_ERROR_FORMAT;
    if (keys && check(s, api->AllocatorFree(s->runtime->allocator, keys), error) != GX_OK)
        status = GX_ERROR_FORMAT;
    return status;
}

static gx_status read_metadata(gx_session *s, gx_error *error)
{
    const OrtApi *api = s->runtime->api;
    OrtModelMetadata *metadata = NULL;
    char **keys = NULL;
    int64_t count = 0;
    GX_TRY(check(s, api->SessionGetModelMetadata(s->handle, &metadata), error));
    gx_status status = check(s, api->ModelMetadataGetCustomMetadataMapKeys(metadata, s->runtime->allocator, &keys, &count), error);
    if (status == GX_OK) {
        status = read_properties(s, metadata, keys, (size_t)count, error);
        const gx_status freed = free_keys(s, keys, (size_t)count, error);
        status = status != GX_OK ? status : freed;
    }
    api->ReleaseModelMetadata(metadata);
    return status;
}

gx_status gx_session_introspect(gx_session *s, gx_error *error)
{
    const OrtApi *api = s->runtime->api;
    GX_TRY(read_values(s, &s->inputs, api->SessionGetInputCount, api->SessionGetInputName, api->SessionGetInputTypeInfo, error));
    GX_TRY(read_values(s, &s->outputs, api->SessionGetOutputCount, api->SessionGetOutputName, api->SessionGetOutputTypeInfo, error));
    return read_metadata(s, error);
}

static const gx_session_value *find(const gx_session_values *values, const char *name)
{
    for (size_t i = 0; i < values->count; i++)
        if (strcmp(values->values[i].name, name) == 0)
            return &values->values[i];
    return NULL;
}

size_t gx_session_input_count(const gx_session *session)
{
    return session->inputs.count;
}

size_t gx_session_output_count(const gx_session *session)
{
    return session->outputs.count;
}

const gx_session_value *gx_session_input(const gx_session *session, size_t index)
{
    return &session->inputs.values[index];
}

const gx_session_value *gx_session_output(const gx_session *session, size_t index)
{
    return &session->outputs.values[index];
}

const gx_session_value *gx_session_find_input(const gx_session *session, const char *name)
{
    return find(&session->inputs, name);
}

const gx_session_value *gx_session_find_output(const gx_session *session, const char *name)
{
    return find(&session->outputs, name);
}

const char *gx_session_metadata(const gx_session *session, const char *key)
{
    for (size_t i = 0; i < session->metadata_count; i++)
        if (session->metadata_keys[i] && strcmp(session->metadata_keys[i], key) == 0)
            return session->metadata_values[i];
    return NULL;
}
