/* Opens and drives them. */
#include <string.h>

#include "base/json.h"
#include "pipeline/encoder_set.h"

#define DOCUMENT_LIMIT (UINT64_C(16) << 20)
#define TEXTS_AT_ONCE ((size_t)8) /* of a dynamic graph: padding is computed, too */

static gx_status add(gx_encoder_set *set, gx_runtime *runtime, const char *path, const gx_session_options *options, gx_error *error)
{
    GX_TRY(gx_session_open(&set->sessions[set->count], runtime, path, options, error));
    set->count++;
    return gx_encoder_open(&set->encoders[set->count - 1], set->sessions[set->count - 1], error);
}

static gx_status add_static(gx_encoder_set *set, gx_runtime *runtime, gx_arena *arena, const gx_model_file *file, yyjson_val *root, const gx_session_options *options,
                            gx_error *error)
{
    yyjson_val *graphs = yyjson_obj_get(yyjson_obj_get(yyjson_obj_get(root, "precisions"), file->precision), "graphs"), *graph;
    size_t index, count;
    if (yyjson_arr_size(graphs) == 0 || yyjson_arr_size(graphs) > GX_STATIC_MAX_LENGTHS)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: precision '%s' does not name its files", file->path, file->precision);
    yyjson_arr_foreach(graphs, index, count, graph)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(graph, "model"));
        if (!name || strchr(name, '/'))
            return gx_fail(error, GX_ERROR_FORMAT, "%s: precision '%s' does not name its files", file->path, file->precision);
        char *path = gx_path_join(arena, file->folder, name);
        if (!path)
            return gx_fail_memory(error);
        GX_TRY(add(set, runtime, path, options, error));
    }
    return GX_OK;
}

gx_status gx_encoder_set_open(gx_encoder_set *out, gx_runtime *runtime, const gx_model_file *file, const gx_session_options *options, gx_error *error)
{
    *out = (gx_encoder_set){0};
    if (!file->is_static)
        return add(out, runtime, file->path, options, error);
    yyjson_doc *document = NULL;
    gx_arena *arena = gx_arena_new();
    if (!arena)
        return gx_fail_memory(error);
    gx_status status = gx_json_read(&document, file->path, DOCUMENT_LIMIT, error);
    if (status == GX_OK)
        status = add_static(out, runtime, arena, file, yyjson_doc_get_root(document), options, error);
    yyjson_doc_free(document);
    gx_arena_free(arena);
    return status;
}

void gx_encoder_set_close(gx_encoder_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        gx_encoder_close(set->encoders[i]);
        gx_session_close(set->sessions[i]);
    }
    *set = (gx_encoder_set){0};
}

size_t gx_encoder_set_dimension(const gx_encoder_set *set)
{
    return gx_encoder_dimension(set->encoders[0]);
}

size_t gx_encoder_set_max_length(const gx_encoder_set *set)
{
    size_t longest = 0;
    for (size_t i = 0; i < set->count; i++)
        if (gx_encoder_max_length(set->encoders[i]) > longest)
            longest = gx_encoder_max_length(set->encoders[i]);
    return longest;
}

size_t gx_encoder_set_warnings(const gx_encoder_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += gx_session_warning_count(set->sessions[i]);
    return count;
}

/* The longest one when none is long enough: it says so. */
static gx_encoder *pick(const gx_encoder_set *set, size_t length)
{
    gx_encoder *best = set->encoders[0];
    for (size_t i = 1; i < set->count; i++) {
        const size_t mine = gx_encoder_max_length(set->encoders[i]), its = gx_encoder_max_length(best);
        if (its < length ? mine > its : mine >= length && mine < its)
            best = set->encoders[i];
    }
    return best;
}

gx_status gx_encoder_set_run(gx_encoder_set *set, const gx_encoder_text *texts, size_t count, gx_padding_side side, float *embeddings, float *hidden,
                             size_t hidden_size, gx_error *error)
{
    const size_t batch = gx_encoder_batch(set->encoders[0]) ? gx_encoder_batch(set->encoders[0]) : TEXTS_AT_ONCE;
    for (size_t at = 0; at < count; at += batch) {
        const size_t some = count - at < batch ? count - at : batch;
        size_t longest = 0, rows = 0;
        for (size_t i = 0; i < some; i++) {
            longest = texts[at + i].count > longest ? texts[at + i].count : longest;
            rows += texts[at + i].count;
        }
        GX_TRY(gx_encoder_run(pick(set, longest), texts + at, some, side, embeddings + at * gx_encoder_set_dimension(set), hidden, error));
        hidden = hidden ? hidden + rows * hidden_size : NULL;
    }
    return GX_OK;
}
