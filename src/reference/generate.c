/* Greedy generation of many prompts at once: a step takes all unfinished sequences through all layers, so that weights are
 * read once per step for all of them. */
#include <string.h>

#include "base/checked.h"
#include "reference/state.h"

typedef struct generation {
    gx_reference *reference;
    const gx_reference_prompt *prompts;
    size_t count;
    size_t new_ids;
    const int64_t *stop_ids;
    size_t stop_count;
    int64_t *out;    /* [count, new_ids] */
    size_t *lengths; /* [count] */
    gx_reference_cache **caches;      /* [count] */
    gx_reference_sequence *sequences; /* [active] */
    size_t *active;                   /* prompts that go on */
    size_t active_count;
    float *hidden; /* [ids of a step, hidden_size] */
    float *last;   /* [active, hidden_size] */
} generation;

static gx_status init(generation *g, gx_error *error)
{
    const size_t width = g->reference->model->hidden_size;
    uint64_t total = 0;
    for (size_t i = 0; i < g->count; i++)
        if (!gx_add_u64(total, g->prompts[i].count, &total))
            return gx_fail_memory(error);
    g->caches = gx_alloc(g->count, sizeof *g->caches);
    g->sequences = gx_alloc(g->count, sizeof *g->sequences);
    g->active = gx_alloc(g->count, sizeof *g->active);
    if (!g->caches || !g->sequences || !g->active)
        return gx_fail_memory(error);
    GX_TRY(gx_floats_alloc(&g->hidden, total, width, error));
    GX_TRY(gx_floats_alloc(&g->last, g->count, width, error));
    for (size_t i = 0; i < g->count; i++) {
        g->caches[i] = gx_reference_cache_new(g->reference->model);
        if (!g->caches[i])
            return gx_fail_memory(error);
        g->sequences[i] = (gx_reference_sequence){g->prompts[i].ids, g->prompts[i].count, g->caches[i]};
        g->active[i] = i;
        g->lengths[i] = 0;
    }
    g->active_count = g->new_ids ? g->count : 0;
    return GX_OK;
}

static void deinit(generation *g)
{
    for (size_t i = 0; g->caches && i < g->count; i++)
        gx_reference_cache_free(g->caches[i]);
    gx_free(g->caches);
    gx_free(g->sequences);
    gx_free(g->active);
    gx_free(g->hidden);
    gx_free(g->last);
}

static int64_t likeliest(const float *logits, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int64_t)best;
}

static bool goes_on(const generation *g, size_t prompt, int64_t id)
{
    for (size_t i = 0; i < g->stop_count; i++)
        if (g->stop_ids[i] == id)
            return false;
    return g->lengths[prompt] < g->new_ids;
}

static gx_status take_ids(void *context, size_t first_row, size_t rows, const float *logits, gx_error *error)
{
    (void)error;
    generation *g = context;
    const size_t vocab_size = g->reference->model->vocab_size;
    for (size_t row = 0; row < rows; row++) {
        const size_t prompt = g->active[first_row + row];
        g->out[prompt * g->new_ids + g->lengths[prompt]++] = likeliest(logits + row * vocab_size, vocab_size);
    }
    return GX_OK;
}

/* The next step's sequences: the id just found, of those that go on. */
static void advance(generation *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->active_count; i++) {
        const size_t prompt = g->active[i];
        const int64_t *id = g->out + prompt * g->new_ids + g->lengths[prompt] - 1;
        if (!goes_on(g, prompt, *id))
            continue;
        g->active[kept] = prompt;
        g->sequences[kept++] = (gx_reference_sequence){id, 1, g->caches[prompt]};
    }
    g->active_count = kept;
}

static gx_status step(generation *g, gx_error *error)
{
    const size_t width = g->reference->model->hidden_size;
    GX_TRY(gx_reference_forward(g->reference, g->sequences, g->active_count, g->hidden, error));
    size_t end = 0;
    for (size_t i = 0; i < g->active_count; i++) {
        end += g->sequences[i].count;
        memcpy(g->last + i * width, g->hidden + (end - 1) * width, width * sizeof *g->last);
    }
    GX_TRY(gx_reference_visit_logits(g->reference, g->last, g->active_count, take_ids, g, error));
    advance(g);
    return GX_OK;
}

gx_status gx_reference_generate(gx_reference *reference, const gx_reference_prompt *prompts, size_t count, size_t new_ids,
                                const int64_t *stop_ids, size_t stop_count, int64_t *out, size_t *lengths, gx_error *error)
{
    generation g = {.reference = reference, .prompts = prompts, .count = count, .new_ids = new_ids, .stop_ids = stop_ids,
                    .stop_count = stop_count, .out = out, .lengths = lengths};
    gx_status status = init(&g, error);
    while (status == GX_OK && g.active_count > 0)
        status = step(&g, error);
    deinit(&g);
    return status;
}
