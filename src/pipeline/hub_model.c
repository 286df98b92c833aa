/* Over the Hub's client: which files, in which order, and what is said on the way. */
#include <string.h>

#include "base/file.h"
#include "hub/hub.h"
#include "model/model.h"
#include "pipeline/hub_model.h"
#include "pipeline/hub_selection.h"
#include "pipeline/hub_view.h"

#define SAFETENSORS_HEADER_LIMIT (UINT64_C(100) << 20) /* the format's own */

struct gx_hub_model {
    gx_arena *arena;
    gx_model_id id;
    gx_download_watch watch;
    gx_hub *hub;
    gx_hub_listing *listing;
    gx_download *download; /* NULL: all of it is here, and the Hub was not asked */
    gx_hub_view view;
    const char *model_file; /* NULL: the folder is the model */
};

/* ---- opening ---- */

static void say_plan(const gx_hub_model *m)
{
    size_t count = 0;
    const gx_download_item *items = m->download ? gx_download_items(m->download, &count) : NULL;
    gx_hub_event plan = {.kind = GX_HUB_PLAN, .name = m->id.repository, .commit = m->listing->commit, .files = count};
    if (!m->watch.event || !m->download)
        return;
    for (size_t i = 0; i < count; i++) {
        plan.nbytes += items[i].file->nbytes;
        plan.missing_nbytes += items[i].missing;
    }
    m->watch.event(m->watch.event_context, &plan);
    for (size_t i = 0; i < count; i++) {
        const gx_hub_event file = {.kind = GX_HUB_FILE_PLANNED, .name = items[i].file->name, .nbytes = items[i].file->nbytes, .missing_nbytes = items[i].missing};
        m->watch.event(m->watch.event_context, &file);
    }
}

static gx_status open_model(gx_hub_model *m, const gx_hub_request *request, gx_error *error)
{
    bool cached = false;
    if (!gx_model_id_parse(&m->id, m->arena, request->model))
        return gx_fail(error, GX_ERROR_ARGUMENT, "'%s' is neither a path nor a Hub id (org/name, org/name@revision, org/name:file.gguf)", request->model);
    GX_TRY(gx_hub_open(&m->hub, &m->id, request->options, &m->watch, error));
    GX_TRY(gx_hub_list(m->hub, &m->listing, &cached, error));
    gx_error reason = {0};
    const gx_status status = gx_hub_select(m->listing, &m->id, &m->model_file, &reason);
    if (cached && (status == GX_ERROR_UNSUPPORTED || (status == GX_OK && !gx_hub_selection_is_whole(m->listing))))
        return gx_fail(error, GX_ERROR_NETWORK, "%s: only a part of it is in %s, and the Hub cannot be asked", m->id.repository, gx_hub_folder(m->hub));
    if (status != GX_OK)
        return gx_fail(error, status, "%s", reason.message);
    if (!cached)
        GX_TRY(gx_hub_download(m->hub, &m->download, error));
    say_plan(m);
    return GX_OK;
}

gx_status gx_hub_model_open(gx_hub_model **out, const gx_hub_request *request, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_hub_model *m = arena ? GX_NEW(arena, gx_hub_model) : NULL;
    if (!m) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    m->arena = arena;
    m->watch = (gx_download_watch){.event = request->options ? request->options->event : NULL,
                                   .event_context = request->options ? request->options->event_context : NULL,
                                   .progress = request->progress,
                                   .progress_context = request->progress_context};
    const gx_status status = open_model(m, request, error);
    if (status == GX_OK)
        *out = m;
    else
        gx_hub_model_close(m);
    return status;
}

void gx_hub_model_close(gx_hub_model *model)
{
    if (!model)
        return;
    gx_hub_view_close(&model->view);
    gx_hub_close(model->hub);
    gx_arena_free(model->arena);
}

uint64_t gx_hub_model_received_nbytes(const gx_hub_model *model)
{
    return model->download ? gx_download_received_nbytes(model->download) : 0;
}

static bool is_here(const gx_hub_model *m)
{
    return !m->download || gx_download_is_done(m->download);
}

/* ---- looking ---- */

static gx_status path_in(gx_hub_model *m, const char *folder, const char **path, gx_error *error)
{
    *path = !folder ? NULL : m->model_file ? gx_path_join(m->arena, folder, m->model_file) : folder;
    return *path ? GX_OK : gx_fail_memory(error);
}

/* A safetensors file begins with the length of its header. */
static gx_status read_header_length(uint64_t *out, const char *path, gx_error *error)
{
    uint8_t bytes[8];
    gx_file *file = NULL;
    GX_TRY(gx_file_open(&file, path, error));
    gx_status status = gx_file_nbytes(file) < sizeof bytes ? GX_OK : gx_file_read(file, 0, bytes, sizeof bytes, error);
    *out = 0;
    for (int i = 7; status == GX_OK && gx_file_nbytes(file) >= sizeof bytes && i >= 0; i--)
        *out = *out << 8 | bytes[i];
    gx_file_close(file);
    return status;
}

/* What was brought may not hold the whole header: then more is wanted. */
static gx_status want_whole_headers(const gx_hub_model *m, bool *more, gx_error *error)
{
    *more = false;
    for (size_t i = 0; i < m->listing->count; i++) {
        gx_hub_file *file = &m->listing->files[i];
        uint64_t length = 0;
        if (!file->wanted || !gx_hub_is_safetensors(file))
            continue;
        const char *path = gx_path_join(m->arena, m->view.folder, file->name);
        if (!path)
            return gx_fail_memory(error);
        GX_TRY(read_header_length(&length, path, error));
        if (length > SAFETENSORS_HEADER_LIMIT || length + 8 > file->nbytes || length + 8 <= file->head_nbytes)
            continue;
        file->head_nbytes = length + 8;
        *more = true;
    }
    return GX_OK;
}

gx_status gx_hub_model_look(gx_hub_model *m, const char **path, gx_error *error)
{
    bool more = false;
    if (is_here(m))
        return gx_hub_model_bring(m, path, error);
    GX_TRY(gx_download_run(m->download, GX_DOWNLOAD_HEADS, error));
    GX_TRY(gx_hub_view_open(&m->view, m->arena, gx_hub_own_folder(m->hub), m->download, error));
    GX_TRY(want_whole_headers(m, &more, error));
    if (more) {
        gx_hub_view_close(&m->view);
        GX_TRY(gx_download_run(m->download, GX_DOWNLOAD_HEADS, error));
        GX_TRY(gx_hub_view_open(&m->view, m->arena, gx_hub_own_folder(m->hub), m->download, error));
    }
    return path_in(m, m->view.folder, path, error);
}

void gx_hub_model_name_errors(const gx_hub_model *m, gx_error *error)
{
    gx_hub_view_name_repository(&m->view, m->id.repository, error);
}

static gx_status judge_headers(const char *path, bool is_gguf, gx_error *error)
{
    gx_checkpoint *checkpoint = NULL;
    gx_model *model = NULL;
    gx_status status = gx_checkpoint_open_headers(&checkpoint, path, error);
    if (is_gguf && status == GX_ERROR_FORMAT) { /* perhaps the header goes on beyond what is here: the whole file will tell */
        gx_error_clear(error);
        return GX_OK;
    }
    if (status == GX_OK)
        status = gx_model_open(&model, checkpoint, error);
    gx_model_close(model);
    gx_checkpoint_close(checkpoint);
    return status;
}

static gx_status look_once_and_judge(gx_hub_model *m, gx_error *error)
{
    const char *path = NULL;
    gx_status status = gx_hub_model_look(m, &path, error);
    if (status == GX_OK)
        status = judge_headers(path, m->model_file != NULL, error);
    if (status != GX_OK)
        gx_hub_model_name_errors(m, error);
    gx_hub_view_close(&m->view);
    return status;
}

/* The bytes behind a refusal, which no hash vouches for yet, come once more: a line or a disk may have changed them. */
static gx_status look_and_judge(gx_hub_model *m, gx_error *error)
{
    gx_error first = {0};
    const gx_status status = look_once_and_judge(m, &first);
    if ((status == GX_ERROR_FORMAT || status == GX_ERROR_UNSUPPORTED) && gx_download_forget(m->download))
        return look_once_and_judge(m, error);
    return status == GX_OK ? GX_OK : gx_fail(error, status, "%s", first.message);
}

/* ---- bringing ---- */

gx_status gx_hub_model_bring(gx_hub_model *m, const char **path, gx_error *error)
{
    if (!is_here(m)) {
        GX_TRY(gx_hub_check_disk(m->hub, error));
        GX_TRY(look_and_judge(m, error));
    }
    if (m->download)
        GX_TRY(gx_download_run(m->download, GX_DOWNLOAD_ALL, error));
    if (m->download)
        GX_TRY(gx_hub_note_commit(m->hub, error));
    return path_in(m, gx_hub_folder(m->hub), path, error);
}

/* ---- a path or an id ---- */

bool gx_model_is_on_hub(const char *model)
{
    gx_model_id id;
    gx_arena *arena = gx_path_exists(model) ? NULL : gx_arena_new();
    const bool is_id = arena && gx_model_id_parse(&id, arena, model);
    gx_arena_free(arena);
    return is_id;
}

static gx_status bring_or_look(gx_hub_model *m, bool dry_run, const char **path, gx_error *error)
{
    static const gx_hub_event notice = {.kind = GX_HUB_NOTICE, .message = "it can be converted; the plan of the conversion needs its files, which are not here yet (gemma-onnx fetch)"};
    if (!dry_run || is_here(m))
        return gx_hub_model_bring(m, path, error);
    GX_TRY(look_and_judge(m, error));
    if (m->watch.event)
        m->watch.event(m->watch.event_context, &notice);
    return GX_OK;
}

gx_status gx_model_locate(const char **out, gx_arena *arena, const gx_hub_request *request, gx_error *error)
{
    gx_hub_model *model = NULL;
    const char *path = NULL;
    *out = request->model;
    if (!gx_model_is_on_hub(request->model))
        return GX_OK;
    GX_TRY(gx_hub_model_open(&model, request, error));
    gx_status status = bring_or_look(model, request->dry_run, &path, error);
    if (status == GX_OK) {
        *out = path ? gx_arena_copy_string(arena, path) : NULL;
        status = !path || *out ? GX_OK : gx_fail_memory(error);
    }
    gx_hub_model_close(model);
    return status;
}
