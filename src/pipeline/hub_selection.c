/* Chooses by name, as checkpoint/checkpoint.c opens a folder: model.safetensors, else its shards, else the only other one, else a GGUF. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "checkpoint/checkpoint.h"
#include "pipeline/companions.h"
#include "pipeline/hub_selection.h"

/* A safetensors file says in its first bytes how long its header is; a GGUF does not: its vocabulary alone is some 10 MB. */
#define SAFETENSORS_HEAD_NBYTES (UINT64_C(128) << 10)
#define GGUF_HEAD_NBYTES (UINT64_C(32) << 20)
#define SHOWN_FILES 24
#define SHARDS_INDEX "model.safetensors.index.json"

static bool ends_with(const char *text, const char *ending)
{
    const size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

static bool is_top_level(const char *name, const char *ending)
{
    return !strchr(name, '/') && ends_with(name, ending);
}

/* "model-00001-of-00003.safetensors": its number of parts; 0: it is no part. `stem` is the length of "model". */
static unsigned part_count(const char *name, size_t *stem)
{
    static const char form[] = "-00000-of-00000";
    const char *dot = strrchr(name, '.');
    const size_t length = dot ? (size_t)(dot - name) : 0;
    if (length <= sizeof form - 1)
        return 0;
    const char *part = dot - (sizeof form - 1);
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == '0' ? part[i] < '0' || part[i] > '9' : part[i] != form[i])
            return 0;
    *stem = (size_t)(part - name);
    return (unsigned)strtoul(dot - 5, NULL, 10);
}

static bool are_parts_of_one(const char *a, const char *b)
{
    size_t stem_a = 0, stem_b = 0;
    const unsigned parts = part_count(a, &stem_a);
    return parts && parts == part_count(b, &stem_b) && stem_a == stem_b && memcmp(a, b, stem_a) == 0 && strcmp(strrchr(a, '.'), strrchr(b, '.')) == 0;
}

bool gx_hub_is_safetensors(const gx_hub_file *file)
{
    return ends_with(file->name, ".safetensors");
}

static void want_config(gx_hub_file *file)
{
    file->wanted = true;
    file->head_nbytes = file->nbytes;
}

static void want_weights(gx_hub_file *file)
{
    const uint64_t head = gx_hub_is_safetensors(file) ? SAFETENSORS_HEAD_NBYTES : GGUF_HEAD_NBYTES;
    file->wanted = true;
    file->head_nbytes = head < file->nbytes ? head : file->nbytes;
}

/* With the other parts of the same model. */
static void want_model(gx_hub_listing *listing, gx_hub_file *file)
{
    want_weights(file);
    for (size_t i = 0; i < listing->count; i++)
        if (are_parts_of_one(listing->files[i].name, file->name))
            want_weights(&listing->files[i]);
}

/* The sentence-transformers modules that have weights: "2_Dense/config.json", "2_Dense/model.safetensors". */
static void want_modules(gx_hub_listing *listing)
{
    if (!gx_hub_listing_find(listing, GX_MODULES_NAME))
        return;
    for (size_t i = 0; i < listing->count; i++) {
        gx_hub_file *file = &listing->files[i];
        const size_t digits = strspn(file->name, "0123456789");
        const char *slash = strchr(file->name, '/');
        if (digits == 0 || file->name[digits] != '_' || !slash)
            continue;
        if (strcmp(slash, "/config.json") == 0)
            want_config(file);
        else if (strcmp(slash, "/model.safetensors") == 0)
            want_weights(file);
    }
}

static void want_companions(gx_hub_listing *listing)
{
    static const char *const configs[] = {"config.json", GX_MODULES_NAME, SHARDS_INDEX};
    size_t count = 0;
    const char *const *names = gx_companion_names(&count);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        gx_hub_file *file = gx_hub_listing_find(listing, configs[i]);
        if (file)
            want_config(file);
    }
    for (size_t i = 0; i < count; i++) {
        gx_hub_file *file = gx_hub_listing_find(listing, names[i]);
        if (file)
            file->wanted = true;
    }
    want_modules(listing);
}

/* The models at the top level with this ending: the parts of a split one count once. mmproj files hold vision towers. */
static size_t find_models(const gx_hub_listing *listing, const char *ending, gx_hub_file **first)
{
    size_t count = 0;
    for (size_t i = 0; i < listing->count; i++) {
        gx_hub_file *file = &listing->files[i];
        if (!is_top_level(file->name, ending) || strncmp(file->name, "mmproj", 6) == 0 || (i > 0 && are_parts_of_one(file[-1].name, file->name)))
            continue;
        if (count++ == 0)
            *first = file;
    }
    return count;
}

static gx_status several_ggufs(const gx_hub_listing *listing, const gx_model_id *id, gx_error *error)
{
    gx_buffer names = {0};
    size_t shown = 0, left = 0;
    for (size_t i = 0; i < listing->count; i++) {
        if (!is_top_level(listing->files[i].name, ".gguf") || strncmp(listing->files[i].name, "mmproj", 6) == 0)
            continue;
        if (shown++ < SHOWN_FILES)
            gx_buffer_printf(&names, "%s%s (%.0f MB)", shown > 1 ? ", " : "", listing->files[i].name, (double)listing->files[i].nbytes / 1e6);
        else
            left++;
    }
    if (left)
        gx_buffer_printf(&names, " and %zu more", left);
    gx_status status = gx_buffer_check(&names, error);
    if (status == GX_OK)
        status = gx_fail(error, GX_ERROR_ARGUMENT, "%s holds several .gguf files; name one as %s:FILE: %s", id->repository, id->repository, gx_buffer_text(&names));
    gx_buffer_deinit(&names);
    return status;
}

static gx_status select_named(gx_hub_listing *listing, const gx_model_id *id, const char **model_file, gx_error *error)
{
    gx_hub_file *file = gx_hub_listing_find(listing, id->file);
    if (!file)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: there is no '%s' in it", id->repository, id->file);
    if (!ends_with(id->file, ".gguf"))
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' is no .gguf file; the model in safetensors is named by the id alone", id->repository, id->file);
    want_model(listing, file);
    *model_file = file->name;
    return GX_OK;
}

static gx_status select_safetensors(gx_hub_listing *listing, gx_hub_file *file, const gx_model_id *id, gx_error *error)
{
    if (!gx_hub_listing_find(listing, "config.json"))
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: no config.json in it: is it a model?", id->repository);
    size_t stem = 0;
    if (part_count(file->name, &stem) && !gx_hub_listing_find(listing, SHARDS_INDEX))
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' is a part of a model, but there is no " SHARDS_INDEX, id->repository, file->name);
    want_companions(listing);
    want_model(listing, file);
    return GX_OK;
}

gx_status gx_hub_select(gx_hub_listing *listing, const gx_model_id *id, const char **model_file, gx_error *error)
{
    gx_hub_file *file = gx_hub_listing_find(listing, "model.safetensors");
    *model_file = NULL;
    if (id->file)
        return select_named(listing, id, model_file, error);
    const size_t safetensors = file ? 1 : find_models(listing, ".safetensors", &file);
    if (safetensors == 1)
        return select_safetensors(listing, file, id, error);
    if (safetensors > 1)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: %zu .safetensors files that are no parts of one model", id->repository, safetensors);
    const size_t ggufs = find_models(listing, ".gguf", &file);
    if (ggufs > 1)
        return several_ggufs(listing, id, error);
    if (ggufs == 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: no .safetensors and no .gguf file in it; other formats of weights are not read", id->repository);
    want_model(listing, file);
    *model_file = file->name;
    return GX_OK;
}

bool gx_hub_selection_is_whole(const gx_hub_listing *listing)
{
    unsigned parts = 0, expected = 0;
    for (size_t i = 0; i < listing->count; i++) {
        size_t stem;
        const unsigned count = listing->files[i].wanted && !strchr(listing->files[i].name, '/') ? part_count(listing->files[i].name, &stem) : 0;
        expected = count ? count : expected;
        parts += count != 0;
    }
    return parts == expected;
}
