/* The checkpoints that Google has published, by Hub id: how their text decoders are configured, and how many parameters those have. */
#ifndef GX_MODEL_PUBLISHED_H
#define GX_MODEL_PUBLISHED_H

#include "model/model.h"

typedef struct gx_published {
    const char *const *ids; /* of checkpoints with one configuration; ends with NULL */
    uint64_t parameters;    /* of the text decoder, a tied head counted once */
    const char *config;     /* config.json, of what differs from the class's defaults */
    const char *judged;     /* how its conversion is known to be right */
    const char *trap;       /* what converters get wrong; NULL: nothing known */
} gx_published;

extern const gx_published gx_published_models[]; /* ends with ids NULL */

/* The decoder as the configuration says, without weights: for gx_model_each_tensor and numbers. gx_model_close frees it. */
gx_status gx_published_open(gx_model **out, const gx_published *published, gx_error *error) GX_MUST_USE;

/* Every tensor that the model's family wants, under its name in a Hugging Face folder of the decoder alone. */
typedef gx_status (*gx_tensor_visitor)(void *context, const char *name, unsigned rank, const uint64_t *shape, gx_error *error);
gx_status gx_model_each_tensor(const gx_model *model, gx_tensor_visitor visitor, void *context, gx_error *error) GX_MUST_USE;

#endif
