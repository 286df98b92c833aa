/*
 * A file on its way: its bytes in pieces, and a journal of how far each piece has come, so that whoever comes next, after a crash, too, goes
 * on there. Bytes that are noted are never written again: a hash may have gone over them. Used from one thread.
 */
#ifndef GX_HUB_PARTIAL_H
#define GX_HUB_PARTIAL_H

#include "hub/storage.h"

#define GX_PIECE_NBYTES (UINT64_C(8) << 20)

typedef struct gx_partial gx_partial;

/* Bytes that an earlier run left of a file of this size. */
gx_status gx_partial_peek(uint64_t *done, const gx_place *place, uint64_t nbytes, gx_error *error) GX_MUST_USE;

/* Takes up what is there, if it fits; else begins. Nothing is reserved yet. */
gx_status gx_partial_open(gx_partial **out, const gx_place *place, uint64_t nbytes, gx_error *error) GX_MUST_USE;
gx_status gx_partial_reserve(gx_partial *partial, gx_error *error) GX_MUST_USE; /* disk space for all of it */

size_t gx_partial_piece_count(const gx_partial *partial); /* at least 1, also of an empty file */
void gx_partial_piece(const gx_partial *partial, size_t piece, uint64_t *begin, uint64_t *end); /* what is missing of it; begin == end: nothing */
uint64_t gx_partial_done(const gx_partial *partial);       /* bytes here */
uint64_t gx_partial_contiguous(const gx_partial *partial); /* of them, those before the first gap */

/* The piece's next bytes. */
gx_status gx_partial_write(gx_partial *partial, size_t piece, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;

/* Makes one piece of all, for a server that gives no ranges: what was beyond the first gap is given up. */
gx_status gx_partial_join(gx_partial *partial, gx_error *error) GX_MUST_USE;

/* Each ends its life: the bytes take their place (if that fails, they are left for the next run); or are left, if there are any; or are removed. */
gx_status gx_partial_commit(gx_partial *partial, gx_error *error) GX_MUST_USE;
void gx_partial_suspend(gx_partial *partial); /* NULL allowed */
void gx_partial_discard(gx_partial *partial);

#endif
