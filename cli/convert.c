/* gemma-onnx convert */
#include <stdio.h>
#include <string.h>

#include "hub.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx convert MODEL --output_dir DIR [--batch_size N] [--seq_length N ...] [--max_length N] [options]\n\n"
         "Converts a Gemma checkpoint to a pair of graphs in which every dimension is a number: gemma_prefill.onnx takes\n"
         "seq_length ids a call, gemma_decode.onnx one; both read gemma.onnx_data and keep caches of max_length positions.\n"
         "gemma_static.json says how to drive them. Profiles: ort (fastest in ONNX Runtime), standard (ai.onnx operators),\n"
         "primitive (basic operators, for compilers of accelerators).\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx convert --model_name ./gemma-3-270m --output_dir out --batch_size 1 --seq_length 128 --max_length 512 \\\n"
         "    --compare --benchmark\n"
         "  gemma-onnx convert ./gemma-3-270m -o out -p q4 --seq_length 128 512 --max_length 4096 --cache bounded\n"
         "  gemma-onnx convert ./gemma-3-270m -o out -p fp16 --profile primitive");
}

typedef struct choices {
    option_list precisions, lengths;
    const char *profile, *cache;
    bool compare, benchmark;
    const char *reference_file, *ort_library;
    double tolerance;
} choices;

static gx_status take_choices(gx_convert_options *convert, const choices *c, gx_error *error)
{
    static const char *const caches[] = {"full", "bounded"};
    unsigned cache = 0;
    gx_status status = parse_precisions(&convert->build.precisions, &c->precisions, error);
    if (status == GX_OK)
        status = parse_numbers(convert->sequence_lengths, GX_CONVERT_MAX_LENGTHS, "--seq_length", &c->lengths, error);
    if (status == GX_OK)
        status = parse_profile(&convert->build.profile, c->profile, error);
    if (status == GX_OK)
        status = parse_choice(&cache, "--cache", c->cache, caches, 2, error);
    convert->bounded_cache = cache == 1;
    if (c->precisions.count)
        convert->first_precision = gx_precision_from_name(c->precisions.values[0]);
    return status;
}

static gx_status compare(const gx_convert_options *convert, const choices *c, gx_error *error)
{
    gx_compare_options options;
    gx_compare_options_default(&options);
    options.output_dir = convert->build.output_dir;
    options.hub = convert->build.hub;
    options.reference_file = c->reference_file;
    options.precisions = convert->build.precisions;
    options.ort_library = c->ort_library;
    options.threads = convert->build.threads;
    options.format = convert->build.format;
    options.progress = convert->build.progress;
    options.progress_context = convert->build.progress_context;
    options.text = convert->build.text;
    options.text_context = convert->build.text_context;
    if (c->tolerance > 0)
        options.tolerance = c->tolerance;
    return gx_compare(&options, error);
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* A prompt of one prefill call; decoding early, half-way and at the end of the caches. */
static gx_status benchmark(const gx_convert_options *convert, const choices *c, gx_error *error)
{
    gx_bench_options options;
    char path[4096];
    gx_bench_options_default(&options);
    if (snprintf(path, sizeof path, "%s/benchmark_results.json", convert->build.output_dir) >= (int)sizeof path)
        return argument_error(error, "%s: the path is too long", convert->build.output_dir);
    options.output_dir = convert->build.output_dir;
    options.precisions = convert->build.precisions;
    options.results_file = path;
    options.prompt_tokens = convert->sequence_lengths[0];
    options.decode_tokens = smaller(options.decode_tokens, (convert->max_length + 1) / 2);
    const unsigned last = convert->max_length - options.decode_tokens;
    memset(options.contexts, 0, sizeof options.contexts);
    const unsigned contexts[] = {smaller(32, last), last / 2, last};
    for (unsigned i = 0, count = 0; i < 3; i++)
        if (contexts[i] > 0 && (count == 0 || contexts[i] > options.contexts[count - 1]))
            options.contexts[count++] = contexts[i];
    options.ort_library = c->ort_library;
    options.threads = convert->build.threads;
    options.format = convert->build.format;
    options.progress = convert->build.progress;
    options.progress_context = convert->build.progress_context;
    options.text = convert->build.text;
    options.text_context = convert->build.text_context;
    return gx_bench(&options, error);
}

/* A failed comparison does not keep the benchmark from running. */
static gx_status convert_and_measure(const gx_convert_options *convert, const choices *c, gx_error *error)
{
    gx_status status = gx_convert(convert, error);
    if (status != GX_OK || convert->build.dry_run)
        return status;
    gx_error later = {0};
    if (c->compare || c->reference_file)
        status = compare(convert, c, error);
    if (c->benchmark && (status == GX_OK || status == GX_ERROR_MISMATCH) && benchmark(convert, c, &later) != GX_OK && status == GX_OK) {
        *error = later;
        status = later.status;
    }
    return status;
}

int command_convert(int argc, char **argv)
{
    gx_convert_options convert;
    gx_convert_options_default(&convert);
    gx_build_options *build = &convert.build;
    common_options common = {0};
    hub_arguments hub = {0};
    gx_hub_options_default(&hub.options);
    choices c = {0};
    const char *model = NULL;
    const option options[] = {
        {{"-m", "--model", "--model-name"}, OPTION_STRING, &model, "MODEL", "the checkpoint, instead of the first argument"},
        {{"-o", "--output", "--output-dir"}, OPTION_STRING, &build->output_dir, "DIR", "where the files go; required"},
        {{"--batch-size"}, OPTION_UINT, &convert.batch_size, "N", "rows of every call, 1 to 8 (default 1)"},
        {{"--seq-length"}, OPTION_LIST, &c.lengths, "N ...", "ids of a prefill call, a graph for each (default 128)"},
        {{"--max-length"}, OPTION_UINT, &convert.max_length, "N", "positions that the caches hold (default 512)"},
        {{"-p", "--precision"}, OPTION_LIST, &c.precisions, "P ...", "fp32, fp16, q4, q4f16, q8, int8, or all (default fp32)"},
        PROFILE_OPTION(c.profile),
        {{"--cache"}, OPTION_STRING, &c.cache, "KIND", "full, or bounded: sliding layers keep their window (default full)"},
        {{"--block-size"}, OPTION_UINT, &build->block_size, "N", "of all 4-bit weights: 16, 32, 64, 128 (default 32; the embedding's 64)"},
        {{"--embedding-bits"}, OPTION_UINT, &build->embedding_bits, "N", "of q4 and q4f16: 4, 8, 16, 32 (default: docs/quantisation.md)"},
        {{"--compare"}, OPTION_FLAG, &c.compare, NULL, "then against the fp32 reference: comparison_report.json, .html"},
        {{"--reference"}, OPTION_STRING, &c.reference_file, "FILE", "compare with logits recorded elsewhere (.npz, .safetensors)"},
        {{"--tolerance"}, OPTION_DOUBLE, &c.tolerance, "X", "largest difference of an fp32 logit (default 1e-3)"},
        {{"--benchmark"}, OPTION_FLAG, &c.benchmark, NULL, "then measure the speed: benchmark_results.json"},
        {{"--ort-library"}, OPTION_STRING, &c.ort_library, "FILE", "libonnxruntime.so"},
        {{"--lint"}, OPTION_STRING, &convert.lint, "TARGET", "say what qnn, coreml, openvino, webnn or webgpu does not take"},
        {{"--lint-strict"}, OPTION_FLAG, &convert.lint_strict, NULL, "with --lint: write nothing then, exit status 5"},
        {{"--all-logits"}, OPTION_FLAG, &build->all_logits, NULL, "logits of every position of a prefill call instead of one"},
        {{"--force"}, OPTION_FLAG, &build->force, NULL, "overwrite existing models"},
        {{"-n", "--dry-run"}, OPTION_FLAG, &build->dry_run, NULL, "print the plan, write nothing"},
        HUB_OPTIONS(hub),
        COMMON_OPTIONS(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    const char *positional[1];
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, positional, 1, &positional_count, &error) != GX_OK || take_choices(&convert, &c, &error) != GX_OK)
        return report_error("convert", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("convert", GX_OK);
    }
    progress_line line;
    progress_begin(&line, common.quiet);
    catch_signals();
    build->model = positional_count ? positional[0] : model;
    build->hub = hub_options(&hub, &line, common.quiet, build->dry_run);
    build->threads = common.threads;
    build->format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    build->progress = progress_show;
    build->progress_context = &line;
    build->text = common.quiet && !build->dry_run ? NULL : print_text;
    build->text_context = &line;
    const gx_status status = convert_and_measure(&convert, &c, &error);
    progress_end(&line);
    return status == GX_OK ? finish_output("convert", GX_OK) : report_error("convert", &error);
}
