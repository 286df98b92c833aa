/* Pieces and their journal. */
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "hub/partial.h"

#define JOURNAL_STEP (UINT64_C(256) << 10) /* a crash loses no more than this of each piece */
#define JOURNAL_LIMIT (UINT64_C(64) << 20)

/* The journal: this head, then for each piece the bytes that are there. In the machine's byte order: it never leaves the machine. */
typedef struct head {
    char magic[8];
    uint64_t nbytes, piece_nbytes;
} head;
static const char magic[8] = "gxjrnl1";

struct gx_partial {
    gx_output *bytes, *journal;
    uint64_t nbytes, piece_nbytes;
    size_t count;
    uint64_t *done;
    size_t front; /* the first piece that is not whole */
    uint64_t total_done;
};

static uint64_t piece_length(const gx_partial *p, size_t piece)
{
    const uint64_t begin = piece * p->piece_nbytes;
    return p->nbytes - begin < p->piece_nbytes ? p->nbytes - begin : p->piece_nbytes;
}

static gx_status set_pieces(gx_partial *p, uint64_t piece_nbytes, gx_error *error)
{
    const size_t count = p->nbytes ? (size_t)gx_ceil_div(p->nbytes, piece_nbytes) : 1;
    uint64_t *done = gx_alloc(count, sizeof *done);
    if (!done)
        return gx_fail_memory(error);
    gx_free(p->done);
    p->done = done;
    p->piece_nbytes = piece_nbytes;
    p->count = count;
    p->front = 0;
    p->total_done = 0;
    return GX_OK;
}

static void count_done(gx_partial *p)
{
    p->total_done = 0;
    for (size_t i = 0; i < p->count; i++)
        p->total_done += p->done[i];
    while (p->front < p->count && p->done[p->front] == piece_length(p, p->front))
        p->front++;
}

/* A journal that does not fit says nothing; *taken_up is false then. */
static gx_status read_journal(gx_partial *p, const gx_place *place, bool *taken_up, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_path_info info;
    char *bytes = NULL;
    size_t nbytes = 0;
    head h;
    if (!arena)
        return gx_fail_memory(error);
    const bool readable = gx_path_stat(place->partial, &info) && info.nbytes == p->nbytes && gx_path_exists(place->journal) &&
                          gx_file_read_all(arena, place->journal, JOURNAL_LIMIT, &bytes, &nbytes, NULL) == GX_OK && nbytes > sizeof h;
    if (readable)
        memcpy(&h, bytes, sizeof h);
    gx_status status = GX_OK;
    if (readable && memcmp(h.magic, magic, sizeof magic) == 0 && h.nbytes == p->nbytes && (h.piece_nbytes == GX_PIECE_NBYTES || h.piece_nbytes == p->nbytes)) {
        status = set_pieces(p, h.piece_nbytes, error);
        *taken_up = status == GX_OK && nbytes == sizeof h + p->count * sizeof *p->done;
        if (*taken_up)
            memcpy(p->done, bytes + sizeof h, p->count * sizeof *p->done);
    }
    for (size_t i = 0; status == GX_OK && i < p->count; i++)
        if (p->done[i] > piece_length(p, i))
            p->done[i] = 0;
    gx_arena_free(arena);
    return status;
}

static gx_status note_piece(gx_partial *p, size_t piece, gx_error *error)
{
    return gx_output_write(p->journal, sizeof(head) + piece * sizeof *p->done, &p->done[piece], sizeof *p->done, error);
}

static gx_status write_journal(gx_partial *p, gx_error *error)
{
    head h = {.nbytes = p->nbytes, .piece_nbytes = p->piece_nbytes};
    memcpy(h.magic, magic, sizeof magic);
    /* The counts before the head: a head stands for counts that are there. */
    GX_TRY(gx_output_extend(p->journal, 0, error));
    GX_TRY(gx_output_write(p->journal, sizeof h, p->done, p->count * sizeof *p->done, error));
    return gx_output_write(p->journal, 0, &h, sizeof h, error);
}

static void free_partial(gx_partial *p)
{
    gx_free(p->done);
    gx_free(p);
}

gx_status gx_partial_peek(uint64_t *done, const gx_place *place, uint64_t nbytes, gx_error *error)
{
    gx_partial p = {.nbytes = nbytes};
    bool taken_up = false;
    const gx_status status = read_journal(&p, place, &taken_up, error);
    if (taken_up)
        count_done(&p);
    *done = p.total_done;
    gx_free(p.done);
    return status;
}

gx_status gx_partial_open(gx_partial **out, const gx_place *place, uint64_t nbytes, gx_error *error)
{
    gx_partial *p = gx_alloc(1, sizeof *p);
    bool taken_up = false;
    if (!p)
        return gx_fail_memory(error);
    p->nbytes = nbytes;
    gx_status status = set_pieces(p, nbytes < GX_PIECE_NBYTES && nbytes ? nbytes : GX_PIECE_NBYTES, error);
    if (status == GX_OK)
        status = read_journal(p, place, &taken_up, error);
    if (status == GX_OK)
        status = gx_output_resume(&p->bytes, place->partial, place->bytes, error);
    if (status == GX_OK)
        status = gx_output_resume(&p->journal, place->journal, place->journal, error);
    /* The journal first: an older one must not speak of bytes that have just become so many zeros. */
    if (status == GX_OK && !taken_up)
        status = write_journal(p, error);
    if (status == GX_OK)
        status = gx_output_extend(p->bytes, nbytes, error);
    if (status != GX_OK) {
        gx_output_suspend(p->bytes);
        gx_output_suspend(p->journal);
        free_partial(p);
        return status;
    }
    count_done(p);
    *out = p;
    return GX_OK;
}

gx_status gx_partial_reserve(gx_partial *p, gx_error *error)
{
    return gx_output_resize(p->bytes, p->nbytes, error);
}

size_t gx_partial_piece_count(const gx_partial *p)
{
    return p->count;
}

void gx_partial_piece(const gx_partial *p, size_t piece, uint64_t *begin, uint64_t *end)
{
    *begin = piece * p->piece_nbytes + p->done[piece];
    *end = piece * p->piece_nbytes + piece_length(p, piece);
}

uint64_t gx_partial_done(const gx_partial *p)
{
    return p->total_done;
}

uint64_t gx_partial_contiguous(const gx_partial *p)
{
    return p->front == p->count ? p->nbytes : p->front * p->piece_nbytes + p->done[p->front];
}

gx_status gx_partial_write(gx_partial *p, size_t piece, const void *bytes, size_t nbytes, gx_error *error)
{
    const uint64_t before = p->done[piece], length = piece_length(p, piece);
    GX_TRY(gx_output_write(p->bytes, piece * p->piece_nbytes + before, bytes, nbytes, error));
    p->done[piece] += nbytes;
    p->total_done += nbytes;
    while (p->front < p->count && p->done[p->front] == piece_length(p, p->front))
        p->front++;
    return p->done[piece] == length || before / JOURNAL_STEP != p->done[piece] / JOURNAL_STEP ? note_piece(p, piece, error) : GX_OK;
}

gx_status gx_partial_join(gx_partial *p, gx_error *error)
{
    const uint64_t contiguous = gx_partial_contiguous(p);
    GX_TRY(set_pieces(p, p->nbytes ? p->nbytes : GX_PIECE_NBYTES, error));
    p->done[0] = contiguous;
    count_done(p);
    return write_journal(p, error);
}

gx_status gx_partial_commit(gx_partial *p, gx_error *error)
{
    const gx_status status = gx_output_commit_or_suspend(p->bytes, error);
    if (status == GX_OK)
        gx_output_discard(p->journal);
    else
        gx_output_suspend(p->journal);
    free_partial(p);
    return status;
}

void gx_partial_discard(gx_partial *p)
{
    gx_output_discard(p->journal);
    gx_output_discard(p->bytes);
    free_partial(p);
}

void gx_partial_suspend(gx_partial *p)
{
    if (!p)
        return;
    if (p->total_done == 0) {
        gx_partial_discard(p);
        return;
    }
    for (size_t i = 0; i < p->count; i++)
        if (note_piece(p, i, NULL) != GX_OK)
            break; /* what was noted before is true all the same */
    gx_output_suspend(p->bytes);
    gx_output_suspend(p->journal);
    free_partial(p);
}
