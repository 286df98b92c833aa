/* The plan as text or JSON. */
#include "pipeline/document.h"
#include "pipeline/plan_text.h"

static double megabytes(uint64_t nbytes)
{
    return (double)nbytes / 1e6;
}

static uint64_t stored_nbytes(const gx_stored *stored)
{
    uint64_t nbytes = 0;
    for (int part = 0; part < GX_PART_COUNT; part++)
        nbytes += stored->parts[part].nbytes;
    return nbytes;
}

static void describe_target(gx_buffer *out, const gx_plan *plan, const gx_target *target)
{
    char scheme[96];
    const char *folder = gx_plan_folder(plan);
    gx_buffer_printf(out, "\n%s:", target->policy->name);
    for (unsigned i = 0; i < target->graph_count; i++)
        gx_buffer_printf(out, " %s%s", folder, target->graphs[i].name);
    gx_buffer_append_text(out, "\n");
    for (unsigned i = 0; i < target->data_files; i++)
        gx_buffer_printf(out, "  %s%-45s %12.1f MB\n", folder, target->data_names[i], megabytes(target->data_nbytes[i]));
    if (target->residual_scale != 1)
        gx_buffer_printf(out, "  residual stream times %g\n", target->residual_scale);
    for (size_t i = 0; i < target->stored_count; i++) {
        const gx_stored *stored = target->stored[i];
        gx_scheme_name(&stored->scheme, scheme, sizeof scheme);
        gx_buffer_printf(out, "  %-62s %10.3f MB  %-34s %s\n", stored->name, megabytes(stored_nbytes(stored)), scheme, stored->rule);
    }
}

static void describe_text(gx_buffer *out, const gx_plan *plan, const gx_genai_choice *genai)
{
    const gx_model *model = plan->model;
    gx_buffer_printf(out, "%s: %s, %llu parameters, %u layers, hidden_size %u, vocab_size %u\n", gx_checkpoint_path(model->checkpoint),
                     model->family_name, (unsigned long long)model->parameters, model->num_hidden_layers, model->hidden_size, model->vocab_size);
    for (size_t i = 0; i < model->note_count; i++)
        gx_buffer_printf(out, "note: %s\n", model->notes[i]);
    if (model->left_out_count)
        gx_buffer_printf(out, "left out: %zu tensors that are no part of the text decoder, from '%s'\n", model->left_out_count,
                         model->left_out[0]->name);
    for (unsigned t = 0; t < plan->target_count; t++)
        describe_target(out, plan, &plan->targets[t]);
    if (genai->precision)
        gx_buffer_printf(out, "\nONNX Runtime GenAI runs %s (%s)\n", genai->model, GX_GENAI_CONFIG_NAME);
    gx_buffer_printf(out, "\nread %.1f MB once, write %.1f MB\n", megabytes(plan->source_nbytes), megabytes(gx_plan_output_nbytes(plan)));
}

static void describe_target_json(yyjson_mut_doc *doc, yyjson_mut_val *targets, const gx_target *target)
{
    char scheme[96];
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, targets);
    yyjson_mut_obj_add_strcpy(doc, entry, "precision", target->policy->name);
    yyjson_mut_val *models = yyjson_mut_obj_add_arr(doc, entry, "models");
    for (unsigned i = 0; i < target->graph_count; i++)
        yyjson_mut_arr_add_strcpy(doc, models, target->graphs[i].name);
    yyjson_mut_obj_add_real(doc, entry, "residual_scale", target->residual_scale);
    yyjson_mut_val *files = yyjson_mut_obj_add_arr(doc, entry, "data");
    for (unsigned i = 0; i < target->data_files; i++) {
        yyjson_mut_val *file = yyjson_mut_arr_add_obj(doc, files);
        yyjson_mut_obj_add_strcpy(doc, file, "name", target->data_names[i]);
        yyjson_mut_obj_add_uint(doc, file, "bytes", target->data_nbytes[i]);
    }
    yyjson_mut_val *tensors = yyjson_mut_obj_add_arr(doc, entry, "tensors");
    for (size_t i = 0; i < target->stored_count; i++) {
        const gx_stored *stored = target->stored[i];
        yyjson_mut_val *tensor = yyjson_mut_arr_add_obj(doc, tensors);
        gx_scheme_name(&stored->scheme, scheme, sizeof scheme);
        yyjson_mut_obj_add_strcpy(doc, tensor, "name", stored->name);
        yyjson_mut_obj_add_strcpy(doc, tensor, "scheme", scheme);
        yyjson_mut_obj_add_strcpy(doc, tensor, "rule", stored->rule);
        yyjson_mut_obj_add_uint(doc, tensor, "bytes", stored_nbytes(stored));
    }
}

static gx_status describe_json(const gx_plan *plan, const gx_genai_choice *genai, const gx_build_options *options, gx_error *error)
{
    yyjson_mut_doc *doc = gx_document_new();
    if (!doc)
        return gx_fail_memory(error);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, root, "family", plan->model->family_name);
    yyjson_mut_obj_add_uint(doc, root, "parameters", plan->model->parameters);
    yyjson_mut_obj_add_uint(doc, root, "read_bytes", plan->source_nbytes);
    yyjson_mut_obj_add_uint(doc, root, "write_bytes", gx_plan_output_nbytes(plan));
    if (genai->precision)
        yyjson_mut_obj_add_str(doc, root, "genai_model", genai->model);
    yyjson_mut_val *targets = yyjson_mut_obj_add_arr(doc, root, "files");
    for (unsigned t = 0; t < plan->target_count; t++)
        describe_target_json(doc, targets, &plan->targets[t]);
    const gx_status status = gx_document_send(doc, options->text, options->text_context, error);
    yyjson_mut_doc_free(doc);
    return status;
}

gx_status gx_plan_print(const gx_plan *plan, const gx_genai_choice *genai, const gx_build_options *options, gx_error *error)
{
    if (options->format == GX_FORMAT_JSON)
        return describe_json(plan, genai, options, error);
    gx_buffer text = {0};
    describe_text(&text, plan, genai);
    return gx_text_finish(&text, options->text, options->text_context, error);
}
