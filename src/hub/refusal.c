/* One table: HTTP status, the Hub's own code, whether a token was sent, and what to say. */
#include <string.h>

#include "hub/refusal.h"

typedef struct refusal {
    long status;
    const char *code; /* NULL: any */
    int token;        /* 1: only with one, 0: only without, -1: either way */
    const char *message; /* after "ID: "; up to two %s: the endpoint and the id */
} refusal;

static const refusal refusals[] = {
    {401, "GatedRepo", 0, "gated, and no token was given (401): accept the licence at %s/%s, then set HF_TOKEN to a token of that account"},
    {401, NULL, 0, "no such model, or a private or gated one (401). If the id is right (%s/%s), set HF_TOKEN to a token that may read it"},
    {401, NULL, 1, "the Hub does not accept the token (401): it is wrong or has expired; make a new one, and see %s/%s"},
    {403, "GatedRepo", -1, "gated, and this token has no access yet (403): accept the licence at %s/%s with the token's account"},
    {403, NULL, -1, "the token may not read it (403): it needs the right to read this repository; see %s/%s"},
    {404, "RevisionNotFound", -1, "there is no such revision (404); see the branches and tags at %s/%s"},
    {404, "EntryNotFound", -1, "a file that was listed is not there any more (404); see %s/%s"},
    {404, NULL, -1, "there is no such model (404): %s/%s; a private one is shown with a token of its owner (HF_TOKEN)"},
    {416, NULL, -1, "the server has fewer bytes than it listed (416); try again later, or see %s/%s"},
};

gx_status gx_hub_refusal(const gx_hub_settings *settings, const gx_model_id *id, const gx_transfer *transfer, gx_error *error)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        if (!transfer->by_endpoint || r->status != transfer->http_status || (r->code && strcmp(r->code, transfer->error_code) != 0) ||
            (r->token >= 0 && (r->token == 1) != (settings->token != NULL)))
            continue;
        gx_fail(error, GX_ERROR_NETWORK, r->message, settings->endpoint, id->repository);
        gx_error_note(error, "%s%s%s", id->repository, id->revision ? "@" : "", id->revision ? id->revision : "");
        return GX_ERROR_NETWORK;
    }
    return GX_OK;
}
