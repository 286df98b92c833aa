/* What the files of gx_compare share. */
#ifndef GX_PIPELINE_COMPARE_INTERNAL_H
#define GX_PIPELINE_COMPARE_INTERNAL_H

#include "pipeline/opened_model.h"
#include "pipeline/source.h"
#include "reference/reference.h"
#include "report/compare.h"

/* Ids that are fed: the prompt, then one at a time. The truth is known after the prompt and after each of the others. */
typedef struct gx_compare_sequence {
    const int64_t *ids; /* [prompt + steps] */
    size_t prompt;
} gx_compare_sequence;

/* Logits recorded elsewhere; values NULL: our reference judges. */
typedef struct gx_compare_record {
    float *prefill, *decode; /* [sequences, vocabulary], [sequences, steps, vocabulary] */
} gx_compare_record;

/* Of a layer's output at one position, found against the reference. */
typedef struct gx_compare_layer {
    double cosine, error; /* error: of the difference's length to the expected vector's */
} gx_compare_layer;

enum { GX_COMPARE_PREFILL, GX_COMPARE_DECODE, GX_COMPARE_PHASES };

typedef struct gx_compare_result {
    const gx_model_file *file;
    size_t batch;
    gx_comparison_row *rows; /* [sequences, 1 + steps] */
    gx_comparison prefill, decode;
    double relative_error;    /* the largest difference to the largest expected logit */
    gx_compare_layer *layers; /* [phases, layers]: of the longest sequence; NULL: not measured */
    int first_layer;          /* where the difference starts; -1: in no layer, or not measured */
    int first_phase;
    bool passed;
    char failure[256]; /* "" */
} gx_compare_result;

typedef struct gx_static_comparison {
    const gx_compare_options *options;
    gx_arena *arena;
    gx_source source; /* model NULL: a record judges, and the checkpoint is not known here */
    const char *source_path;
    gx_runtime *runtime;
    gx_reference *reference;
    unsigned threads;
    size_t vocabulary, layers, batch, max_length, steps;
    gx_compare_sequence *sequences; /* a multiple of batch */
    size_t sequence_count;
    float *hidden;              /* [sequences, 1 + steps, hidden_size]: final states of the positions that are compared */
    float *layer_states;        /* [phases, layers, hidden_size]: of the longest sequence, after its prompt and after its last id */
    size_t longest;             /* its number */
    gx_compare_record record;
    gx_model_file files[GX_MAX_MODEL_FILES];
    gx_compare_result *results;
    size_t result_count;
    uint64_t done, total; /* steps */
} gx_static_comparison;

/* compare_truth.c: what is fed, and what should come out. */
gx_status gx_compare_make_truth(gx_static_comparison *c, gx_error *error) GX_MUST_USE;
gx_status gx_compare_expected(gx_static_comparison *c, size_t sequence, size_t step, float *logits, gx_error *error) GX_MUST_USE;

/* compare_record.c */
gx_status gx_compare_read_record(gx_static_comparison *c, gx_error *error) GX_MUST_USE;

/* compare_layers.c: fills result->layers and first_layer. */
gx_status gx_compare_measure_layers(gx_static_comparison *c, gx_compare_result *result, gx_error *error) GX_MUST_USE;

/* compare_report.c */
gx_status gx_compare_report(const gx_static_comparison *c, gx_error *error) GX_MUST_USE;

gx_status gx_compare_progress(gx_static_comparison *c, uint64_t steps, gx_error *error) GX_MUST_USE;

#endif
