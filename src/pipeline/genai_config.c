/* Chooses the model and writes the config. */
#include <string.h>

#include "model/family.h"
#include "pipeline/document.h"
#include "pipeline/genai_config.h"
#include "pipeline/gguf_companions.h"

#define GENERATION_CONFIG_LIMIT (UINT64_C(16) << 20)

/* Prompt and new tokens, where a program says nothing. A shared cache is allocated for all of them at once: with Gemma 3 270M these
 * are 150 MB, and the whole context would be 1.2 GB. */
#define DEFAULT_MAX_LENGTH 4096u

/* ---- the choice ---- */

static bool is_planned(const gx_plan *plan, const char *precision)
{
    for (unsigned t = 0; t < plan->target_count; t++)
        if (strcmp(plan->targets[t].policy->name, precision) == 0)
            return true;
    return false;
}

/* Its profile; NULL: it will not be there. */
static gx_status find_profile(const gx_profile **out, const gx_plan *plan, unsigned index, yyjson_val *kept, const char *output_dir, gx_error *error)
{
    *out = NULL;
    if (is_planned(plan, gx_policy_name(index))) {
        *out = plan->profile;
        return GX_OK;
    }
    const char *profile = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(kept, gx_policy_name(index)), "profile"));
    if (!profile || !output_dir)
        return GX_OK;
    char *path = gx_arena_printf(plan->arena, "%s/onnx/model%s.onnx", output_dir, gx_policy_suffix(index));
    if (!path)
        return gx_fail_memory(error);
    *out = gx_path_exists(path) ? gx_profile_find(profile) : NULL;
    return GX_OK;
}

static gx_status fill_choice(gx_genai_choice *out, const gx_plan *plan, unsigned index, const gx_profile *profile, gx_error *error)
{
    gx_policy policy;
    GX_TRY(gx_policy_make(&policy, index, 0, 0, error));
    *out = (gx_genai_choice){.precision = gx_policy_name(index),
                             .model = gx_arena_printf(plan->arena, "onnx/model%s.onnx", gx_policy_suffix(index)),
                             .shared_cache = gx_decoder_shares_caches(plan->model, profile, policy.activation)};
    return out->model ? GX_OK : gx_fail_memory(error);
}

gx_status gx_genai_choose(gx_genai_choice *out, const gx_plan *plan, unsigned precision, yyjson_val *kept, const char *output_dir, gx_error *error)
{
    const gx_profile *profiles[GX_POLICY_COUNT];
    unsigned there = 0;
    *out = (gx_genai_choice){0};
    if (plan->request || !plan->model->family->genai_model_type)
        return precision ? gx_fail(error, GX_ERROR_ARGUMENT, "ONNX Runtime GenAI runs decoders with caches that grow, nothing else") : GX_OK;
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        GX_TRY(find_profile(&profiles[i], plan, i, kept, output_dir, error));
        if (profiles[i] && (precision == 0 || precision & 1u << i))
            there |= 1u << i;
    }
    if (!there)
        return gx_fail(error, GX_ERROR_ARGUMENT, "ONNX Runtime GenAI shall run the %s model, which is neither built now nor there; add it to -p",
                       gx_policy_name(gx_policy_preferred(precision)));
    const unsigned index = gx_policy_preferred(there);
    return fill_choice(out, plan, index, profiles[index], error);
}

/* ---- the file ---- */

/* What generation_config.json will say. */
static gx_status read_generation_config(yyjson_mut_doc **out, const gx_plan *plan, gx_error *error)
{
    const gx_checkpoint *checkpoint = plan->model->checkpoint;
    if (gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF)
        return gx_gguf_generation_config(out, checkpoint, error);
    char *path = gx_path_join(plan->arena, gx_checkpoint_folder(checkpoint), "generation_config.json");
    if (!path)
        return gx_fail_memory(error);
    yyjson_doc *doc = NULL;
    if (gx_path_exists(path))
        GX_TRY(gx_json_read(&doc, path, GENERATION_CONFIG_LIMIT, error));
    *out = doc ? yyjson_doc_mut_copy(doc, NULL) : gx_document_new();
    yyjson_doc_free(doc);
    return *out ? GX_OK : gx_fail_memory(error);
}

/* GenAI refuses an id beyond the vocabulary. */
static void add_stop_id(yyjson_mut_doc *doc, yyjson_mut_val *list, const gx_model *model, int64_t id)
{
    size_t index, count;
    yyjson_mut_val *value;
    if (id < 0 || id >= model->vocab_size)
        return;
    yyjson_mut_arr_foreach(list, index, count, value) if (yyjson_mut_get_sint(value) == id) return;
    yyjson_mut_arr_add_int(doc, list, id);
}

/* Those of generation_config.json and of config.json, which may have fewer. */
static void add_stop_ids(yyjson_mut_doc *doc, yyjson_mut_val *list, const gx_model *model, yyjson_mut_val *generation)
{
    yyjson_mut_val *eos = yyjson_mut_obj_get(generation, "eos_token_id"), *value;
    size_t index, count;
    if (yyjson_mut_is_int(eos))
        add_stop_id(doc, list, model, yyjson_mut_get_sint(eos));
    yyjson_mut_arr_foreach(eos, index, count, value) if (yyjson_mut_is_int(value)) add_stop_id(doc, list, model, yyjson_mut_get_sint(value));
    for (size_t i = 0; i < model->eos_token_count; i++)
        add_stop_id(doc, list, model, model->eos_token_ids[i]);
}

static void add_names(yyjson_mut_doc *doc, yyjson_mut_val *decoder)
{
    static const char *const inputs[][2] = {{"input_ids", "input_ids"},
                                            {"attention_mask", "attention_mask"},
                                            {"position_ids", "position_ids"},
                                            {"past_key_names", "past_key_values.%d.key"},
                                            {"past_value_names", "past_key_values.%d.value"}};
    static const char *const outputs[][2] = {{"logits", "logits"}, {"present_key_names", "present.%d.key"}, {"present_value_names", "present.%d.value"}};
    yyjson_mut_val *in = yyjson_mut_obj_add_obj(doc, decoder, "inputs"), *out = yyjson_mut_obj_add_obj(doc, decoder, "outputs");
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        yyjson_mut_obj_add_str(doc, in, inputs[i][0], inputs[i][1]);
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        yyjson_mut_obj_add_str(doc, out, outputs[i][0], outputs[i][1]);
}

/* Heads of the first layer: GenAI reads other ones from the graph's inputs. */
static void add_decoder(yyjson_mut_doc *doc, yyjson_mut_val *parent, const gx_model *model, const gx_genai_choice *choice)
{
    yyjson_mut_val *decoder = yyjson_mut_obj_add_obj(doc, parent, "decoder");
    yyjson_mut_obj_add_str(doc, decoder, "filename", choice->model);
    yyjson_mut_obj_add_arr(doc, yyjson_mut_obj_add_obj(doc, decoder, "session_options"), "provider_options");
    yyjson_mut_obj_add_uint(doc, decoder, "hidden_size", model->hidden_size);
    yyjson_mut_obj_add_uint(doc, decoder, "num_attention_heads", model->layers[0].num_attention_heads);
    yyjson_mut_obj_add_uint(doc, decoder, "num_key_value_heads", model->layers[0].num_key_value_heads);
    yyjson_mut_obj_add_uint(doc, decoder, "head_size", model->layers[0].head_dim);
    yyjson_mut_obj_add_uint(doc, decoder, "num_hidden_layers", gx_model_cache_count(model));
    add_names(doc, decoder);
}

static void add_model(yyjson_mut_doc *doc, const gx_model *model, const gx_genai_choice *choice, yyjson_mut_val *generation)
{
    yyjson_mut_val *out = yyjson_mut_obj_add_obj(doc, yyjson_mut_doc_get_root(doc), "model");
    yyjson_mut_obj_add_str(doc, out, "type", model->family->genai_model_type);
    yyjson_mut_obj_add_uint(doc, out, "vocab_size", model->vocab_size);
    yyjson_mut_obj_add_uint(doc, out, "context_length", model->max_position_embeddings);
    if (model->bos_token_id >= 0)
        yyjson_mut_obj_add_int(doc, out, "bos_token_id", model->bos_token_id);
    if (model->pad_token_id >= 0)
        yyjson_mut_obj_add_int(doc, out, "pad_token_id", model->pad_token_id);
    add_stop_ids(doc, yyjson_mut_obj_add_arr(doc, out, "eos_token_id"), model, generation);
    add_decoder(doc, out, model, choice);
}

/* Greedy, as `run` is; the model's own numbers for a program that samples. */
static void add_search(yyjson_mut_doc *doc, const gx_model *model, const gx_genai_choice *choice, yyjson_mut_val *generation)
{
    static const char *const carried[] = {"temperature", "top_k", "top_p"};
    const uint32_t longest = model->max_position_embeddings < DEFAULT_MAX_LENGTH ? model->max_position_embeddings : DEFAULT_MAX_LENGTH;
    yyjson_mut_val *search = yyjson_mut_obj_add_obj(doc, yyjson_mut_doc_get_root(doc), "search");
    yyjson_mut_obj_add_bool(doc, search, "do_sample", false);
    for (size_t i = 0; i < sizeof carried / sizeof *carried; i++) {
        yyjson_mut_val *value = yyjson_mut_obj_get(generation, carried[i]);
        if (yyjson_mut_is_num(value))
            yyjson_mut_obj_add_val(doc, search, carried[i], yyjson_mut_val_mut_copy(doc, value));
    }
    yyjson_mut_obj_add_uint(doc, search, "max_length", longest);
    yyjson_mut_obj_add_bool(doc, search, "past_present_share_buffer", choice->shared_cache);
}

gx_status gx_genai_config_make(char **out, size_t *nbytes, const gx_plan *plan, const gx_genai_choice *choice, gx_error *error)
{
    yyjson_mut_doc *generation = NULL;
    GX_TRY(read_generation_config(&generation, plan, error));
    yyjson_mut_doc *doc = gx_document_new();
    gx_status status = doc ? GX_OK : gx_fail_memory(error);
    if (status == GX_OK) {
        add_model(doc, plan->model, choice, yyjson_mut_doc_get_root(generation));
        add_search(doc, plan->model, choice, yyjson_mut_doc_get_root(generation));
        status = gx_json_write(out, nbytes, doc, error);
    }
    yyjson_mut_doc_free(doc);
    yyjson_mut_doc_free(generation);
    return status;
}
