/* Of a repository's files, those that a conversion needs: never weights in another format beside ours, never a second copy. */
#ifndef GX_PIPELINE_HUB_SELECTION_H
#define GX_PIPELINE_HUB_SELECTION_H

#include "hub/listing.h"
#include "hub/model_id.h"

/* Marks what is wanted, and how much of a file of weights tells what is in it. *model_file is the name of the one file that is the
 * model, a GGUF (of a split one its first part); NULL: the folder is. */
gx_status gx_hub_select(gx_hub_listing *listing, const gx_model_id *id, const char **model_file, gx_error *error) GX_MUST_USE;

bool gx_hub_is_safetensors(const gx_hub_file *file);

/* Whether all parts of what was selected are listed: a cache may hold some of them. Those of "model-00001-of-00003.safetensors" say how many there are. */
bool gx_hub_selection_is_whole(const gx_hub_listing *listing);

#endif
