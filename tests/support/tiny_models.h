/* The tiny checkpoints with golden vectors: found through their index, opened as a converter would. */
#ifndef TESTS_SUPPORT_TINY_MODELS_H
#define TESTS_SUPPORT_TINY_MODELS_H

#include <stdio.h>

#include "model/model.h"
#include "support/golden_file.h"

#define TINY_FOLDER "tests/golden/tiny"

typedef struct tiny_model {
    char name[128];
    gx_checkpoint *checkpoint;
    gx_model *model;
    golden_file golden;
    double bound; /* largest difference allowed: 2e-4 standard deviations of the golden logits, or hidden states of an encoder */
} tiny_model;

/* From cmocka's point of view a helper: fails the test on any error. */
static inline tiny_model tiny_open(const char *name)
{
    tiny_model tiny = {0};
    gx_error error = {0};
    char path[256];
    snprintf(tiny.name, sizeof tiny.name, "%s", name);
    snprintf(path, sizeof path, TINY_FOLDER "/%s", name);
    if (gx_checkpoint_open(&tiny.checkpoint, path, &error) != GX_OK || gx_model_open(&tiny.model, tiny.checkpoint, &error) != GX_OK)
        fail_msg("%s: %s", name, error.message);
    snprintf(path, sizeof path, TINY_FOLDER "/%s.golden.safetensors", name);
    tiny.golden = golden_open(path);
    tiny.bound = 2e-4 * (double)golden_get(&tiny.golden, tiny.model->bidirectional ? "last_hidden_state.std" : "logits.std", "F32").floats[0];
    assert_true(tiny.bound > 0 && tiny.bound < 0.1);
    return tiny;
}

static inline void tiny_close(tiny_model *tiny)
{
    golden_close(&tiny->golden);
    gx_model_close(tiny->model);
    gx_checkpoint_close(tiny->checkpoint);
}

/* Calls `visit` for every checkpoint of an index; there must be some. */
static inline void tiny_for_each_of(const char *index_path, void (*visit)(const tiny_model *tiny, void *context), void *context)
{
    char name[128];
    size_t count = 0;
    FILE *index = fopen(index_path, "r");
    if (!index)
        fail_msg("no %s: run from the project's root", index_path);
    while (fscanf(index, "%127s", name) == 1) {
        tiny_model tiny = tiny_open(name);
        visit(&tiny, context);
        tiny_close(&tiny);
        count++;
    }
    fclose(index);
    if (count == 0)
        fail_msg("no checkpoint in %s", index_path);
}

/* Of decoders, and of encoders. */
static inline void tiny_for_each(void (*visit)(const tiny_model *tiny, void *context), void *context)
{
    tiny_for_each_of(TINY_FOLDER "/index.txt", visit, context);
}

static inline void tiny_for_each_encoder(void (*visit)(const tiny_model *tiny, void *context), void *context)
{
    tiny_for_each_of(TINY_FOLDER "/index-embeddinggemma.txt", visit, context);
}

#endif
