/* Opens a MODEL. */
#include "pipeline/source.h"

gx_status gx_source_open(gx_source *out, const char *path, gx_error *error)
{
    gx_source source = {0};
    GX_TRY(gx_checkpoint_open(&source.checkpoint, path, error));
    const gx_status status = gx_model_open(&source.model, source.checkpoint, error);
    if (status == GX_OK)
        *out = source;
    else
        gx_checkpoint_close(source.checkpoint);
    return status;
}

void gx_source_close(gx_source *source)
{
    gx_model_close(source->model);
    gx_checkpoint_close(source->checkpoint);
    *source = (gx_source){0};
}
