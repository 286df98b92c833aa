/*
 * The plan of a build: every file, every size and offset, every read of the source and where its rows go, before a
 * payload byte is read. --dry-run prints it; the writer fills it.
 */
#ifndef GX_PIPELINE_PLAN_H
#define GX_PIPELINE_PLAN_H

#include "gemma_onnx.h"
#include "graph/decoder.h"

#define GX_PLAN_MAX_DATA_FILES 64u

/* One precision: its graph and its files. */
typedef struct gx_target {
    const gx_policy *policy;
    gx_graph *graph;
    const char *model_name; /* "model_q4.onnx" */
    const char *data_name;  /* "model_q4.onnx_data"; further files get "_1", "_2", … */
    unsigned data_files;
    uint64_t data_nbytes[GX_PLAN_MAX_DATA_FILES];
    double residual_scale;
    uint64_t model_nbytes; /* of the .onnx file; 0 until it is written */
} gx_target;

/* Where rows of a source tensor go. */
typedef struct gx_destination {
    unsigned target;
    const gx_stored *stored;
    uint64_t first_row; /* of the stored matrix */
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
    const gx_decoder_importance *importance; /* NULL: all alike, or no precision has blocks */
    gx_target *targets;
    unsigned target_count;
    gx_task *tasks;
    size_t task_count;
    uint64_t source_nbytes;
    uint64_t largest_task_floats; /* rows * columns of the largest task */
} gx_plan;

/* `model` must outlive the plan. Targets stand in the order of the precisions' bits. */
gx_status gx_plan_new(gx_plan **out, const gx_model *model, const gx_build_options *options, gx_error *error) GX_MUST_USE;
void gx_plan_free(gx_plan *plan); /* NULL allowed */

/* Bytes of all data files. */
uint64_t gx_plan_output_nbytes(const gx_plan *plan);

/* The name of a target's data file `index`, in the arena; NULL when memory is out. */
const char *gx_plan_data_name(const gx_plan *plan, const gx_target *target, unsigned index);

#endif
