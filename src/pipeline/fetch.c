/* gx_fetch: a model from the Hub to a place on this machine, and nothing else. */
#include <stdlib.h>

#include "pipeline/clock.h"
#include "pipeline/document.h"
#include "pipeline/hub_model.h"

#define PROGRESS_SECONDS 1.0 /* between two lines of progress in JSON */

void gx_fetch_options_default(gx_fetch_options *options)
{
    *options = (gx_fetch_options){.size = sizeof *options};
}

typedef struct job {
    const gx_fetch_options *options;
    gx_error error; /* of a line that could not be sent */
    yyjson_mut_doc *plan; /* its files come one by one */
    size_t files_left;
    double shown;
} job;

/* ---- lines of JSON ---- */

static yyjson_mut_doc *new_line(const char *event)
{
    yyjson_mut_doc *doc = gx_document_new();
    if (doc)
        yyjson_mut_obj_add_str(doc, yyjson_mut_doc_get_root(doc), "event", event);
    return doc;
}

/* One object on one line; frees it. NULL: memory was out. */
static void send_line(job *j, yyjson_mut_doc *doc)
{
    size_t nbytes = 0;
    char *text = doc ? yyjson_mut_write(doc, 0, &nbytes) : NULL;
    gx_status status = text ? gx_text_send(j->options->text, j->options->text_context, text, nbytes, &j->error) : gx_fail_memory(&j->error);
    if (status == GX_OK)
        status = gx_text_send(j->options->text, j->options->text_context, "\n", 1, &j->error);
    free(text);
    yyjson_mut_doc_free(doc);
}

static void add_file(yyjson_mut_doc *doc, const gx_hub_event *event)
{
    yyjson_mut_val *files = yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "files");
    yyjson_mut_val *file = yyjson_mut_arr_add_obj(doc, files);
    yyjson_mut_obj_add_strcpy(doc, file, "name", event->name);
    yyjson_mut_obj_add_uint(doc, file, "bytes", event->nbytes);
    yyjson_mut_obj_add_uint(doc, file, "missing_bytes", event->missing_nbytes);
}

static yyjson_mut_doc *plan_line(const gx_hub_event *event)
{
    yyjson_mut_doc *doc = new_line("plan");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (doc) {
        yyjson_mut_obj_add_strcpy(doc, root, "id", event->name);
        yyjson_mut_obj_add_strcpy(doc, root, "commit", event->commit);
        yyjson_mut_obj_add_uint(doc, root, "bytes", event->nbytes);
        yyjson_mut_obj_add_uint(doc, root, "missing_bytes", event->missing_nbytes);
        yyjson_mut_obj_add_arr(doc, root, "files");
    }
    return doc;
}

static yyjson_mut_doc *simple_line(const gx_hub_event *event)
{
    yyjson_mut_doc *doc = new_line(event->kind == GX_HUB_NOTICE ? "notice" : "file");
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (doc && event->kind == GX_HUB_NOTICE)
        yyjson_mut_obj_add_strcpy(doc, root, "message", event->message);
    else if (doc) {
        yyjson_mut_obj_add_strcpy(doc, root, "name", event->name);
        yyjson_mut_obj_add_uint(doc, root, "bytes", event->nbytes);
    }
    return doc;
}

static void on_event(void *context, const gx_hub_event *event)
{
    job *j = context;
    if (event->kind == GX_HUB_PLAN) {
        j->plan = plan_line(event);
        j->files_left = event->files;
    } else if (event->kind == GX_HUB_FILE_PLANNED) {
        if (j->plan)
            add_file(j->plan, event);
        if (--j->files_left == 0) {
            send_line(j, j->plan);
            j->plan = NULL;
        }
    } else {
        send_line(j, simple_line(event));
    }
}

static bool on_progress(void *context, const gx_progress *progress)
{
    job *j = context;
    const double now = gx_clock_seconds();
    if (progress->total > 0 && now - j->shown >= PROGRESS_SECONDS) {
        yyjson_mut_doc *doc = new_line("progress");
        if (doc) {
            yyjson_mut_obj_add_uint(doc, yyjson_mut_doc_get_root(doc), "done_bytes", progress->done);
            yyjson_mut_obj_add_uint(doc, yyjson_mut_doc_get_root(doc), "total_bytes", progress->total);
        }
        send_line(j, doc);
        j->shown = now;
    }
    return j->error.status == GX_OK && (!j->options->progress || j->options->progress(j->options->progress_context, progress));
}

/* ---- the line ---- */

static gx_status say_path(job *j, const gx_hub_model *model, const char *path, gx_error *error)
{
    if (j->options->format == GX_FORMAT_JSON) {
        yyjson_mut_doc *doc = new_line("done");
        if (doc) {
            yyjson_mut_obj_add_strcpy(doc, yyjson_mut_doc_get_root(doc), "path", path);
            yyjson_mut_obj_add_uint(doc, yyjson_mut_doc_get_root(doc), "received_bytes", gx_hub_model_received_nbytes(model));
        }
        send_line(j, doc);
        return GX_OK;
    }
    gx_buffer text = {0};
    gx_buffer_printf(&text, "%s\n", path);
    return gx_text_finish(&text, j->options->text, j->options->text_context, error);
}

static gx_status fetch(job *j, const gx_hub_request *request, gx_error *error)
{
    gx_hub_model *model = NULL;
    const char *path = NULL;
    GX_TRY(gx_hub_model_open(&model, request, error));
    gx_status status = j->options->dry_run ? GX_OK : gx_hub_model_bring(model, &path, error);
    if (status == GX_OK && path)
        status = say_path(j, model, path, error);
    gx_hub_model_close(model);
    return status;
}

gx_status gx_fetch(const gx_fetch_options *options, gx_error *error)
{
    gx_hub_options hub;
    gx_error_clear(error);
    if (options->size != sizeof *options || !options->model)
        return gx_fail(error, GX_ERROR_ARGUMENT, "nothing to fetch: name a Hub id, org/name");
    gx_hub_options_default(&hub);
    if (options->hub)
        hub = *options->hub;
    job j = {.options = options};
    gx_hub_request request = {.model = options->model, .options = &hub, .progress = options->progress, .progress_context = options->progress_context};
    if (options->format == GX_FORMAT_JSON) {
        hub.event = on_event;
        hub.event_context = &j;
        request.progress = on_progress;
        request.progress_context = &j;
    }
    gx_status status = fetch(&j, &request, error);
    yyjson_mut_doc_free(j.plan);
    if (j.error.status != GX_OK) { /* which then cancelled the rest */
        gx_error_clear(error);
        status = gx_fail(error, j.error.status, "%s", j.error.message);
    }
    return status;
}
