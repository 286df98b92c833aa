/* Asks the Hub what a revision holds; without it, the cache. */
#include <string.h>

#include "base/file.h"
#include "hub/hub.h"
#include "hub/refusal.h"
#include "hub/url.h"

#define JSON_LIMIT ((size_t)16 << 20)
#define TRIES 5u
#define WAIT_MILLISECONDS 100u
#define DISK_RESERVE (UINT64_C(64) << 20)

struct gx_hub {
    gx_arena *arena;
    gx_model_id id;
    const char *revision;
    gx_hub_settings settings;
    gx_storage storage;
    const gx_download_watch *watch;
    gx_transfers *transfers; /* NULL: offline */
    gx_hub_listing listing;
    gx_download *download;
};

static gx_status pick_revision(gx_hub *hub, const gx_hub_options *options, gx_error *error)
{
    const char *option = options ? options->revision : NULL;
    if (option && hub->id.revision && strcmp(option, hub->id.revision) != 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s@%s: the option says another revision, '%s'", hub->id.repository, hub->id.revision, option);
    hub->revision = option ? option : hub->id.revision ? hub->id.revision : "main";
    return gx_is_safe_revision(hub->revision) ? GX_OK : gx_fail(error, GX_ERROR_ARGUMENT, "'%s' is no name of a revision", hub->revision);
}

static gx_status open_hub(gx_hub *hub, const gx_hub_options *options, gx_error *error)
{
    if (options && options->size != sizeof *options)
        return gx_fail(error, GX_ERROR_ARGUMENT, "gx_hub_options: use gx_hub_options_default first");
    GX_TRY(pick_revision(hub, options, error));
    GX_TRY(gx_hub_settings_make(&hub->settings, hub->arena, options, error));
    GX_TRY(gx_storage_open(&hub->storage, hub->arena, &hub->settings, &hub->id, error));
    return hub->settings.offline ? GX_OK : gx_transfers_open(&hub->transfers, &hub->settings, error);
}

gx_status gx_hub_open(gx_hub **out, const gx_model_id *id, const gx_hub_options *options, const gx_download_watch *watch, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_hub *hub = arena ? GX_NEW(arena, gx_hub) : NULL;
    if (!hub) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    *hub = (gx_hub){.arena = arena, .id = *id, .watch = watch};
    const gx_status status = open_hub(hub, options, error);
    if (status == GX_OK)
        *out = hub;
    else
        gx_hub_close(hub);
    return status;
}

void gx_hub_close(gx_hub *hub)
{
    if (!hub)
        return;
    gx_download_close(hub->download);
    gx_transfers_close(hub->transfers);
    gx_arena_free(hub->arena);
}

/* ---- asking ---- */

static gx_status take_json(gx_transfer *transfer, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_buffer *json = transfer->context;
    if (nbytes > JSON_LIMIT - json->nbytes)
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the Hub's answer is longer than %zu MiB", transfer->what, JSON_LIMIT >> 20);
    gx_buffer_append(json, bytes, nbytes);
    return gx_buffer_check(json, error);
}

/* A try anew starts with an empty buffer: what came before it may be half an answer. */
static gx_status begin_json(gx_transfer *transfer, const gx_response *response, gx_error *error)
{
    (void)response;
    (void)error;
    gx_buffer_clear(transfer->context);
    return GX_OK;
}

static gx_status wait_for(const gx_hub *hub, gx_transfer *transfer, gx_error *error)
{
    const gx_progress nothing_yet = {.phase = "fetch", .in_bytes = true};
    while (gx_transfers_wait(hub->transfers, WAIT_MILLISECONDS) != transfer) {
        if (hub->watch->progress && !hub->watch->progress(hub->watch->progress_context, &nothing_yet)) {
            gx_transfers_stop(hub->transfers, transfer);
            return gx_fail(error, GX_ERROR_CANCELLED, "cancelled");
        }
    }
    return GX_OK;
}

static gx_status ask(gx_hub *hub, gx_transfer *transfer, gx_buffer *json, gx_error *error)
{
    gx_buffer url = {0};
    gx_buffer_printf(&url, "%s/api/models/%s/revision/", hub->settings.endpoint, hub->id.repository);
    gx_url_append(&url, hub->revision, false);
    gx_buffer_append_text(&url, "?blobs=true");
    gx_status status = gx_buffer_check(&url, error);
    *transfer = (gx_transfer){.url = gx_buffer_text(&url), .what = hub->id.repository, .tries = TRIES, .context = json, .on_response = begin_json, .on_bytes = take_json};
    if (status == GX_OK)
        status = gx_transfers_start(hub->transfers, transfer, error);
    if (status == GX_OK)
        status = wait_for(hub, transfer, error);
    gx_buffer_deinit(&url);
    return status;
}

/* ---- the cache instead ---- */

static gx_status list_cached(gx_hub *hub, bool *found, gx_error *error)
{
    const char *commit = NULL;
    *found = false;
    if (hub->settings.local_dir)
        commit = "";
    else
        GX_TRY(gx_storage_known_commit(&hub->storage, &commit, hub->revision, error));
    const char *folder = commit ? gx_storage_folder(&hub->storage, commit) : NULL;
    if (!folder || !gx_path_is_folder(folder))
        return GX_OK;
    GX_TRY(gx_hub_listing_scan(&hub->listing, hub->arena, folder, commit, error));
    *found = hub->listing.count > 0;
    return GX_OK;
}

static gx_status not_cached(const gx_hub *hub, const char *reason, gx_error *error)
{
    return gx_fail(error, GX_ERROR_NETWORK, "%s@%s: %s, and it is not in %s", hub->id.repository, hub->revision, reason,
                   hub->settings.local_dir ? hub->settings.local_dir : hub->settings.cache_dir);
}

static void tell(const gx_hub *hub, const char *message)
{
    const gx_hub_event event = {.kind = GX_HUB_NOTICE, .message = message};
    if (hub->watch->event)
        hub->watch->event(hub->watch->event_context, &event);
}

/* The Hub has not answered, or refused. That it knows of no such model or revision is an answer. */
static gx_status list_after_failure(gx_hub *hub, const gx_transfer *transfer, bool *cached, gx_error *error)
{
    gx_error reason = {0};
    if (gx_hub_refusal(&hub->settings, &hub->id, transfer, &reason) == GX_OK)
        gx_fail(&reason, transfer->status, "%s%s", transfer->error.message, transfer->unreachable ? " (is there a network?)" : "");
    if (transfer->http_status != 404)
        GX_TRY(list_cached(hub, cached, error));
    if (!*cached)
        return gx_fail(error, reason.status, "%s", reason.message);
    const char *message = gx_arena_printf(hub->arena, "%s; going on with what the cache has, commit %.12s", reason.message, hub->listing.commit);
    if (!message)
        return gx_fail_memory(error);
    tell(hub, message);
    return GX_OK;
}

gx_status gx_hub_list(gx_hub *hub, gx_hub_listing **out, bool *cached, gx_error *error)
{
    gx_transfer transfer;
    gx_buffer json = {0};
    gx_status status;
    *cached = false;
    *out = &hub->listing;
    if (hub->settings.offline) {
        GX_TRY(list_cached(hub, cached, error));
        return *cached ? GX_OK : not_cached(hub, "offline (HF_HUB_OFFLINE or --offline)", error);
    }
    status = ask(hub, &transfer, &json, error);
    if (status == GX_OK && transfer.status == GX_ERROR_MEMORY)
        status = gx_fail_memory(error);
    else if (status == GX_OK && transfer.status != GX_OK)
        status = list_after_failure(hub, &transfer, cached, error);
    else if (status == GX_OK)
        status = gx_hub_listing_parse(&hub->listing, hub->arena, (const char *)json.data, json.nbytes, hub->id.repository, error);
    if (status == GX_OK && !*cached && gx_is_commit(hub->revision) && strcmp(hub->revision, hub->listing.commit) != 0)
        status = gx_fail(error, GX_ERROR_NETWORK, "%s: asked for commit %s, the Hub answers with %s", hub->id.repository, hub->revision, hub->listing.commit);
    gx_buffer_deinit(&json);
    return status;
}

gx_status gx_hub_note_commit(const gx_hub *hub, gx_error *error)
{
    return gx_storage_note_commit(&hub->storage, hub->revision, hub->listing.commit, error);
}

const char *gx_hub_folder(const gx_hub *hub)
{
    return gx_storage_folder(&hub->storage, hub->listing.commit);
}

const char *gx_hub_own_folder(const gx_hub *hub)
{
    return hub->storage.own;
}

/* ---- bringing ---- */

gx_status gx_hub_download(gx_hub *hub, gx_download **out, gx_error *error)
{
    GX_TRY(gx_download_open(&hub->download, &hub->storage, hub->transfers, &hub->id, &hub->listing, hub->watch, error));
    *out = hub->download;
    return GX_OK;
}

/* The nearest folder that exists: the cache's own may have to be made. */
static gx_status free_nbytes(const char *path, uint64_t *out, gx_error *error)
{
    char folder[4096];
    const size_t length = strlen(path);
    if (length >= sizeof folder)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: the path is too long", path);
    memcpy(folder, path, length + 1);
    for (char *slash; !gx_path_is_folder(folder) && (slash = strrchr(folder, '/'));)
        slash[slash == folder] = 0; /* "/x" is in "/" */
    return gx_disk_free_nbytes(gx_path_is_folder(folder) ? folder : ".", out, error);
}

gx_status gx_hub_check_disk(const gx_hub *hub, gx_error *error)
{
    const char *folder = hub->settings.local_dir ? hub->settings.local_dir : hub->settings.cache_dir;
    const uint64_t missing = gx_download_disk_nbytes(hub->download);
    uint64_t available = 0;
    if (missing == 0)
        return GX_OK;
    GX_TRY(free_nbytes(folder, &available, error));
    if (available < missing + DISK_RESERVE)
        return gx_fail(error, GX_ERROR_IO, "%s: %.1f MB are to be fetched, and %.0f MB shall stay free; %.1f MB are; name another place with --cache-dir or HF_HUB_CACHE",
                       folder, (double)missing / 1e6, (double)DISK_RESERVE / 1e6, (double)available / 1e6);
    return GX_OK;
}
