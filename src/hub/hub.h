/*
 * A model on the Hub, or in its cache on this machine. The straight line: open, list, choose what is wanted (the caller's part), download
 * the heads, judge them (the caller's part), download the rest. The one place that knows libcurl.
 */
#ifndef GX_HUB_HUB_H
#define GX_HUB_HUB_H

#include "hub/download.h"

typedef struct gx_hub gx_hub;

/* `options` may be NULL, and must outlive the hub, as the watch. The revision is the option's, else the id's, else "main". */
gx_status gx_hub_open(gx_hub **out, const gx_model_id *id, const gx_hub_options *options, const gx_download_watch *watch, gx_error *error) GX_MUST_USE;
void gx_hub_close(gx_hub *hub); /* NULL allowed */

/* What the revision holds. From the cache when the Hub is not to be asked, or cannot be: *cached says so; then all that is listed is here.
 * Lives as long as the hub. */
gx_status gx_hub_list(gx_hub *hub, gx_hub_listing **out, bool *cached, gx_error *error) GX_MUST_USE;

/* All of it is here: from now on the revision is this commit, also for whoever asks the cache alone. */
gx_status gx_hub_note_commit(const gx_hub *hub, gx_error *error) GX_MUST_USE;

/* Where the listing's files are, or will be. */
const char *gx_hub_folder(const gx_hub *hub);

/* For what is not finished, under a name of our own; it may have to be created. */
const char *gx_hub_own_folder(const gx_hub *hub);

/* Of the listing's wanted files. Lives as long as the hub. */
gx_status gx_hub_download(gx_hub *hub, gx_download **out, gx_error *error) GX_MUST_USE;

/* GX_ERROR_IO when the disk has no room for what is missing. */
gx_status gx_hub_check_disk(const gx_hub *hub, gx_error *error) GX_MUST_USE;

#endif
