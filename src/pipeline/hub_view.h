/* A folder of links to the files of a download, finished or not, under their own names: what opens a checkpoint can look at it before all of
 * it is here. */
#ifndef GX_PIPELINE_HUB_VIEW_H
#define GX_PIPELINE_HUB_VIEW_H

#include "hub/download.h"

typedef struct gx_hub_view {
    char folder[1024]; /* "": none */
} gx_hub_view;

gx_status gx_hub_view_open(gx_hub_view *out, gx_arena *arena, const gx_download *download, gx_error *error) GX_MUST_USE;
void gx_hub_view_close(gx_hub_view *view); /* removes it */

/* In a failure's message, what lies in the view lies in the repository, and what names no place is of it. `error` may be NULL. */
void gx_hub_view_name_repository(const gx_hub_view *view, const char *repository, gx_error *error);

#endif
