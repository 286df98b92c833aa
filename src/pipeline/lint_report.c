/* Lints every graph of a plan. */
#include "lint/lint.h"
#include "pipeline/document.h"
#include "pipeline/lint_report.h"

gx_status gx_lint_check_name(const char *target, gx_error *error)
{
    return gx_lint_find(target) ? GX_OK : gx_fail(error, GX_ERROR_ARGUMENT, "no lint target '%s' (%s)", target, gx_lint_names());
}

static void print_finding(gx_buffer *out, const gx_lint_finding *f)
{
    gx_buffer_printf(out, "  %s%s%s%s", f->is_note ? "note: " : "", f->op_type, f->op_type[0] ? ": " : "", f->reason);
    gx_buffer_printf(out, " (%zu times, first at %s)", f->count, f->example);
    if (f->source[0])
        gx_buffer_printf(out, " [%s]", f->source);
    gx_buffer_append_text(out, "\n");
}

static void add_finding(yyjson_mut_doc *doc, yyjson_mut_val *list, const gx_lint_finding *f)
{
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, list);
    if (f->op_type[0])
        yyjson_mut_obj_add_str(doc, entry, "operator", f->op_type);
    yyjson_mut_obj_add_str(doc, entry, "reason", f->reason);
    yyjson_mut_obj_add_uint(doc, entry, "count", f->count);
    yyjson_mut_obj_add_str(doc, entry, "example", f->example);
    yyjson_mut_obj_add_str(doc, entry, "source", f->source);
}

typedef struct report {
    const gx_lint_target *target;
    gx_buffer text;
    yyjson_mut_doc *doc;
    size_t findings;
} report;

static gx_status lint_graph(report *r, const gx_plan *plan, const gx_target_graph *graph, gx_error *error)
{
    bool failed = false;
    const gx_lint_finding *first = gx_lint_graph(r->target, graph->graph, plan->arena, &failed);
    if (failed)
        return gx_fail_memory(error);
    size_t findings = 0;
    for (const gx_lint_finding *f = first; f; f = f->next)
        findings += !f->is_note;
    r->findings += findings;
    gx_buffer_printf(&r->text, "%s for %s: %s\n", graph->name, r->target->description, findings ? "not taken:" : "all is taken");
    yyjson_mut_val *entry = yyjson_mut_obj_add_obj(r->doc, yyjson_mut_obj_get(yyjson_mut_doc_get_root(r->doc), "graphs"), graph->name);
    yyjson_mut_val *lists[2] = {yyjson_mut_obj_add_arr(r->doc, entry, "findings"), yyjson_mut_obj_add_arr(r->doc, entry, "notes")};
    for (int notes = 0; notes < 2; notes++) {
        for (const gx_lint_finding *f = first; f; f = f->next) {
            if (f->is_note != notes)
                continue;
            print_finding(&r->text, f);
            add_finding(r->doc, lists[notes], f);
        }
    }
    return GX_OK;
}

static gx_status send(report *r, const gx_build_options *options, gx_error *error)
{
    if (options->format == GX_FORMAT_JSON)
        return gx_document_send(r->doc, options->text, options->text_context, error);
    GX_TRY(gx_buffer_check(&r->text, error));
    return gx_text_send(options->text, options->text_context, gx_buffer_text(&r->text), r->text.nbytes, error);
}

gx_status gx_lint_plan(const gx_plan *plan, const char *target, bool strict, const gx_build_options *options, gx_error *error)
{
    report r = {.target = gx_lint_find(target), .doc = gx_document_new()};
    if (!r.doc)
        return gx_fail_memory(error);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(r.doc);
    yyjson_mut_obj_add_str(r.doc, root, "lint", r.target->name);
    yyjson_mut_obj_add_str(r.doc, root, "target", r.target->description);
    yyjson_mut_obj_add_str(r.doc, root, "version", r.target->version);
    yyjson_mut_obj_add_obj(r.doc, root, "graphs");
    gx_status status = GX_OK;
    for (unsigned t = 0; status == GX_OK && t < plan->target_count; t++)
        for (unsigned i = 0; status == GX_OK && i < plan->targets[t].graph_count; i++)
            status = lint_graph(&r, plan, &plan->targets[t].graphs[i], error);
    if (status == GX_OK)
        status = send(&r, options, error);
    if (status == GX_OK && strict && r.findings)
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "%s does not take %zu things in these graphs; nothing was written", r.target->description, r.findings);
    gx_buffer_deinit(&r.text);
    yyjson_mut_doc_free(r.doc);
    return status;
}
