/* What the Hub's refusals mean, and the way out of each. */
#ifndef GX_HUB_REFUSAL_H
#define GX_HUB_REFUSAL_H

#include "hub/model_id.h"
#include "hub/transfers.h"

/* Fails with a message for the status that ended the transfer; GX_OK when there is nothing to add to the transfer's own. */
gx_status gx_hub_refusal(const gx_hub_settings *settings, const gx_model_id *id, const gx_transfer *transfer, gx_error *error) GX_MUST_USE;

#endif
