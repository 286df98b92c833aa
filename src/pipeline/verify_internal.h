/* What the stages of verify share. */
#ifndef GX_PIPELINE_VERIFY_INTERNAL_H
#define GX_PIPELINE_VERIFY_INTERNAL_H

#include "pipeline/source.h"
#include "reference/reference.h"
#include "report/compare.h"
#include "runtime/decoder.h"

#define GX_VERIFY_PROMPTS 3u
#define GX_VERIFY_MAX_VALUES 64u

/* What a precision must reach. */
typedef struct gx_verify_bars {
    const char *precision;
    double max_error;   /* of logits against the reference, in standard deviations of the logits; 0: no bar */
    double mean_kl;     /* nats; 0: the option's */
    double same_top;    /* share of positions; 0: no bar */
    double weight_error; /* of the worst weight: root mean square of its error over its own */
    double consistency; /* cached, padded and shipped logits against the same file's own, in standard deviations */
} gx_verify_bars;

/* The text to measure on, and what the reference says of it. */
typedef struct gx_verify_truth {
    size_t windows, window_ids;
    const int64_t *ids;  /* [windows, window_ids] */
    float *hidden;       /* [windows * window_ids, hidden_size]: the reference's states */
    size_t prompt_counts[GX_VERIFY_PROMPTS];
    size_t greedy_ids;
    int64_t *greedy; /* [GX_VERIFY_PROMPTS, greedy_ids] */
} gx_verify_truth;

/* The largest magnitude of a kind of value in an fp16 graph, from the reference's values. */
typedef struct gx_verify_magnitude {
    const char *name;
    double largest;
    bool is_stream; /* scaled by the residual scale in the graph */
} gx_verify_magnitude;

typedef struct gx_verify_weight {
    const char *name, *scheme;
    double relative_error; /* root mean square of the error over that of the source's values; 0: exact */
    double largest_error;
    bool is_matrix;
} gx_verify_weight;

/* Of a file that embeds texts. */
typedef struct gx_verify_embeddings {
    double *distances;                 /* [texts]: 1 - cosine of the file's embedding and the reference's */
    double mean_distance, max_distance;
    double embedding_error;            /* largest, of the embeddings' standard deviation */
    double hidden_error;               /* largest, of the hidden states' */
    double padded_error;               /* of embeddings in padded batches against each text alone, in standard deviations */
    size_t same_nearest;               /* texts whose nearest other text is the reference's */
    bool finite;
} gx_verify_embeddings;

typedef struct gx_verify_result {
    const char *precision, *file;
    uint64_t nbytes; /* .onnx and data */
    const gx_verify_bars *bars;
    gx_profile_choice profile;           /* as built */
    unsigned block_size, embedding_bits, embedding_dim; /* the same; 0: the default */
    double residual_scale;
    gx_verify_weight *weights; /* in the file's order; weight_count 0: judged by another checkpoint than it was made from */
    size_t weight_count;
    double weight_error;       /* of all matrices together, relative */
    gx_comparison all, past_window;   /* past_window.positions 0: the text was not longer */
    gx_comparison_row *rows;          /* [windows * window_ids] */
    double shipped_error;             /* the file as it is against the same file with all positions, in standard deviations */
    double cached_error, padded_error;
    gx_verify_embeddings embeddings;       /* of encoders, which have nothing of the above but weights */
    size_t same_greedy[GX_VERIFY_PROMPTS]; /* ids equal to the reference's before the first difference */
    size_t warnings;                  /* of ONNX Runtime at loading */
    bool passed;
    char failure[256]; /* the first missed bar; "" */
} gx_verify_result;

typedef struct gx_verification {
    const gx_verify_options *options;
    gx_arena *arena;
    unsigned threads;
    bool is_static; /* the folder's static graphs are meant */
    const char *source_path;
    bool source_is_same; /* its hashes are those of the manifest */
    gx_source source;
    gx_reference *reference;
    gx_runtime *runtime;
    gx_verify_truth truth;
    gx_verify_magnitude magnitudes[GX_VERIFY_MAX_VALUES];
    size_t magnitude_count;
    gx_verify_result *results;
    size_t result_count;
    uint64_t done, total; /* steps of progress */
} gx_verification;

/* One step further; GX_ERROR_CANCELLED when the caller wants to stop. */
gx_status gx_verify_progress(gx_verification *v, uint64_t steps, gx_error *error) GX_MUST_USE;

/* verify_truth.c: ids, the reference's states, its greedy text, magnitudes. */
gx_status gx_verify_make_truth(gx_verification *v, gx_error *error) GX_MUST_USE;
void gx_verify_free_truth(gx_verification *v);

/* verify_measure.c: everything about one file. */
gx_status gx_verify_measure(gx_verification *v, gx_verify_result *result, const char *folder, gx_error *error) GX_MUST_USE;

/* verify_encoder.c: everything about all files of an encoder, and the report: verify_encoder_report.c. */
gx_status gx_verify_encoder(gx_verification *v, gx_error *error) GX_MUST_USE;
gx_status gx_verify_encoder_report(gx_verification *v, size_t texts, const size_t *lengths, gx_error *error) GX_MUST_USE;

/* verify_weights.c: each weight of one file against the source's. */
gx_status gx_verify_weigh(gx_verification *v, gx_verify_result *result, const char *folder, gx_error *error) GX_MUST_USE;

/* What is known of a file's weights, into its entry of the document. */
void gx_verify_add_weights(yyjson_mut_doc *doc, yyjson_mut_val *entry, const gx_verify_result *r);

/* verify_report.c: verify.json, verify.html, the table. */
gx_status gx_verify_report(gx_verification *v, gx_error *error) GX_MUST_USE;

#endif
