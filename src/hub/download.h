/* Brings the wanted files of a listing, several and several parts of each at once. */
#ifndef GX_HUB_DOWNLOAD_H
#define GX_HUB_DOWNLOAD_H

#include "hub/storage.h"
#include "hub/transfers.h"

typedef struct gx_download_item {
    const gx_hub_file *file;
    gx_place place;
    bool here;        /* it was when the download was opened */
    uint64_t missing; /* bytes that have to come */
} gx_download_item;

typedef struct gx_download gx_download;

typedef struct gx_download_watch {
    gx_hub_callback event; /* files that are done, notices; NULL: none */
    void *event_context;
    gx_progress_callback progress; /* phase "fetch", bytes; false cancels; NULL: none */
    void *progress_context;
} gx_download_watch;

/* Looks what of the listing's wanted files is there, and makes the links to it. Everything given must outlive the download. */
gx_status gx_download_open(gx_download **out, const gx_storage *storage, gx_transfers *transfers, const gx_model_id *id,
                           const gx_hub_listing *listing, const gx_download_watch *watch, gx_error *error) GX_MUST_USE;
void gx_download_close(gx_download *download); /* NULL allowed; what is unfinished is left for the next run */

const gx_download_item *gx_download_items(const gx_download *download, size_t *count);

bool gx_download_is_done(const gx_download *download);

/* Disk space that is still needed. */
uint64_t gx_download_disk_nbytes(const gx_download *download);

typedef enum gx_download_part {
    GX_DOWNLOAD_HEADS, /* what is looked at first */
    GX_DOWNLOAD_ALL,
} gx_download_part;
gx_status gx_download_run(gx_download *download, gx_download_part part, gx_error *error) GX_MUST_USE;

/* Gives up what is here of the files that are not done: no hash has vouched for it yet. False: there was nothing of the kind. Not while it runs. */
bool gx_download_forget(gx_download *download);

/* Bytes that came over the line. */
uint64_t gx_download_received_nbytes(const gx_download *download);

#endif
