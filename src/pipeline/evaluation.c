/* Ids to measure on. */
#include "pipeline/evaluation.h"

/* Steele and Vigna's splitmix64: any fixed sequence would do. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void fill_random(int64_t *ids, size_t count, uint32_t vocab_size)
{
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++)
        ids[i] = (int64_t)(next_random(&state) % vocab_size);
}

gx_status gx_evaluation_ids(int64_t **out, gx_arena *arena, const char *folder, const char *text_file, const gx_model *model, size_t windows,
                            size_t window, gx_error *error)
{
    (void)folder;
    (void)text_file;
    int64_t *ids = GX_NEW_ARRAY(arena, int64_t, windows * window);
    if (!ids)
        return gx_fail_memory(error);
    fill_random(ids, windows * window, model->vocab_size);
    for (size_t w = 0; w < windows && model->bos_token_id >= 0 && model->bos_token_id < (int64_t)model->vocab_size; w++)
        ids[w * window] = model->bos_token_id;
    *out = ids;
    return GX_OK;
}
