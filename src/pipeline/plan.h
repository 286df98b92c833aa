/*
 * The plan of a build: every file, every size and offset, every read of the source and where its rows go, before a
 * payload byte is read. --dry-run prints it; the writer fills it.
 */
#ifndef GX_PIPELINE_PLAN_H
#define GX_PIPELINE_PLAN_H

#include "gemma_onnx.h"
#include "graph/decoder.h"

#define GX_PLAN_MAX_DATA_FILES 256u /* of 2 GB: Gemma 4 31B in fp32 takes 62 */

#define GX_STATIC_MAX_LENGTHS 8u
#define GX_TARGET_MAX_GRAPHS (GX_STATIC_MAX_LENGTHS + 1)

/* What gx_convert asks beyond gx_build: graphs of fixed shapes. */
typedef struct gx_static_request {
    unsigned batch_size, max_length;
    unsigned sequence_lengths[GX_STATIC_MAX_LENGTHS]; /* of the prefill graphs */
    unsigned sequence_count;
    bool bounded;
    unsigned plain_precision; /* the bit whose files carry no suffix */
    const char *lint;         /* a target; NULL: none */
    bool lint_strict;
} gx_static_request;

/* What its graphs have in common; sequence_length is each one's own. */
gx_static_form gx_static_request_form(const gx_static_request *request);

typedef struct gx_target_graph {
    gx_graph *graph;
    const char *name;          /* "model_q4.onnx", "gemma_prefill.onnx" */
    uint64_t sequence_length;  /* 0: dynamic */
    uint64_t nbytes;           /* of the .onnx file; 0 until it is written */
    const char *data_name;     /* its first data file, "model_q4.onnx_data"; further ones get "_1", "_2", …; NULL: it reads those of other graphs */
    unsigned data_files;
} gx_target_graph;

/* One precision: its graphs and its files. */
typedef struct gx_target {
    const gx_policy *policy;
    /* The first one is the whole decoder; static: one prefill graph per sequence length, then decode. */
    gx_target_graph graphs[GX_TARGET_MAX_GRAPHS];
    unsigned graph_count;
    const gx_stored **stored; /* [stored_count]: what is in the data files */
    size_t stored_count;
    const char *data_names[GX_PLAN_MAX_DATA_FILES]; /* of all graphs, one graph's after another's */
    uint64_t data_nbytes[GX_PLAN_MAX_DATA_FILES];
    unsigned data_files;
    double residual_scale;
} gx_target;

/* Where rows of a source tensor go. */
typedef struct gx_destination {
    unsigned target;
    const gx_stored *stored;
    const gx_stored *twin; /* the same bytes for another graph of the target: a tied embedding and its head; NULL: none */
    uint64_t first_row;    /* of the stored matrix */
    struct gx_destination *next;
} gx_destination;

/* One read: rows of a tensor, or (weight NULL) bytes that are only hashed. In file order they cover every source file. */
typedef struct gx_task {
    unsigned file;
    uint64_t offset, nbytes;
    const gx_weight *weight;
    uint64_t first_row, rows;
    const gx_destination *destinations;
} gx_task;

typedef struct gx_plan {
    gx_arena *arena;
    const gx_model *model;
    const gx_profile *profile;
    const gx_static_request *request; /* NULL: dynamic graphs, in the folder's "onnx" */
    const gx_decoder_importance *importance; /* NULL: all alike, or no precision has blocks */
    gx_target *targets;
    unsigned target_count;
    gx_task *tasks;
    size_t task_count;
    uint64_t source_nbytes;
    uint64_t largest_task_floats; /* rows * columns of the largest task */
} gx_plan;

/* `model` and `request` (NULL: a dynamic graph for each precision) must outlive the plan. Targets stand in the order of the
 * precisions' bits. */
gx_status gx_plan_new(gx_plan **out, const gx_model *model, const gx_build_options *options, const gx_static_request *request,
                      gx_error *error) GX_MUST_USE;
void gx_plan_free(gx_plan *plan); /* NULL allowed */

/* Where the models lie below the output folder: "onnx/" or "". */
static inline const char *gx_plan_folder(const gx_plan *plan)
{
    return plan->request ? "" : "onnx/";
}

/* Bytes of all data files. */
uint64_t gx_plan_output_nbytes(const gx_plan *plan);

#endif
