/* A folder of links to the files of a download, finished or not, under their own names: what opens a checkpoint can look at it before all of
 * it is here. One process at a time has one of a repository. */
#ifndef GX_PIPELINE_HUB_VIEW_H
#define GX_PIPELINE_HUB_VIEW_H

#include "base/file.h"
#include "hub/download.h"

typedef struct gx_hub_view {
    const char *folder; /* in the arena, as the next; NULL: none */
    const char *lock_path;
    gx_lock *lock;
} gx_hub_view;

/* `own_folder`: gx_hub_own_folder. Waits for another process that looks at the same; that takes no time worth mentioning. */
gx_status gx_hub_view_open(gx_hub_view *out, gx_arena *arena, const char *own_folder, const gx_download *download, gx_error *error) GX_MUST_USE;
void gx_hub_view_close(gx_hub_view *view); /* removes it */

/* In a failure's message, what lies in the view lies in the repository, and what names no place is of it. `error` may be NULL. */
void gx_hub_view_name_repository(const gx_hub_view *view, const char *repository, gx_error *error);

#endif
