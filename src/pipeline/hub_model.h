/*
 * A MODEL that may be a Hub id: what it holds, whether it can be converted, and its way here. The straight line: open (nothing large is asked
 * for), look (the beginnings of its files), bring (all).
 */
#ifndef GX_PIPELINE_HUB_MODEL_H
#define GX_PIPELINE_HUB_MODEL_H

#include "base/arena.h"

typedef struct gx_hub_request {
    const char *model;             /* a path or an id */
    const gx_hub_options *options; /* NULL: all defaults */
    bool dry_run;                  /* a model that is not here is looked at, and stays there */
    gx_progress_callback progress; /* NULL: none */
    void *progress_context;
} gx_hub_request;

/* Where the model is on this machine: `request->model` itself when it exists, or is no id; else an id is brought here first. In the arena, or the
 * request's; NULL when a dry run leaves it where it is. */
gx_status gx_model_locate(const char **out, gx_arena *arena, const gx_hub_request *request, gx_error *error) GX_MUST_USE;

bool gx_model_is_on_hub(const char *model); /* an id, and no path that exists */

typedef struct gx_hub_model gx_hub_model;

/* Lists the files and says the plan. `request` must outlive the model. */
gx_status gx_hub_model_open(gx_hub_model **out, const gx_hub_request *request, gx_error *error) GX_MUST_USE;
void gx_hub_model_close(gx_hub_model *model); /* NULL allowed; what is unfinished is left for the next run */

/* Brings the beginnings. *path leads to a checkpoint with at least its headers, as long as the model is open. */
gx_status gx_hub_model_look(gx_hub_model *model, const char **path, gx_error *error) GX_MUST_USE;

/* Of a failure with the checkpoint there: the message names the repository instead of a place that will be gone. */
void gx_hub_model_name_errors(const gx_hub_model *model, gx_error *error);

/* Brings all, unless the beginnings show that it cannot be converted. *path stays, and is in the model's arena. */
gx_status gx_hub_model_bring(gx_hub_model *model, const char **path, gx_error *error) GX_MUST_USE;

uint64_t gx_hub_model_received_nbytes(const gx_hub_model *model); /* over the line, of files */

#endif
