/* Links, and a look at what is behind them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "pipeline/hub_view.h"

/* Where the bytes are now: in a local folder what is there already may be an older file of that name. */
static const char *place_of_bytes(const gx_download_item *item)
{
    const gx_place *place = &item->place;
    return gx_path_exists(place->partial) ? place->partial : gx_path_exists(place->bytes) ? place->bytes : place->path;
}

static gx_status link_item(const gx_hub_view *view, gx_arena *arena, const gx_download_item *item, gx_error *error)
{
    const char *name = item->file->name, *slash = strrchr(name, '/');
    char *path = gx_path_join(arena, view->folder, name);
    char *folder = slash ? gx_arena_printf(arena, "%s/%.*s", view->folder, (int)(slash - name), name) : NULL;
    if (!path || (slash && !folder))
        return gx_fail_memory(error);
    if (folder)
        GX_TRY(gx_folder_create(folder, error));
    char *target = realpath(place_of_bytes(item), NULL); /* links lead from the view, the path from here */
    if (!target)
        return gx_fail(error, GX_ERROR_IO, "%s is gone", place_of_bytes(item));
    const gx_status status = gx_link_create(target, path, view->folder, error);
    free(target);
    return status;
}

static gx_status make_folder(const gx_hub_view *view, gx_arena *arena, const gx_download *download, gx_error *error)
{
    size_t count = 0;
    const gx_download_item *items = gx_download_items(download, &count);
    gx_path_remove(view->folder); /* of a process that was killed */
    GX_TRY(gx_folder_create(view->folder, error));
    for (size_t i = 0; i < count; i++)
        GX_TRY(link_item(view, arena, &items[i], error));
    return GX_OK;
}

gx_status gx_hub_view_open(gx_hub_view *out, gx_arena *arena, const char *own_folder, const gx_download *download, gx_error *error)
{
    gx_hub_view view = {.folder = gx_path_join(arena, own_folder, ".gemma-onnx.view"), .lock_path = gx_path_join(arena, own_folder, ".gemma-onnx.view.lock")};
    if (!view.folder || !view.lock_path)
        return gx_fail_memory(error);
    GX_TRY(gx_folder_create(own_folder, error));
    GX_TRY(gx_lock_wait(&view.lock, view.lock_path, error));
    const gx_status status = make_folder(&view, arena, download, error);
    if (status == GX_OK)
        *out = view;
    else
        gx_hub_view_close(&view);
    return status;
}

void gx_hub_view_close(gx_hub_view *view)
{
    if (!view->lock)
        return;
    gx_path_remove(view->folder);
    gx_path_remove(view->lock_path);
    gx_lock_release(view->lock);
    *view = (gx_hub_view){0};
}

void gx_hub_view_name_repository(const gx_hub_view *view, const char *repository, gx_error *error)
{
    char message[sizeof error->message];
    const size_t length = view->folder ? strlen(view->folder) : 0;
    size_t used = 0;
    if (!error || length == 0)
        return;
    for (const char *c = error->message; *c && used < sizeof message - 1;) {
        if (strncmp(c, view->folder, length) == 0) {
            const int n = snprintf(message + used, sizeof message - used, "%s", repository);
            used = used + (size_t)n < sizeof message ? used + (size_t)n : sizeof message - 1;
            c += length;
        } else {
            message[used++] = *c++;
        }
    }
    message[used] = 0;
    memcpy(error->message, message, used + 1);
    if (!strstr(message, repository))
        gx_error_note(error, "%s", repository);
}
