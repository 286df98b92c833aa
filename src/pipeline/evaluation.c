/* Ids to measure on. */
#include "base/file.h"
#include "pipeline/evaluation.h"
#include "tokenizer/tokenizer.h"

#define TEXT_LIMIT (UINT64_C(256) << 20)

/* Steele and Vigna's splitmix64: any fixed sequence would do. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static gx_status random_ids(gx_token_ids *ids, size_t count, uint32_t vocab_size, gx_error *error)
{
    uint64_t state = 1;
    ids->count = 0;
    for (size_t i = 0; i < count; i++)
        GX_TRY(gx_token_ids_append(ids, (int64_t)(next_random(&state) % vocab_size), error));
    return GX_OK;
}

static bool all_below(const gx_token_ids *ids, uint32_t vocab_size)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->ids[i] >= (int64_t)vocab_size)
            return false;
    return ids->count > 0;
}

static gx_status text_ids(gx_token_ids *ids, gx_arena *arena, const char *tokenizer_path, const char *text_file, gx_error *error)
{
    gx_tokenizer *tokenizer = NULL;
    char *read = NULL;
    const char *text = (const char *)gx_evaluation_text;
    size_t nbytes = gx_evaluation_text_nbytes;
    if (text_file) {
        GX_TRY(gx_file_read_all(arena, text_file, TEXT_LIMIT, &read, &nbytes, error));
        text = read;
    }
    GX_TRY(gx_tokenizer_load(&tokenizer, tokenizer_path, error));
    const gx_status status = gx_tokenizer_encode(tokenizer, text, nbytes, 0, ids, error);
    gx_tokenizer_free(tokenizer);
    return status;
}

static void cut_into_windows(int64_t *out, const gx_token_ids *ids, int64_t bos, size_t windows, size_t window)
{
    size_t next = 0;
    for (size_t w = 0; w < windows; w++) {
        for (size_t i = 0; i < window; i++) {
            const bool is_first = i == 0 && bos >= 0;
            out[w * window + i] = is_first ? bos : ids->ids[next++ % ids->count];
        }
    }
}

gx_status gx_evaluation_ids(int64_t **out, gx_arena *arena, const char *folder, const char *text_file, uint32_t vocab_size,
                            int64_t bos_token_id, size_t windows, size_t window, gx_error *error)
{
    int64_t *cut = GX_NEW_ARRAY(arena, int64_t, windows * window);
    char *path = gx_path_join(arena, folder, "tokenizer.json");
    if (!cut || !path)
        return gx_fail_memory(error);
    gx_token_ids ids = {0};
    gx_status status = GX_OK;
    if (gx_path_exists(path))
        status = text_ids(&ids, arena, path, text_file, error);
    if (status == GX_OK && !all_below(&ids, vocab_size))
        status = random_ids(&ids, windows * window, vocab_size, error);
    if (status == GX_OK) {
        cut_into_windows(cut, &ids, bos_token_id < (int64_t)vocab_size ? bos_token_id : -1, windows, window);
        *out = cut;
    }
    gx_token_ids_deinit(&ids);
    return status;
}
