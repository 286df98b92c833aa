/* The decoder graph of a tiny checkpoint, every weight with a place in one data file. */
#ifndef TESTS_SUPPORT_TINY_DECODER_H
#define TESTS_SUPPORT_TINY_DECODER_H

#include "graph/decoder.h"
#include "support/scratch.h"

#define TINY_DECODER_SPACING 1048576u /* between places: no weight of a tiny checkpoint is larger */

typedef struct tiny_decoder {
    gx_checkpoint *checkpoint;
    gx_model *model;
    gx_arena *arena;
    gx_policy policy;
    gx_decoder_options options;
    gx_graph *graph;
} tiny_decoder;

static inline void tiny_decoder_build(tiny_decoder *d)
{
    gx_error error = {0};
    uint64_t offset = 0;
    d->arena = gx_arena_new();
    assert_non_null(d->arena);
    check_ok("graph", gx_decoder_build(&d->graph, d->arena, d->model, &d->options, &error), &error);
    for (gx_stored *stored = d->graph->stored; stored; stored = stored->next)
        for (int part = 0; part < GX_PART_COUNT; part++, offset += TINY_DECODER_SPACING)
            stored->parts[part].offset = offset;
}

/* `d` must stay where it is: the options point into it. */
static inline void tiny_decoder_open(tiny_decoder *d, const char *name, unsigned policy, unsigned embedding_bits, bool all_logits)
{
    gx_error error = {0};
    char path[256];
    snprintf(path, sizeof path, "tests/golden/tiny/%s", name);
    *d = (tiny_decoder){.options = {.policy = &d->policy, .profile = gx_profile_get(0), .all_logits = all_logits, .residual_scale = 1, .accuracy_level = 4}};
    check_ok(name, gx_checkpoint_open(&d->checkpoint, path, &error), &error);
    check_ok(name, gx_model_open(&d->model, d->checkpoint, &error), &error);
    check_ok("policy", gx_policy_make(&d->policy, policy, 32, embedding_bits, &error), &error);
    tiny_decoder_build(d);
}

static inline void tiny_decoder_close(tiny_decoder *d)
{
    gx_arena_free(d->arena);
    gx_model_close(d->model);
    gx_checkpoint_close(d->checkpoint);
}

#endif
