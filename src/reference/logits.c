/* The output head: states times the vocabulary, in blocks of the vocabulary that threads share. A block's weights are read
 * by the thread that multiplies with them, so the head need not be in memory as a whole. */
#include "base/checked.h"
#include "base/threads.h"
#include "reference/state.h"

#define BLOCK_ELEMENTS (UINT64_C(1) << 20)
#define VISIT_NBYTES (UINT64_C(128) << 20)

typedef struct head_job {
    const gx_reference *reference;
    const float *hidden;
    size_t rows;
    float *logits;
    uint64_t block; /* vocabulary rows */
    float **buffers; /* [threads], NULL when the head is kept */
} head_job;

static void multiply(const head_job *job, const float *weights, uint64_t first, uint64_t count)
{
    const gx_model *model = job->reference->model;
    float *logits = job->logits + first;
    gx_product_rows(job->reference->sgemm,
                    &(gx_product){.m = job->rows, .n = (size_t)count, .k = model->hidden_size, .a = job->hidden,
                                  .a_stride = model->hidden_size, .b = weights, .b_stride = model->hidden_size, .c = logits,
                                  .c_stride = model->vocab_size});
    if (model->final_logit_softcapping > 0)
        for (size_t row = 0; row < job->rows; row++)
            gx_softcap(logits + row * model->vocab_size, (size_t)count, model->final_logit_softcapping);
}

static gx_status run_block(void *context, size_t item, unsigned worker, gx_error *error)
{
    const head_job *job = context;
    const gx_model *model = job->reference->model;
    const uint64_t first = item * job->block;
    const uint64_t count = model->vocab_size - first < job->block ? model->vocab_size - first : job->block;
    const float *weights = job->reference->kept_head ? job->reference->kept_head + first * model->hidden_size : job->buffers[worker];
    if (!job->reference->kept_head)
        GX_TRY(gx_weight_load_rows(model, &model->weights[GX_ROLE_LM_HEAD], first, count, job->buffers[worker], error));
    multiply(job, weights, first, count);
    return GX_OK;
}

static gx_status keep_head(gx_reference *reference, gx_error *error)
{
    const gx_model *model = reference->model;
    float *head = NULL;
    GX_TRY(gx_floats_alloc(&head, model->vocab_size, model->hidden_size, error));
    const gx_status status = gx_weight_load(model, &model->weights[GX_ROLE_LM_HEAD], reference->options.threads, head, error);
    if (status != GX_OK) {
        gx_free(head);
        return status;
    }
    reference->kept_head = head;
    return GX_OK;
}

static gx_status alloc_buffers(head_job *job, gx_error *error)
{
    job->buffers = gx_alloc(job->reference->options.threads, sizeof *job->buffers);
    if (!job->buffers)
        return gx_fail_memory(error);
    for (unsigned i = 0; i < job->reference->options.threads; i++)
        GX_TRY(gx_floats_alloc(&job->buffers[i], job->block, job->reference->model->hidden_size, error));
    return GX_OK;
}

static void free_buffers(head_job *job)
{
    for (unsigned i = 0; job->buffers && i < job->reference->options.threads; i++)
        gx_free(job->buffers[i]);
    gx_free(job->buffers);
}

gx_status gx_reference_logits(gx_reference *reference, const float *hidden, size_t rows, float *logits, gx_error *error)
{
    const gx_model *model = reference->model;
    const uint64_t block = BLOCK_ELEMENTS / model->hidden_size;
    head_job job = {.reference = reference, .hidden = hidden, .rows = rows, .logits = logits, .block = block ? block : 1};
    if (reference->options.keep_weights && !reference->kept_head)
        GX_TRY(keep_head(reference, error));
    gx_status status = reference->kept_head ? GX_OK : alloc_buffers(&job, error);
    if (status == GX_OK)
        status = gx_parallel_for((size_t)gx_ceil_div(model->vocab_size, job.block), reference->options.threads, run_block, &job, error);
    free_buffers(&job);
    return status;
}

gx_status gx_reference_visit_logits(gx_reference *reference, const float *hidden, size_t rows, gx_reference_logits_visitor visitor,
                                    void *context, gx_error *error)
{
    const gx_model *model = reference->model;
    const uint64_t fitting = VISIT_NBYTES / sizeof(float) / model->vocab_size;
    const size_t at_once = fitting < 1 ? 1 : fitting < rows ? (size_t)fitting : rows;
    float *logits = NULL;
    gx_status status = gx_floats_alloc(&logits, at_once, model->vocab_size, error);
    for (size_t first = 0; status == GX_OK && first < rows; first += at_once) {
        const size_t count = rows - first < at_once ? rows - first : at_once;
        status = gx_reference_logits(reference, hidden + first * model->hidden_size, count, logits, error);
        if (status == GX_OK)
            status = visitor(context, first, count, logits, error);
    }
    gx_free(logits);
    return status;
}
