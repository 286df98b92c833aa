/* Which piece is asked for next, and what becomes of a file whose pieces are all here. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "hub/download.h"
#include "hub/hasher.h"
#include "hub/partial.h"
#include "hub/refusal.h"
#include "hub/url.h"

#define TRIES 8u               /* half a minute in all */
#define WAIT_MILLISECONDS 100u /* between two looks at locks, hashes and the user */
#define IDLE_MILLISECONDS 5u   /* when nothing is on the line and a hash is all that is missing */
#define MAX_WRONG 2u           /* times that a file may come with a wrong hash */

typedef struct item {
    gx_download_item public;
    const struct item *twin; /* an earlier one with the same bytes in the same place; NULL: none */
    char *url, *what;
    gx_lock *lock;
    gx_partial *partial;
    gx_location location;
    unsigned running;  /* transfers */
    bool scouted;      /* an answer has come: the address is known, and whether it gives ranges */
    bool reserved;     /* disk space */
    bool done;
    unsigned wrong;
} item;

typedef struct slot {
    gx_transfer transfer;
    gx_download *download;
    item *item; /* NULL: free */
    size_t piece;
} slot;

struct gx_download {
    gx_arena *arena;
    const gx_storage *storage;
    gx_transfers *transfers;
    const gx_model_id *id;
    const gx_hub_listing *listing;
    const gx_download_watch *watch;
    item *items;
    gx_download_item *shown; /* a copy, for who asks */
    size_t count;
    slot *slots;
    unsigned slot_count;
    gx_hasher *hasher;
    gx_download_part part;
    bool waiting; /* for another process, and has said so */
    uint64_t received;
};

static void tell(const gx_download *d, gx_hub_event_kind kind, const char *name, uint64_t nbytes, const char *message)
{
    const gx_hub_event event = {.kind = kind, .name = name, .nbytes = nbytes, .message = message};
    if (d->watch->event)
        d->watch->event(d->watch->event_context, &event);
}

/* ---- opening ---- */

static char *file_url(gx_arena *arena, const gx_download *d, const gx_hub_file *file, gx_error *error)
{
    gx_buffer url = {0};
    gx_buffer_printf(&url, "%s/%s/resolve/%s/", d->storage->settings->endpoint, d->id->repository, d->listing->commit);
    gx_url_append(&url, file->name, true);
    char *text = gx_buffer_check(&url, error) == GX_OK ? gx_arena_copy_string(arena, gx_buffer_text(&url)) : NULL;
    gx_buffer_deinit(&url);
    if (!text)
        gx_fail_memory(error);
    return text;
}

/* A cache keeps equal files once, under one lock. */
static gx_status find_twin(const gx_download *d, item *i, gx_error *error)
{
    const item *earlier = d->items;
    while (earlier < i && strcmp(earlier->public.place.bytes, i->public.place.bytes) != 0)
        earlier++;
    if (earlier == i)
        return GX_OK;
    if (earlier->public.file->nbytes != i->public.file->nbytes)
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the listing gives '%s' and '%s' one hash and two sizes", d->id->repository, earlier->public.file->name, i->public.file->name);
    i->twin = earlier; /* not itself a twin: of several the first is found */
    return GX_OK;
}

static gx_status open_item(gx_download *d, item *i, const gx_hub_file *file, gx_error *error)
{
    bool there = false;
    uint64_t done = 0;
    *i = (item){.public = {.file = file}};
    i->what = gx_arena_printf(d->arena, "%s: %s", d->id->repository, file->name);
    i->url = file_url(d->arena, d, file, error);
    if (!i->what || !i->url)
        return gx_fail_memory(error);
    GX_TRY(gx_storage_place(d->storage, &i->public.place, d->listing->commit, file, error));
    GX_TRY(gx_storage_has(&i->public.place, file, &there, error));
    i->done = i->public.here = there;
    GX_TRY(find_twin(d, i, error));
    if (there || i->twin)
        return GX_OK;
    GX_TRY(gx_partial_peek(&done, &i->public.place, file->nbytes, error));
    i->public.missing = file->nbytes - done;
    return GX_OK;
}

static gx_status open_items(gx_download *d, gx_error *error)
{
    const unsigned connections = d->storage->settings->connections;
    d->items = GX_NEW_ARRAY(d->arena, item, d->listing->count);
    d->shown = GX_NEW_ARRAY(d->arena, gx_download_item, d->listing->count);
    d->slots = GX_NEW_ARRAY(d->arena, slot, connections);
    if (!d->items || !d->shown || !d->slots)
        return gx_fail_memory(error);
    d->slot_count = connections;
    /* First those that are looked at as a whole. */
    for (unsigned later = 0; later < 2; later++)
        for (size_t f = 0; f < d->listing->count; f++)
            if (d->listing->files[f].wanted && (d->listing->files[f].head_nbytes < d->listing->files[f].nbytes) == (later == 1))
                GX_TRY(open_item(d, &d->items[d->count++], &d->listing->files[f], error));
    for (size_t n = 0; n < d->count; n++)
        d->shown[n] = d->items[n].public;
    return gx_hasher_open(&d->hasher, d->count, error);
}

gx_status gx_download_open(gx_download **out, const gx_storage *storage, gx_transfers *transfers, const gx_model_id *id,
                           const gx_hub_listing *listing, const gx_download_watch *watch, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_download *d = arena ? GX_NEW(arena, gx_download) : NULL;
    if (!d) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    *d = (gx_download){.arena = arena, .storage = storage, .transfers = transfers, .id = id, .listing = listing, .watch = watch};
    const gx_status status = open_items(d, error);
    if (status == GX_OK)
        *out = d;
    else
        gx_download_close(d);
    return status;
}

const gx_download_item *gx_download_items(const gx_download *d, size_t *count)
{
    *count = d->count;
    return d->shown;
}

bool gx_download_is_done(const gx_download *d)
{
    for (size_t n = 0; n < d->count; n++)
        if (!d->items[n].done)
            return false;
    return true;
}

/* A partial file may have its space reserved already. */
uint64_t gx_download_disk_nbytes(const gx_download *d)
{
    uint64_t sum = 0;
    for (size_t n = 0; n < d->count; n++) {
        gx_path_info partial = {0};
        const uint64_t nbytes = d->items[n].public.file->nbytes;
        if (d->items[n].twin)
            continue;
        if (!d->items[n].done && gx_path_stat(d->items[n].public.place.partial, &partial))
            sum += partial.allocated_nbytes < nbytes ? nbytes - partial.allocated_nbytes : 0;
        else if (!d->items[n].done)
            sum += nbytes;
    }
    return sum;
}

uint64_t gx_download_received_nbytes(const gx_download *d)
{
    return d->received;
}

/* ---- transfers ---- */

static size_t index_of(const gx_download *d, const item *i)
{
    return (size_t)(i - d->items);
}

/* A server that answers a range with the whole file: then that is how it comes, in one transfer. */
static gx_status on_response(gx_transfer *transfer, const gx_response *response, gx_error *error)
{
    slot *s = transfer->context;
    item *i = s->item;
    const uint64_t nbytes = i->public.file->nbytes;
    if (response->status == 200 && response->has_length && response->length != nbytes)
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the server sends %llu bytes; the listing says %llu", transfer->what,
                       (unsigned long long)response->length, (unsigned long long)nbytes);
    if (response->status == 200) {
        if (i->running > 1)
            return gx_fail(error, GX_ERROR_NETWORK, "%s: the server does not give a part of the file", transfer->what);
        if (gx_partial_piece_count(i->partial) > 1)
            GX_TRY(gx_partial_join(i->partial, error));
        s->piece = 0;
        gx_partial_piece(i->partial, 0, &transfer->begin, &transfer->end);
    }
    i->scouted = true;
    return GX_OK;
}

static gx_status on_bytes(gx_transfer *transfer, const void *bytes, size_t nbytes, gx_error *error)
{
    slot *s = transfer->context;
    GX_TRY(gx_partial_write(s->item->partial, s->piece, bytes, nbytes, error));
    transfer->begin += nbytes;
    s->download->received += nbytes;
    gx_hasher_advance(s->download->hasher, index_of(s->download, s->item), gx_partial_contiguous(s->item->partial));
    return GX_OK;
}

/* What is missing of a piece in this part of the download. */
static void wanted_of_piece(const gx_download *d, const item *i, size_t piece, uint64_t *begin, uint64_t *end)
{
    const uint64_t head = i->public.file->head_nbytes;
    gx_partial_piece(i->partial, piece, begin, end);
    if (d->part == GX_DOWNLOAD_HEADS && *end > head)
        *end = *begin < head ? head : *begin;
}

static gx_status start_piece(gx_download *d, slot *s, item *i, size_t piece, gx_error *error)
{
    s->download = d;
    s->item = i;
    s->piece = piece;
    s->transfer = (gx_transfer){.url = i->url,
                                .what = i->what,
                                .total = i->public.file->nbytes,
                                .tries = TRIES,
                                .location = &i->location,
                                .context = s,
                                .on_response = on_response,
                                .on_bytes = on_bytes};
    wanted_of_piece(d, i, piece, &s->transfer.begin, &s->transfer.end);
    const gx_status status = gx_transfers_start(d->transfers, &s->transfer, error);
    if (status == GX_OK)
        i->running++;
    else
        s->item = NULL;
    return status;
}

static gx_status end_piece(gx_download *d, slot *s, gx_error *error)
{
    item *i = s->item;
    s->item = NULL;
    i->running--;
    if (s->transfer.status == GX_OK)
        return GX_OK;
    GX_TRY(gx_hub_refusal(d->storage->settings, d->id, &s->transfer, error));
    return gx_fail(error, s->transfer.status, "%s", s->transfer.error.message);
}

/* ---- files ---- */

/* The lock is had; another process may have brought the file meanwhile. */
static gx_status begin_item(gx_download *d, item *i, gx_error *error)
{
    gx_download_item *p = &i->public;
    GX_TRY(gx_storage_has(&p->place, p->file, &i->done, error));
    if (i->done)
        return GX_OK;
    GX_TRY(gx_partial_open(&i->partial, &p->place, p->file->nbytes, error));
    gx_hasher_begin(d->hasher, index_of(d, i), p->place.partial, p->file);
    gx_hasher_advance(d->hasher, index_of(d, i), gx_partial_contiguous(i->partial));
    return GX_OK;
}

/* *ready stays false while another process has the lock. */
static gx_status prepare_item(gx_download *d, item *i, bool *ready, gx_error *error)
{
    const gx_place *place = &i->public.place;
    if (!i->lock) {
        GX_TRY(gx_storage_prepare(d->storage, place, error));
        GX_TRY(gx_lock_try(&i->lock, place->lock, error));
        if (!i->lock && !d->waiting)
            tell(d, GX_HUB_NOTICE, NULL, 0, "another process is bringing the same files: waiting for it");
        d->waiting = !i->lock;
        if (!i->lock)
            return GX_OK;
    }
    *ready = true;
    if (!i->partial && !i->done)
        GX_TRY(begin_item(d, i, error));
    if (i->partial && d->part == GX_DOWNLOAD_ALL && !i->reserved)
        GX_TRY(gx_partial_reserve(i->partial, error));
    i->reserved = d->part == GX_DOWNLOAD_ALL;
    return GX_OK;
}

static void release_item(item *i)
{
    gx_lock_release(i->lock);
    gx_location_clear(&i->location);
    i->lock = NULL;
}

static gx_status finish_item(gx_download *d, item *i, gx_error *error)
{
    gx_partial *partial = i->partial;
    i->partial = NULL;
    if (partial)
        GX_TRY(gx_partial_commit(partial, error));
    GX_TRY(gx_storage_settle(d->storage, &i->public.place, d->listing->commit, i->public.file, error));
    i->done = true;
    if (partial)
        tell(d, GX_HUB_FILE_DONE, i->public.file->name, i->public.file->nbytes, NULL);
    release_item(i);
    return GX_OK;
}

static void forget_bytes(gx_download *d, item *i)
{
    gx_hasher_forget(d->hasher, index_of(d, i));
    gx_partial_discard(i->partial);
    i->partial = NULL;
    i->scouted = i->reserved = false;
    gx_location_clear(&i->location);
}

bool gx_download_forget(gx_download *d)
{
    bool any = false;
    for (size_t n = 0; n < d->count; n++) {
        if (!d->items[n].partial)
            continue;
        forget_bytes(d, &d->items[n]);
        any = true;
    }
    return any;
}

/* What came is not what the Hub says it is. Once that may be an accident on the way. */
static gx_status refuse_bytes(gx_download *d, item *i, gx_error *error)
{
    forget_bytes(d, i);
    if (++i->wrong == MAX_WRONG)
        return gx_fail(error, GX_ERROR_NETWORK, "%s: came twice with other bytes than the Hub names (%s); something on the way changes them", i->what,
                       i->public.file->etag);
    tell(d, GX_HUB_NOTICE, NULL, 0, "a file came with a wrong hash: bringing it again");
    return GX_OK;
}

static gx_status judge_item(gx_download *d, item *i, gx_error *error)
{
    if (i->running) /* what came last may still be on its way into the answer's end */
        return GX_OK;
    if (i->done || !i->partial)
        return i->done && i->lock ? finish_item(d, i, error) : GX_OK;
    switch (gx_hasher_state(d->hasher, index_of(d, i), error)) {
    case GX_HASHING: return GX_OK;
    case GX_HASH_RIGHT: return finish_item(d, i, error);
    case GX_HASH_WRONG: return refuse_bytes(d, i, error);
    case GX_HASH_FAILED: break;
    }
    return error ? error->status : GX_ERROR_IO;
}

/* ---- what is next ---- */

static bool runs(const gx_download *d, const item *i, size_t piece)
{
    for (unsigned n = 0; n < d->slot_count; n++)
        if (d->slots[n].item == i && d->slots[n].piece == piece)
            return true;
    return false;
}

static bool is_here(const gx_download *d, const item *i)
{
    if (i->done)
        return true;
    if (!i->partial || d->part == GX_DOWNLOAD_ALL || i->public.file->head_nbytes == i->public.file->nbytes)
        return false;
    for (size_t piece = 0; piece < gx_partial_piece_count(i->partial); piece++) {
        uint64_t begin, end;
        wanted_of_piece(d, i, piece, &begin, &end);
        if (begin < end)
            return false;
    }
    return true;
}

/* The first transfer of a file goes alone: it finds the address, and whether ranges are given. */
static gx_status start_pieces(gx_download *d, item *i, gx_error *error)
{
    for (size_t piece = 0; i->partial && piece < gx_partial_piece_count(i->partial); piece++) {
        slot *free_slot = NULL;
        uint64_t begin, end;
        for (unsigned n = 0; n < d->slot_count && !free_slot; n++)
            if (!d->slots[n].item)
                free_slot = &d->slots[n];
        if (!free_slot || (!i->scouted && i->running))
            break;
        wanted_of_piece(d, i, piece, &begin, &end);
        if (begin < end && !runs(d, i, piece))
            GX_TRY(start_piece(d, free_slot, i, piece, error));
    }
    return GX_OK;
}

static gx_status follow_twin(gx_download *d, item *i, gx_error *error)
{
    if (i->done || !i->twin->done)
        return GX_OK;
    i->done = true;
    GX_TRY(gx_storage_settle(d->storage, &i->public.place, d->listing->commit, i->public.file, error));
    tell(d, GX_HUB_FILE_DONE, i->public.file->name, i->public.file->nbytes, NULL);
    return GX_OK;
}

/* In order: whoever has the lock of a file has, or had, those of all before it, so that two processes never wait for each other. */
static gx_status look_at_items(gx_download *d, bool *all_here, gx_error *error)
{
    *all_here = true;
    for (size_t n = 0; n < d->count; n++) {
        item *i = &d->items[n];
        bool ready = false;
        if (i->twin)
            GX_TRY(follow_twin(d, i, error));
        if (i->twin)
            *all_here = *all_here && (i->done || is_here(d, i->twin));
        if (i->twin || (i->done && !i->lock))
            continue;
        GX_TRY(prepare_item(d, i, &ready, error));
        if (ready) {
            GX_TRY(judge_item(d, i, error));
            GX_TRY(start_pieces(d, i, error));
        }
        *all_here = *all_here && is_here(d, i) && !i->running;
        if (!ready)
            break;
    }
    return GX_OK;
}

static uint64_t nbytes_here(const item *i)
{
    return i->done ? i->public.file->nbytes : i->partial ? gx_partial_done(i->partial) : 0;
}

static gx_status show_progress(const gx_download *d, gx_error *error)
{
    gx_progress progress = {.phase = "fetch", .in_bytes = true};
    for (size_t n = 0; n < d->count; n++) {
        progress.done += nbytes_here(&d->items[n]);
        progress.total += d->items[n].public.file->nbytes;
    }
    if (d->watch->progress && !d->watch->progress(d->watch->progress_context, &progress))
        return gx_fail(error, GX_ERROR_CANCELLED, "cancelled; what has come is kept: run it again to go on");
    return GX_OK;
}

static slot *slot_of(gx_download *d, const gx_transfer *transfer)
{
    for (unsigned n = 0; n < d->slot_count; n++)
        if (&d->slots[n].transfer == transfer)
            return &d->slots[n];
    return NULL;
}

static bool any_running(const gx_download *d)
{
    for (unsigned n = 0; n < d->slot_count; n++)
        if (d->slots[n].item)
            return true;
    return false;
}

static gx_status run(gx_download *d, gx_error *error)
{
    for (;;) {
        bool all_here;
        GX_TRY(look_at_items(d, &all_here, error));
        GX_TRY(show_progress(d, error));
        if (all_here)
            return GX_OK;
        gx_transfer *ended = gx_transfers_wait(d->transfers, any_running(d) || d->waiting ? WAIT_MILLISECONDS : IDLE_MILLISECONDS);
        if (ended)
            GX_TRY(end_piece(d, slot_of(d, ended), error));
    }
}

static void stop_transfers(gx_download *d)
{
    for (unsigned n = 0; n < d->slot_count; n++) {
        if (d->slots[n].item)
            gx_transfers_stop(d->transfers, &d->slots[n].transfer);
        d->slots[n].item = NULL;
    }
}

/* Those that were there need their links, if nothing else. */
static gx_status settle_items(gx_download *d, gx_error *error)
{
    for (size_t n = 0; n < d->count; n++) {
        const gx_download_item *public = &d->items[n].public;
        if (!d->items[n].done)
            continue;
        GX_TRY(gx_storage_settle(d->storage, &public->place, d->listing->commit, public->file, error));
        GX_TRY(gx_storage_tidy(&public->place, error));
    }
    return GX_OK;
}

gx_status gx_download_run(gx_download *d, gx_download_part part, gx_error *error)
{
    d->part = part;
    gx_status status = settle_items(d, error);
    if (status == GX_OK)
        status = run(d, error);
    stop_transfers(d);
    return status;
}

void gx_download_close(gx_download *d)
{
    if (!d)
        return;
    stop_transfers(d);
    gx_hasher_close(d->hasher);
    for (size_t n = 0; n < d->count; n++) {
        gx_partial_suspend(d->items[n].partial);
        release_item(&d->items[n]);
    }
    gx_arena_free(d->arena);
}
