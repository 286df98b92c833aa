/* Sessions: opening a model, running it, counting what ONNX Runtime complains about. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/threads.h"
#include "runtime/internal.h"

#define MAX_THREADS 1024u

void gx_session_options_default(gx_session_options *options)
{
    *options = (gx_session_options){.threads = 0, .spinning = true, .optimization = GX_SESSION_OPTIMIZE_ALL};
}

static void ORT_API_CALL count_message(void *context, OrtLoggingLevel severity, const char *category, const char *id, const char *location,
                                       const char *message)
{
    (void)category, (void)id, (void)location;
    gx_session_log *log = context;
    if (severity < ORT_LOGGING_LEVEL_WARNING || atomic_fetch_add(&log->count, 1) != 0)
        return;
    snprintf(log->first, sizeof log->first, "%s", message);
    atomic_store(&log->first_ready, true);
}

size_t gx_session_warning_count(const gx_session *session)
{
    return atomic_load(&session->log.count);
}

const char *gx_session_first_warning(const gx_session *session)
{
    return atomic_load(&session->log.first_ready) ? session->log.first : "";
}

static gx_status add_entry(const gx_session *s, OrtSessionOptions *handle, const char *key, const char *value, gx_error *error)
{
    return gx_ort_check(s->runtime->api, s->runtime->api->AddSessionConfigEntry(handle, key, value), GX_ORT_SETTING_UP, s->name, error);
}

static gx_status apply_options(gx_session *s, OrtSessionOptions *handle, const gx_session_options *options, const char *folder,
                               gx_error *error)
{
    static const GraphOptimizationLevel levels[] = {
        [GX_SESSION_OPTIMIZE_NONE] = ORT_DISABLE_ALL,
        [GX_SESSION_OPTIMIZE_BASIC] = ORT_ENABLE_BASIC,
        [GX_SESSION_OPTIMIZE_EXTENDED] = ORT_ENABLE_EXTENDED,
        [GX_SESSION_OPTIMIZE_ALL] = ORT_ENABLE_ALL,
    };
    const OrtApi *api = s->runtime->api;
    const unsigned threads = options->threads ? options->threads : gx_cpu_count();
    OrtStatus *steps[] = {
        api->SetIntraOpNumThreads(handle, (int)(threads < MAX_THREADS ? threads : MAX_THREADS)),
        api->SetInterOpNumThreads(handle, 1),
        api->SetSessionGraphOptimizationLevel(handle, levels[options->optimization]),
        api->DisableMemPattern(handle), /* planned for one shape; here every call has another */
        api->SetUserLoggingFunction(handle, count_message, &s->log),
        api->SetSessionLogSeverityLevel(handle, ORT_LOGGING_LEVEL_WARNING),
    };
    gx_status status = GX_OK;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (gx_ort_check(api, steps[i], GX_ORT_SETTING_UP, s->name, error) != GX_OK)
            status = GX_ERROR_UNSUPPORTED;
    GX_TRY(status);
    GX_TRY(add_entry(s, handle, "session.intra_op.allow_spinning", options->spinning ? "1" : "0", error));
    if (folder)
        GX_TRY(add_entry(s, handle, "session.model_external_initializers_file_folder_path", folder, error));
    for (size_t i = 0; i < options->entry_count; i++)
        GX_TRY(add_entry(s, handle, options->entries[i].key, options->entries[i].value, error));
    return GX_OK;
}

static gx_status add_weights(const gx_session *s, OrtSessionOptions *handle, const gx_shared_weights *weights, gx_error *error)
{
    const OrtApi *api = s->runtime->api;
    for (const gx_shared_weight *weight = weights->first; weight; weight = weight->next)
        GX_TRY(gx_ort_check(api, api->AddInitializer(handle, weight->name, weight->value), GX_ORT_SETTING_UP, s->name, error));
    return GX_OK;
}

/* `bytes` NULL: from the file called as the session. */
typedef struct model_source {
    const void *bytes;
    size_t nbytes;
    const char *folder;
} model_source;

static OrtStatus *create_handle(gx_session *s, const OrtSessionOptions *handle, const model_source *source, const gx_shared_weights *weights)
{
    const OrtApi *api = s->runtime->api;
    OrtEnv *env = s->runtime->env;
    if (weights)
        return source->bytes ? api->CreateSessionFromArrayWithPrepackedWeightsContainer(env, source->bytes, source->nbytes, handle, weights->packed, &s->handle)
                             : api->CreateSessionWithPrepackedWeightsContainer(env, s->name, handle, weights->packed, &s->handle);
    return source->bytes ? api->CreateSessionFromArray(env, source->bytes, source->nbytes, handle, &s->handle)
                         : api->CreateSession(env, s->name, handle, &s->handle);
}

static gx_status create(gx_session *s, const model_source *source, const gx_session_options *options, gx_error *error)
{
    const OrtApi *api = s->runtime->api;
    OrtSessionOptions *handle = NULL;
    GX_TRY(gx_ort_check(api, api->CreateSessionOptions(&handle), GX_ORT_SETTING_UP, s->name, error));
    gx_status status = apply_options(s, handle, options, source->folder, error);
    if (status == GX_OK && options->weights)
        status = add_weights(s, handle, options->weights, error);
    if (status == GX_OK)
        status = gx_ort_check(api, create_handle(s, handle, source, options->weights), GX_ORT_OPENING, s->name, error);
    api->ReleaseSessionOptions(handle);
    return status;
}

static gx_status open_source(gx_session **out, gx_runtime *runtime, const char *name, const model_source *source,
                             const gx_session_options *options, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_session *s = arena ? GX_NEW(arena, gx_session) : NULL;
    char *copy = s ? gx_arena_copy_string(arena, name) : NULL;
    if (!copy) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    s->runtime = runtime;
    s->arena = arena;
    s->name = copy;
    gx_status status = create(s, source, options, error);
    if (status == GX_OK)
        status = gx_session_introspect(s, error);
    if (status != GX_OK) {
        gx_session_close(s);
        return status;
    }
    *out = s;
    return GX_OK;
}

/* Opened here first, so that a missing or unreadable file is told as for any other file. */
gx_status gx_session_open(gx_session **out, gx_runtime *runtime, const char *path, const gx_session_options *options, gx_error *error)
{
    gx_file *file = NULL;
    GX_TRY(gx_file_open(&file, path, error));
    gx_file_close(file);
    return open_source(out, runtime, path, &(model_source){0}, options, error);
}

gx_status gx_session_open_bytes(gx_session **out, gx_runtime *runtime, const char *name, const void *bytes, size_t nbytes,
                                const char *folder, const gx_session_options *options, gx_error *error)
{
    if (nbytes == 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: an empty model", name);
    return open_source(out, runtime, name, &(model_source){bytes, nbytes, folder}, options, error);
}

void gx_session_close(gx_session *session)
{
    if (!session)
        return;
    if (session->handle)
        session->runtime->api->ReleaseSession(session->handle);
    gx_arena_free(session->arena);
}

const char *gx_session_name(const gx_session *session)
{
    return session->name;
}

gx_runtime *gx_session_runtime(const gx_session *session)
{
    return session->runtime;
}

gx_status gx_session_run(gx_session *session, const gx_session_run_io *io, gx_error *error)
{
    const OrtApi *api = session->runtime->api;
    OrtStatus *ran = api->Run(session->handle, NULL, io->input_names, (const OrtValue *const *)io->inputs, io->input_count,
                              io->output_names, io->output_count, io->outputs);
    return gx_ort_check(api, ran, GX_ORT_RUNNING, session->name, error);
}
