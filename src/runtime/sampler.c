/* Sampling. Candidates come off a heap, likeliest first, so that a small top_k or top_p costs one pass over the vocabulary
 * and a few pops instead of a sort. */
#include <math.h>

#include "base/arena.h"
#include "runtime/sampler.h"

struct gx_sampler {
    gx_sampler_options options;
    uint64_t state; /* of the random numbers */
    size_t vocabulary;
    uint32_t *heap;       /* [vocabulary]: ids; the likeliest on top */
    double *probabilities; /* [vocabulary]: of the ids taken off the heap, in that order */
};

gx_status gx_sampler_new(gx_sampler **out, const gx_sampler_options *options, size_t vocabulary, gx_error *error)
{
    if (!(options->temperature >= 0) || isinf(options->temperature))
        return gx_fail(error, GX_ERROR_ARGUMENT, "temperature %g, expected 0 or more", options->temperature);
    if (!(options->top_p > 0 && options->top_p <= 1))
        return gx_fail(error, GX_ERROR_ARGUMENT, "top-p %g, expected more than 0, at most 1", options->top_p);
    if (vocabulary == 0 || vocabulary > UINT32_MAX)
        return gx_fail(error, GX_ERROR_ARGUMENT, "a vocabulary of %zu ids", vocabulary);
    gx_sampler *sampler = gx_alloc(1, sizeof *sampler);
    if (!sampler)
        return gx_fail_memory(error);
    *sampler = (gx_sampler){.options = *options, .state = options->seed, .vocabulary = vocabulary};
    sampler->heap = gx_alloc(vocabulary, sizeof *sampler->heap);
    sampler->probabilities = gx_alloc(vocabulary, sizeof *sampler->probabilities);
    if (!sampler->heap || !sampler->probabilities) {
        gx_sampler_free(sampler);
        return gx_fail_memory(error);
    }
    *out = sampler;
    return GX_OK;
}

void gx_sampler_free(gx_sampler *sampler)
{
    if (!sampler)
        return;
    gx_free(sampler->heap);
    gx_free(sampler->probabilities);
    gx_free(sampler);
}

/* splitmix64; the 53 bits that a double holds, in [0, 1). */
static double next_uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static gx_status find_likeliest(const float *logits, size_t count, size_t *out, gx_error *error)
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(logits[i]))
            return gx_fail(error, GX_ERROR_MISMATCH, "the logit of id %zu is not a number", i);
        if (logits[i] > logits[best])
            best = i;
    }
    if (isinf(logits[best]))
        return gx_fail(error, GX_ERROR_MISMATCH, "the largest logit, of id %zu, is infinite", best);
    *out = best;
    return GX_OK;
}

/* Equal logits go by id, so that the order is one only. */
static bool likelier(const float *logits, uint32_t a, uint32_t b)
{
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
}

static void sift_down(uint32_t *heap, size_t count, size_t at, const float *logits)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && likelier(logits, heap[child + 1], heap[child]))
            child++;
        if (!likelier(logits, heap[child], heap[at]))
            return;
        const uint32_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
        at = child;
    }
}

/* Moves the likeliest id behind the heap's end: after n calls the last n entries are the n likeliest, backwards. */
static uint32_t pop(gx_sampler *s, size_t *count, const float *logits)
{
    const uint32_t id = s->heap[0];
    s->heap[0] = s->heap[--*count];
    s->heap[*count] = id;
    sift_down(s->heap, *count, 0, logits);
    return id;
}

static double probability(const gx_sampler *s, const float *logits, size_t best, size_t id)
{
    return exp(((double)logits[id] - (double)logits[best]) / s->options.temperature);
}

/* Takes ids off the heap until there are `limit` or they hold `mass`; gives how many and what they hold. */
static size_t take_candidates(gx_sampler *s, const float *logits, size_t best, size_t limit, double mass, double *held)
{
    size_t left = s->vocabulary, taken = 0;
    for (*held = 0; taken < limit && *held < mass; taken++) {
        s->probabilities[taken] = probability(s, logits, best, pop(s, &left, logits));
        *held += s->probabilities[taken];
    }
    return taken;
}

static void build_heap(gx_sampler *s, const float *logits)
{
    for (size_t i = 0; i < s->vocabulary; i++)
        s->heap[i] = (uint32_t)i;
    for (size_t i = s->vocabulary / 2; i-- > 0;)
        sift_down(s->heap, s->vocabulary, i, logits);
}

/* The fewest of `count` candidates that hold `mass`; at least one. */
static size_t cut_at_mass(const double *probabilities, size_t count, double mass, double *held)
{
    size_t kept = 0;
    for (*held = 0; kept < count && (*held < mass || kept == 0); kept++)
        *held += probabilities[kept];
    return kept;
}

static size_t draw(const double *probabilities, size_t count, double target)
{
    size_t i = 0;
    for (double sum = probabilities[0]; i + 1 < count && sum <= target; sum += probabilities[i])
        i++;
    return i;
}

static int64_t draw_from_all(gx_sampler *s, const float *logits, size_t best)
{
    double total = 0;
    for (size_t i = 0; i < s->vocabulary; i++)
        total += s->probabilities[i] = probability(s, logits, best, i);
    return (int64_t)draw(s->probabilities, s->vocabulary, next_uniform(&s->state) * total);
}

/* top_k first, then top_p of what it left. */
static int64_t draw_from_likeliest(gx_sampler *s, const float *logits, size_t best)
{
    const size_t k = s->options.top_k;
    double held = 0;
    size_t kept;
    build_heap(s, logits);
    if (k > 0 && k < s->vocabulary) {
        kept = take_candidates(s, logits, best, k, INFINITY, &held);
        kept = cut_at_mass(s->probabilities, kept, s->options.top_p * held, &held);
    } else {
        double total = 0;
        for (size_t i = 0; i < s->vocabulary; i++)
            total += probability(s, logits, best, i);
        kept = take_candidates(s, logits, best, s->vocabulary, s->options.top_p * total, &held);
    }
    return s->heap[s->vocabulary - 1 - draw(s->probabilities, kept, next_uniform(&s->state) * held)];
}

gx_status gx_sampler_next(gx_sampler *sampler, const float *logits, size_t vocabulary, int64_t *out, gx_error *error)
{
    size_t best = 0;
    if (vocabulary != sampler->vocabulary)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%zu logits for a sampler of %zu", vocabulary, sampler->vocabulary);
    GX_TRY(find_likeliest(logits, sampler->vocabulary, &best, error));
    const bool narrowed = (sampler->options.top_k > 0 && sampler->options.top_k < sampler->vocabulary) || sampler->options.top_p < 1;
    if (sampler->options.temperature == 0)
        *out = (int64_t)best;
    else
        *out = narrowed ? draw_from_likeliest(sampler, logits, best) : draw_from_all(sampler, logits, best);
    return GX_OK;
}
