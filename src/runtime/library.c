/* Loads ONNX Runtime and sets up what all sessions share. The oldest version that is right for Gemma is decided here. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "runtime/internal.h"

/* The level of the C API that has every function called here: any library since then offers it, and newer ones only add. */
#define API_LEVEL 17u

/* Before 1.24, GroupQueryAttention saw one key too many in a sliding window: text would differ without a word. */
#define OLDEST_MAJOR 1u
#define OLDEST_MINOR 24u

#define WAY_OUT "`pip install -U onnxruntime`, or set GEMMA_ONNX_ORT_LIBRARY to libonnxruntime.so or its folder"

static gx_status status_of(OrtErrorCode code, gx_ort_stage stage)
{
    static const struct {
        OrtErrorCode code;
        gx_status opening, running;
    } table[] = {
        {ORT_INVALID_ARGUMENT, GX_ERROR_FORMAT, GX_ERROR_ARGUMENT},
        {ORT_NO_SUCHFILE, GX_ERROR_IO, GX_ERROR_IO},
        {ORT_NOT_IMPLEMENTED, GX_ERROR_UNSUPPORTED, GX_ERROR_UNSUPPORTED},
        {ORT_EP_FAIL, GX_ERROR_UNSUPPORTED, GX_ERROR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code && stage != GX_ORT_SETTING_UP)
            return stage == GX_ORT_OPENING ? table[i].opening : table[i].running;
    return stage == GX_ORT_OPENING ? GX_ERROR_FORMAT : GX_ERROR_UNSUPPORTED;
}

gx_status gx_ort_check(const OrtApi *api, OrtStatus *ort_status, gx_ort_stage stage, const char *what, gx_error *error)
{
    if (!ort_status)
        return GX_OK;
    const gx_status status = status_of(api->GetErrorCode(ort_status), stage);
    gx_fail(error, status, "%s: ONNX Runtime: %s", what, api->GetErrorMessage(ort_status));
    api->ReleaseStatus(ort_status);
    return status;
}

static bool new_enough(const char *version)
{
    unsigned major = 0, minor = 0;
    if (sscanf(version, "%u.%u", &major, &minor) != 2)
        return false;
    return major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR);
}

/* A function pointer out of the void pointer that dlsym returns: the one conversion that ISO C lacks and POSIX promises. */
static const OrtApiBase *api_base(void *library)
{
    const OrtApiBase *(*get_base)(void) = NULL;
    void *symbol = dlsym(library, "OrtGetApiBase");
    memcpy(&get_base, &symbol, sizeof get_base);
    return get_base ? get_base() : NULL;
}

static gx_status load(gx_runtime *runtime, const char *path, gx_error *error)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s cannot be loaded (%s): " WAY_OUT, path, dlerror());
    const OrtApiBase *base = api_base(library);
    gx_status status = GX_OK;
    if (!base)
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: not ONNX Runtime: it has no OrtGetApiBase: " WAY_OUT, path);
    else if (!new_enough(base->GetVersionString()) || !base->GetApi(API_LEVEL))
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "%s is ONNX Runtime %s, expected %u.%u or newer: " WAY_OUT, path,
                         base->GetVersionString(), OLDEST_MAJOR, OLDEST_MINOR);
    if (status != GX_OK) {
        dlclose(library);
        return status;
    }
    runtime->api = base->GetApi(API_LEVEL);
    runtime->version = base->GetVersionString();
    return GX_OK;
}

/* One that is there but too old is worth a word; the names that the loader does not know are not. */
static gx_status load_first(gx_runtime *runtime, gx_arena *arena, const char *library, char **path, gx_error *error)
{
    char **paths = NULL;
    size_t count = 0;
    bool asked = false;
    gx_error refused = {0};
    GX_TRY(gx_runtime_places(arena, library, &paths, &count, &asked, error));
    for (size_t i = 0; i < count; i++) {
        gx_error failed = {0};
        if (load(runtime, paths[i], &failed) == GX_OK) {
            *path = paths[i];
            return GX_OK;
        }
        if (refused.status == GX_OK && (asked || strchr(paths[i], '/') || strstr(failed.message, "expected")))
            refused = failed;
    }
    if (refused.status != GX_OK)
        return gx_fail(error, refused.status, "%s", refused.message);
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "ONNX Runtime was not found: " WAY_OUT);
}

/* What is not about a session (which devices the machine has) interests nobody; without this it goes to stderr. */
static void ORT_API_CALL drop_message(void *context, OrtLoggingLevel severity, const char *category, const char *id, const char *location,
                                      const char *message)
{
    (void)context, (void)severity, (void)category, (void)id, (void)location, (void)message;
}

static gx_status set_up(gx_runtime *runtime, gx_error *error)
{
    const OrtApi *api = runtime->api;
    GX_TRY(gx_ort_check(api, api->CreateEnvWithCustomLogger(drop_message, NULL, ORT_LOGGING_LEVEL_WARNING, "gemma-onnx", &runtime->env),
                        GX_ORT_SETTING_UP, runtime->path, error));
    GX_TRY(gx_ort_check(api, api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &runtime->memory), GX_ORT_SETTING_UP,
                        runtime->path, error));
    return gx_ort_check(api, api->GetAllocatorWithDefaultOptions(&runtime->allocator), GX_ORT_SETTING_UP, runtime->path, error);
}

static char *copy_string(const char *string)
{
    char *copy = gx_alloc(strlen(string) + 1, 1);
    if (copy)
        memcpy(copy, string, strlen(string));
    return copy;
}

gx_status gx_runtime_open(gx_runtime **out, const char *library, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_runtime *runtime = arena ? gx_alloc(1, sizeof *runtime) : NULL;
    char *path = NULL;
    gx_status status = runtime ? load_first(runtime, arena, library, &path, error) : gx_fail_memory(error);
    if (status == GX_OK && !(runtime->path = copy_string(path)))
        status = gx_fail_memory(error);
    if (status == GX_OK)
        status = set_up(runtime, error);
    gx_arena_free(arena);
    if (status != GX_OK) {
        gx_runtime_close(runtime);
        return status;
    }
    *out = runtime;
    return GX_OK;
}

/* Never dlclose after use: ONNX Runtime's threads and static objects do not survive it. */
void gx_runtime_close(gx_runtime *runtime)
{
    if (!runtime)
        return;
    if (runtime->memory)
        runtime->api->ReleaseMemoryInfo(runtime->memory);
    if (runtime->env)
        runtime->api->ReleaseEnv(runtime->env);
    gx_free(runtime->path);
    gx_free(runtime);
}

const char *gx_runtime_version(const gx_runtime *runtime)
{
    return runtime->version;
}

const char *gx_runtime_path(const gx_runtime *runtime)
{
    return runtime->path;
}
