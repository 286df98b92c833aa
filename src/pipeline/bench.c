/* gx_bench: how fast an exported folder runs here. */
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "pipeline/clock.h"
#include "pipeline/document.h"
#include "pipeline/evaluation.h"
#include "pipeline/opened_model.h"

#define MAX_CONTEXTS (sizeof((gx_bench_options){0}.contexts) / sizeof(unsigned))
#define MAX_REPEATS 1000u

void gx_bench_options_default(gx_bench_options *options)
{
    *options = (gx_bench_options){.size = sizeof *options, .prompt_tokens = 512, .contexts = {32, 1024}, .decode_tokens = 32, .repeats = 5};
}

typedef struct spread {
    double least, median, most;
} spread;

typedef struct result {
    const gx_model_file *file;
    double load_seconds;
    spread prefill;              /* tokens per second; all 0: not measured, the caches are too short */
    spread decode[MAX_CONTEXTS];
    uint64_t peak_nbytes;
} result;

typedef struct job {
    const gx_bench_options *options;
    gx_arena *arena;
    gx_runtime *runtime;
    int64_t *ids;
    size_t longest; /* ids */
    result *results;
    size_t result_count;
    uint64_t done, total;
} job;

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static spread summarise(double *rates, size_t count)
{
    qsort(rates, count, sizeof *rates, compare_doubles);
    return (spread){rates[0], rates[count / 2], rates[count - 1]};
}

static gx_status step_progress(job *j, gx_error *error)
{
    const gx_progress progress = {.phase = "bench", .done = ++j->done, .total = j->total};
    if (j->options->progress && !j->options->progress(j->options->progress_context, &progress))
        return gx_fail(error, GX_ERROR_CANCELLED, "cancelled");
    return GX_OK;
}

/* The first repeat warms up and does not count. */
static gx_status measure_prefill(job *j, result *r, gx_decoder_state *state, double *rates, gx_error *error)
{
    gx_decoder_logits logits;
    for (unsigned k = 0; k <= j->options->repeats; k++) {
        GX_TRY(gx_decoder_state_reset(state, NULL, error));
        const double begun = gx_clock_seconds();
        GX_TRY(gx_decoder_step(state, j->ids, j->options->prompt_tokens, &logits, error));
        if (k > 0)
            rates[k - 1] = j->options->prompt_tokens / (gx_clock_seconds() - begun);
        GX_TRY(step_progress(j, error));
    }
    r->prefill = summarise(rates, j->options->repeats);
    return GX_OK;
}

/* So many ids in the caches: read anew, or what is there cut back to. */
static gx_status fill_context(const job *j, gx_decoder_state *state, size_t context, bool anew, gx_error *error)
{
    gx_decoder_logits logits;
    if (!anew)
        return gx_decoder_state_rewind(state, context, error);
    GX_TRY(gx_decoder_state_reset(state, NULL, error));
    return gx_decoder_step(state, j->ids, context, &logits, error);
}

static gx_status measure_decode(job *j, spread *out, gx_decoder_state *state, size_t context, bool rewinds, double *rates, gx_error *error)
{
    gx_decoder_logits logits;
    for (unsigned k = 0; k <= j->options->repeats; k++) {
        GX_TRY(fill_context(j, state, context, k == 0 || !rewinds, error));
        const double begun = gx_clock_seconds();
        for (unsigned i = 0; i < j->options->decode_tokens; i++)
            GX_TRY(gx_decoder_step(state, j->ids + i, 1, &logits, error));
        if (k > 0)
            rates[k - 1] = j->options->decode_tokens / (gx_clock_seconds() - begun);
        GX_TRY(step_progress(j, error));
    }
    *out = summarise(rates, j->options->repeats);
    return GX_OK;
}

/* Static caches may be too short for some of it, which is then left out. */
static gx_status measure_state(job *j, result *r, const gx_decoder *decoder, double *rates, gx_error *error)
{
    const gx_bench_options *o = j->options;
    const size_t limit = gx_decoder_max_length(decoder), room = limit && limit < j->longest ? limit : j->longest;
    gx_decoder_state *state = NULL;
    GX_TRY(gx_decoder_state_new(&state, decoder, 1, room, error));
    gx_status status = o->prompt_tokens <= room ? measure_prefill(j, r, state, rates, error) : GX_OK;
    for (size_t c = 0; status == GX_OK && c < MAX_CONTEXTS; c++)
        if (o->contexts[c] && o->contexts[c] + o->decode_tokens <= room)
            status = measure_decode(j, &r->decode[c], state, o->contexts[c], gx_decoder_rewinds(decoder), rates, error);
    gx_decoder_state_free(state);
    return status;
}

static gx_status make_ids(job *j, uint64_t vocabulary, gx_error *error)
{
    if (vocabulary == 0 || vocabulary > UINT32_MAX)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "the model's logits have no fixed width");
    return gx_evaluation_ids(&j->ids, j->arena, j->options->output_dir, NULL, (uint32_t)vocabulary, -1, 1, j->longest, error);
}

static gx_status measure_file(job *j, result *r, double *rates, gx_error *error)
{
    gx_session_options options;
    gx_session_options_default(&options);
    if (j->options->threads)
        options.threads = j->options->threads;
    gx_peak_memory_reset();
    gx_opened_model model;
    const double begun = gx_clock_seconds();
    gx_status status = gx_opened_model_open(&model, j->runtime, r->file, &options, error);
    r->load_seconds = gx_clock_seconds() - begun;
    if (status == GX_OK)
        status = make_ids(j, gx_decoder_vocabulary(model.decoder), error);
    if (status == GX_OK)
        status = measure_state(j, r, model.decoder, rates, error);
    r->peak_nbytes = gx_peak_memory_nbytes();
    gx_opened_model_close(&model);
    return status;
}

/* ---- print-out ---- */

static void add_spread(yyjson_mut_doc *doc, yyjson_mut_val *object, const spread *s)
{
    yyjson_mut_obj_add_real(doc, object, "median", s->median);
    yyjson_mut_obj_add_real(doc, object, "least", s->least);
    yyjson_mut_obj_add_real(doc, object, "most", s->most);
}

static void add_rates(yyjson_mut_doc *doc, yyjson_mut_val *entry, const job *j, const result *r)
{
    if (r->prefill.median > 0) {
        add_spread(doc, yyjson_mut_obj_add_obj(doc, entry, "prefill_tokens_per_second"), &r->prefill);
        yyjson_mut_obj_add_real(doc, entry, "time_to_first_token_seconds", j->options->prompt_tokens / r->prefill.median);
    }
    yyjson_mut_val *decode = yyjson_mut_obj_add_arr(doc, entry, "decode_tokens_per_second");
    for (size_t c = 0; c < MAX_CONTEXTS; c++) {
        if (!j->options->contexts[c] || r->decode[c].median == 0)
            continue;
        yyjson_mut_val *at = yyjson_mut_arr_add_obj(doc, decode);
        yyjson_mut_obj_add_uint(doc, at, "context", j->options->contexts[c]);
        add_spread(doc, at, &r->decode[c]);
    }
}

static void fill_document(yyjson_mut_doc *doc, const job *j)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, root, "onnxruntime", gx_runtime_version(j->runtime));
    yyjson_mut_obj_add_uint(doc, root, "threads", j->options->threads ? j->options->threads : gx_cpu_count());
    yyjson_mut_obj_add_uint(doc, root, "prompt_tokens", j->options->prompt_tokens);
    yyjson_mut_obj_add_uint(doc, root, "decode_tokens", j->options->decode_tokens);
    yyjson_mut_obj_add_uint(doc, root, "repeats", j->options->repeats);
    static const char *const forms[2] = {"precisions", "static_precisions"};
    for (int form = 0; form < 2; form++) {
        yyjson_mut_val *list = yyjson_mut_obj_add_obj(doc, root, forms[form]);
        for (size_t i = 0; i < j->result_count; i++) {
            const result *r = &j->results[i];
            if (r->file->is_static != form)
                continue;
            yyjson_mut_val *entry = yyjson_mut_obj_add_obj(doc, list, r->file->precision);
            yyjson_mut_obj_add_real(doc, entry, "load_seconds", r->load_seconds);
            yyjson_mut_obj_add_uint(doc, entry, "peak_memory_bytes", r->peak_nbytes);
            add_rates(doc, entry, j, r);
        }
    }
}

static void print_spread(gx_buffer *out, const spread *s)
{
    if (s->median > 0)
        gx_buffer_printf(out, "  %8.1f (%.1f … %.1f)%-4s", s->median, s->least, s->most, "");
    else
        gx_buffer_printf(out, "  %8s%-19s", "–", "");
}

static void print_table(gx_buffer *out, const job *j)
{
    gx_buffer_printf(out, "ONNX Runtime %s, %u threads; tokens/s: median (least … most) of %u\n\n", gx_runtime_version(j->runtime),
                     j->options->threads ? j->options->threads : gx_cpu_count(), j->options->repeats);
    gx_buffer_printf(out, "%-13s %8s %10s  %-26s", "", "load s", "peak MB", "prefill");
    for (size_t c = 0; c < MAX_CONTEXTS; c++)
        if (j->options->contexts[c])
            gx_buffer_printf(out, "  decode at %-18u", j->options->contexts[c]);
    gx_buffer_append_text(out, "\n");
    for (size_t i = 0; i < j->result_count; i++) {
        const result *r = &j->results[i];
        gx_buffer_printf(out, "%-6s%-7s %8.2f %10.0f", r->file->precision, r->file->is_static ? "static" : "", r->load_seconds, (double)r->peak_nbytes / 1e6);
        print_spread(out, &r->prefill);
        for (size_t c = 0; c < MAX_CONTEXTS; c++)
            if (j->options->contexts[c])
                print_spread(out, &r->decode[c]);
        gx_buffer_append_text(out, "\n");
    }
}

static gx_status print_json(const job *j, gx_error *error)
{
    const gx_bench_options *o = j->options;
    yyjson_mut_doc *doc = gx_document_new();
    if (!doc)
        return gx_fail_memory(error);
    fill_document(doc, j);
    const gx_status status = gx_document_keep(doc, o->results_file, o->format, o->text, o->text_context, error);
    yyjson_mut_doc_free(doc);
    return status;
}

static gx_status print(const job *j, gx_error *error)
{
    GX_TRY(print_json(j, error));
    if (j->options->format == GX_FORMAT_JSON)
        return GX_OK;
    gx_buffer text = {0};
    print_table(&text, j);
    return gx_text_finish(&text, j->options->text, j->options->text_context, error);
}

static gx_status run(job *j, gx_error *error)
{
    const gx_bench_options *o = j->options;
    gx_model_file files[GX_MAX_MODEL_FILES];
    bool embeds = false;
    GX_TRY(gx_output_folder_embeds(&embeds, o->output_dir, error));
    if (embeds)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s embeds texts; bench measures the generation of text", o->output_dir);
    GX_TRY(gx_output_folder_models(files, &j->result_count, j->arena, o->output_dir, o->precisions, error));
    j->results = GX_NEW_ARRAY(j->arena, result, j->result_count);
    double *rates = GX_NEW_ARRAY(j->arena, double, o->repeats);
    if (!j->results || !rates)
        return gx_fail_memory(error);
    size_t parts = 1;
    j->longest = o->prompt_tokens;
    for (size_t c = 0; c < MAX_CONTEXTS; c++) {
        parts += o->contexts[c] != 0;
        if (o->contexts[c] + o->decode_tokens > j->longest)
            j->longest = o->contexts[c] + o->decode_tokens;
    }
    j->total = j->result_count * parts * (o->repeats + 1);
    GX_TRY(gx_runtime_open(&j->runtime, o->ort_library, error));
    for (size_t i = 0; i < j->result_count; i++) {
        j->results[i] = (result){.file = &files[i]};
        GX_TRY(measure_file(j, &j->results[i], rates, error));
    }
    return print(j, error);
}

gx_status gx_bench(const gx_bench_options *options, gx_error *error)
{
    gx_error_clear(error);
    if (options->size != sizeof *options || !options->output_dir)
        return gx_fail(error, GX_ERROR_ARGUMENT, "nothing to measure: name a folder that build wrote");
    if (options->repeats == 0 || options->repeats > MAX_REPEATS || options->prompt_tokens == 0 || options->decode_tokens == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "repeats, prompt and decode tokens must be at least 1");
    job j = {.options = options, .arena = gx_arena_new()};
    const gx_status status = j.arena ? run(&j, error) : gx_fail_memory(error);
    gx_runtime_close(j.runtime);
    gx_arena_free(j.arena);
    return status;
}
