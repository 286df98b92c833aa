/* JSON over yyjson. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"

/* yyjson's memory comes through the same seam as all other. */
static void *take_memory(void *context, size_t nbytes)
{
    (void)context;
    return gx_realloc(NULL, nbytes, 1);
}

static void *resize_memory(void *context, void *pointer, size_t old_nbytes, size_t nbytes)
{
    (void)context;
    (void)old_nbytes;
    return gx_realloc(pointer, nbytes, 1);
}

static void release_memory(void *context, void *pointer)
{
    (void)context;
    gx_free(pointer);
}

static const yyjson_alc allocator = {.malloc = take_memory, .realloc = resize_memory, .free = release_memory};

gx_status gx_json_parse(yyjson_doc **out, const char *name, const char *text, size_t nbytes, gx_error *error)
{
    yyjson_read_err failure;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text, nbytes, YYJSON_READ_NOFLAG, &allocator, &failure);
    if (doc) {
        *out = doc;
        return GX_OK;
    }
    if (failure.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return gx_fail_memory(error);
    size_t line = 0, column = 0, character = 0;
    yyjson_locate_pos(text, nbytes, failure.pos, &line, &column, &character);
    return gx_fail(error, GX_ERROR_FORMAT, "%s: line %zu, column %zu: %s", name, line, column, failure.msg);
}

gx_status gx_json_read(yyjson_doc **out, const char *path, uint64_t limit, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    char *text = NULL;
    size_t nbytes = 0;
    gx_status status = arena ? gx_file_read_all(arena, path, limit, &text, &nbytes, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_json_parse(out, path, text, nbytes, error);
    gx_arena_free(arena);
    return status;
}

static yyjson_val *get(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    return yyjson_is_null(value) ? NULL : value;
}

const char *gx_json_kind(yyjson_val *value)
{
    if (!value)
        return "nothing";
    switch (yyjson_get_tag(value) & YYJSON_TAG_MASK) {
    case YYJSON_TYPE_ARR | YYJSON_SUBTYPE_NONE: return "a list";
    case YYJSON_TYPE_OBJ | YYJSON_SUBTYPE_NONE: return "an object";
    case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE:
    case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE: return "true or false";
    case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT: return "an integer";
    case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_SINT: return "a negative integer";
    case YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL: return "a number";
    default: return yyjson_is_str(value) ? "a string" : "null";
    }
}

static gx_status wrong_type(yyjson_val *value, const char *name, const char *key, const char *expected, gx_error *error)
{
    return gx_fail(error, GX_ERROR_FORMAT, "%s: '%s' is %s, expected %s", name, key, gx_json_kind(value), expected);
}

gx_status gx_json_get_u64(yyjson_val *object, const char *name, const char *key, uint64_t *out, gx_error *error)
{
    yyjson_val *value = get(object, key);
    if (!value)
        return GX_OK;
    if (!yyjson_is_uint(value))
        return wrong_type(value, name, key, "a non-negative integer", error);
    *out = yyjson_get_uint(value);
    return GX_OK;
}

gx_status gx_json_get_double(yyjson_val *object, const char *name, const char *key, double *out, gx_error *error)
{
    yyjson_val *value = get(object, key);
    if (!value)
        return GX_OK;
    if (!yyjson_is_num(value))
        return wrong_type(value, name, key, "a number", error);
    *out = yyjson_get_num(value);
    return GX_OK;
}

gx_status gx_json_get_bool(yyjson_val *object, const char *name, const char *key, bool *out, gx_error *error)
{
    yyjson_val *value = get(object, key);
    if (!value)
        return GX_OK;
    if (!yyjson_is_bool(value))
        return wrong_type(value, name, key, "true or false", error);
    *out = yyjson_get_bool(value);
    return GX_OK;
}

gx_status gx_json_get_string(yyjson_val *object, const char *name, const char *key, const char **out, gx_error *error)
{
    yyjson_val *value = get(object, key);
    if (!value)
        return GX_OK;
    if (!yyjson_is_str(value))
        return wrong_type(value, name, key, "a string", error);
    if (strlen(yyjson_get_str(value)) != yyjson_get_len(value))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: '%s' holds a NUL character", name, key);
    *out = yyjson_get_str(value);
    return GX_OK;
}

gx_status gx_json_write(char **out, size_t *nbytes, yyjson_mut_doc *doc, gx_error *error)
{
    /* A measurement may be NaN, and its report must be written all the same. */
    const yyjson_write_flag flags = YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END | YYJSON_WRITE_INF_AND_NAN_AS_NULL;
    yyjson_write_err failure;
    size_t length = 0;
    char *text = yyjson_mut_write_opts(doc, flags, &allocator, &length, &failure);
    if (!text)
        return failure.code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION ? gx_fail_memory(error)
                                                                    : gx_fail(error, GX_ERROR_FORMAT, "writing JSON: %s", failure.msg);
    *out = text;
    *nbytes = length;
    return GX_OK;
}
