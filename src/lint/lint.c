/* Walks a graph past a target's table. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "lint/lint.h"

static const gx_lint_target *const targets[] = {&gx_lint_qnn, &gx_lint_coreml, &gx_lint_openvino, &gx_lint_webnn, &gx_lint_webgpu};

#define TARGETS (sizeof targets / sizeof *targets)

const gx_lint_target *gx_lint_find(const char *name)
{
    for (size_t i = 0; i < TARGETS; i++)
        if (strcmp(targets[i]->name, name) == 0)
            return targets[i];
    return NULL;
}

const char *gx_lint_names(void)
{
    return "qnn, coreml, openvino, webnn, webgpu";
}

typedef struct lint {
    const gx_lint_target *target;
    const gx_graph *graph;
    gx_arena *arena;
    gx_lint_finding *first, *last;
    bool failed;
} lint;

static void add(lint *l, bool is_note, const char *op_type, const char *reason, const char *source, const char *example)
{
    for (gx_lint_finding *f = l->first; f; f = f->next) {
        if (strcmp(f->op_type, op_type) == 0 && strcmp(f->reason, reason) == 0) {
            f->count++;
            return;
        }
    }
    gx_lint_finding *f = GX_NEW(l->arena, gx_lint_finding);
    char *copy = gx_arena_copy_string(l->arena, reason), *op_copy = gx_arena_copy_string(l->arena, op_type);
    l->failed = l->failed || !f || !copy || !op_copy;
    if (l->failed)
        return;
    *f = (gx_lint_finding){.is_note = is_note, .op_type = op_copy, .reason = copy, .source = source ? source : "", .example = example, .count = 1};
    if (l->last)
        l->last->next = f;
    else
        l->first = f;
    l->last = f;
}

/* ---- nodes ---- */

static const gx_lint_operator *find_operator(const gx_lint_target *target, const char *op_type)
{
    for (const gx_lint_operator *o = target->operators; o->op_type; o++)
        if (strcmp(o->op_type, op_type) == 0)
            return o;
    return NULL;
}

static void check_value(lint *l, const gx_lint_operator *o, const gx_node *node, const gx_value *value)
{
    char reason[160];
    if (!value)
        return;
    if (!(o->types & GX_LINT_TYPE(value->dtype))) {
        snprintf(reason, sizeof reason, "does not take %s", gx_dtype_get(value->dtype)->name);
        add(l, false, o->op_type, reason, o->source, node->name);
    }
    if (l->target->max_rank && value->shape.rank > l->target->max_rank) {
        snprintf(reason, sizeof reason, "a tensor of rank %u, at most %u are taken", value->shape.rank, l->target->max_rank);
        add(l, false, o->op_type, reason, o->source, node->name);
    }
}

static bool is_initializer(const gx_graph *graph, const gx_value *value)
{
    for (const gx_initializer *i = graph->initializers; i; i = i->next)
        if (&i->value == value)
            return true;
    return false;
}

static void check_input(lint *l, const gx_lint_operator *o, const gx_node *node, unsigned index)
{
    char reason[64];
    check_value(l, o, node, node->inputs[index]);
    if (o->constants >> index & 1 && !is_initializer(l->graph, node->inputs[index])) {
        snprintf(reason, sizeof reason, "takes a constant alone as input %u", index);
        add(l, false, o->op_type, reason, o->source, node->name);
    }
}

static void check_node(lint *l, const gx_node *node)
{
    char op_type[96];
    snprintf(op_type, sizeof op_type, "%s%s%s", node->domain, node->domain[0] ? ":" : "", node->op_type);
    const gx_lint_operator *o = find_operator(l->target, op_type);
    if (!o) {
        add(l, false, op_type, "not taken", l->target->version, node->name);
        return;
    }
    if (o->constraint)
        add(l, true, op_type, o->constraint, o->source, node->name);
    for (unsigned i = 0; i < node->input_count; i++)
        check_input(l, o, node, i);
    for (unsigned i = 0; i < node->output_count; i++)
        check_value(l, o, node, node->outputs[i]);
    for (const gx_attribute *attribute = node->attributes; attribute; attribute = attribute->next)
        for (const gx_node *inner = attribute->graph ? attribute->graph->nodes : NULL; inner; inner = inner->next)
            check_node(l, inner);
}

/* ---- tensors ---- */

static bool is_dynamic(const gx_value *value)
{
    for (unsigned i = 0; i < value->shape.rank; i++)
        if (value->shape.dims[i].symbol)
            return true;
    return false;
}

/* 0 where a dimension is not a number. */
static uint64_t nbytes_of(const gx_value *value)
{
    const gx_dtype_info *info = gx_dtype_get(value->dtype);
    uint64_t elements = 1;
    for (unsigned i = 0; i < value->shape.rank; i++)
        if (value->shape.dims[i].symbol || !gx_mul_u64(elements, (uint64_t)value->shape.dims[i].number, &elements))
            return 0;
    return gx_ceil_div(elements, info->block_elements) * info->block_nbytes;
}

static void check_tensor(lint *l, const gx_value *value)
{
    char reason[160];
    if (is_dynamic(value) && !l->target->dynamic_shapes)
        add(l, false, "", "a tensor whose shape is not all numbers", l->target->limits_source, value->name);
    if (l->target->max_tensor_nbytes && nbytes_of(value) > l->target->max_tensor_nbytes) {
        snprintf(reason, sizeof reason, "a tensor of more than %.1f MB", (double)l->target->max_tensor_nbytes / 1e6);
        add(l, false, "", reason, l->target->limits_source, value->name);
    }
}

gx_lint_finding *gx_lint_graph(const gx_lint_target *target, const gx_graph *graph, gx_arena *arena, bool *failed)
{
    lint l = {.target = target, .graph = graph, .arena = arena};
    for (const gx_node *node = graph->nodes; node; node = node->next)
        check_node(&l, node);
    for (size_t i = 0; i < graph->input_count; i++)
        check_tensor(&l, graph->inputs[i]);
    for (const gx_initializer *i = graph->initializers; i; i = i->next)
        check_tensor(&l, &i->value);
    for (const gx_node *node = graph->nodes; node; node = node->next)
        for (unsigned i = 0; i < node->output_count; i++)
            if (node->outputs[i])
                check_tensor(&l, node->outputs[i]);
    *failed = l.failed;
    return l.failed ? NULL : l.first;
}
