/* An opened checkpoint with its bound model: what every command on a MODEL begins with. */
#ifndef GX_PIPELINE_SOURCE_H
#define GX_PIPELINE_SOURCE_H

#include "model/model.h"

typedef struct gx_source {
    gx_checkpoint *checkpoint;
    gx_model *model;
} gx_source;

gx_status gx_source_open(gx_source *out, const char *path, gx_error *error) GX_MUST_USE;
void gx_source_close(gx_source *source);

#endif
