/*
 * What a target's compiler or execution provider does not take, found in a graph before it is a file. A target is a table of
 * operators in a file of its own; what stands in no table is taken for not supported.
 */
#ifndef GX_LINT_LINT_H
#define GX_LINT_LINT_H

#include "graph/graph.h"

#define GX_LINT_TYPE(dtype) (UINT64_C(1) << (dtype))
#define GX_LINT_ANY UINT64_MAX

typedef struct gx_lint_operator {
    const char *op_type;    /* "Gemm", "com.microsoft:MatMulNBits" */
    uint64_t types;         /* GX_LINT_TYPE bits: element types that its inputs and outputs may have */
    unsigned constants;     /* bits: inputs that must be initializers */
    const char *constraint; /* what else must hold and is not seen here: a note; NULL: nothing */
    const char *source;     /* where it is said: a document or a source file of the target */
} gx_lint_operator;

typedef struct gx_lint_target {
    const char *name;
    const char *description;  /* "Qualcomm's QNN execution provider, HTP backend" */
    const char *version;      /* of the sources, with their date */
    bool dynamic_shapes;      /* takes them */
    unsigned max_rank;        /* 0: no limit */
    uint64_t max_tensor_nbytes; /* 0: no limit */
    const char *limits_source;
    const gx_lint_operator *operators; /* sorted by op_type; ends with a NULL op_type */
} gx_lint_target;

extern const gx_lint_target gx_lint_qnn, gx_lint_coreml, gx_lint_openvino, gx_lint_webnn, gx_lint_webgpu;

const gx_lint_target *gx_lint_find(const char *name); /* NULL: none of that name */
const char *gx_lint_names(void);                      /* "qnn, coreml, …", for messages */

/* One kind of trouble, with how often it occurs. */
typedef struct gx_lint_finding {
    bool is_note;        /* the operator is taken, on a condition */
    const char *op_type; /* or "" for a tensor */
    const char *reason;  /* one sentence */
    const char *source;  /* "" when no table knows the operator */
    const char *example; /* the first node or tensor */
    size_t count;
    struct gx_lint_finding *next;
} gx_lint_finding;

/* In the order of first occurrence, in the arena; NULL: none, or `*failed` because memory is out. */
gx_lint_finding *gx_lint_graph(const gx_lint_target *target, const gx_graph *graph, gx_arena *arena, bool *failed);

#endif
