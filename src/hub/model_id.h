/* What a user names on the Hub: org/name, org/name@revision, org/name:file.gguf, org/name@revision:file.gguf. */
#ifndef GX_HUB_MODEL_ID_H
#define GX_HUB_MODEL_ID_H

#include "base/arena.h"

typedef struct gx_model_id {
    const char *repository; /* "org/name" */
    const char *revision;   /* a branch, tag or commit; NULL: not said */
    const char *file;       /* NULL: not said */
} gx_model_id;

/* False when the text has no such form. Strings are in the arena; memory that is out is false, too. */
bool gx_model_id_parse(gx_model_id *out, gx_arena *arena, const char *text);

/* A relative path that stays where it is: no empty part, no "." or "..", no backslash, no control characters, no part above 255
 * bytes, no more than 1,024 in all. */
bool gx_is_safe_file_name(const char *name);

bool gx_is_safe_revision(const char *revision);
bool gx_is_commit(const char *revision); /* 40 digits of lower-case hex */

#endif
