/* gemma-onnx convert */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx convert MODEL --output_dir DIR [--batch_size N] [--seq_length N ...] [--max_length N] [options]\n\n"
         "Converts a Gemma checkpoint to a pair of graphs in which every dimension is a number: gemma_prefill.onnx takes\n"
         "seq_length ids a call, gemma_decode.onnx one; both read gemma.onnx_data and keep caches of max_length positions.\n"
         "gemma_static.json says how to drive them. Profiles: ort (fastest in ONNX Runtime), standard (ai.onnx operators),\n"
         "primitive (basic operators, for compilers of accelerators).\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx convert --model_name ./gemma-3-270m --output_dir out --batch_size 1 --seq_length 128 --max_length 512\n"
         "  gemma-onnx convert ./gemma-3-270m -o out -p q4 --seq_length 128 512 --max_length 4096 --cache bounded\n"
         "  gemma-onnx convert ./gemma-3-270m -o out -p fp16 --profile primitive");
}

static gx_status parse_choice(unsigned *out, const char *option_name, const char *value, const char *const *names, unsigned count, gx_error *error)
{
    for (unsigned i = 0; value && i < count; i++) {
        if (strcmp(names[i], value) == 0) {
            *out = i;
            return GX_OK;
        }
    }
    return value ? argument_error(error, "%s: there is no '%s'; see --help", option_name, value) : GX_OK;
}

static gx_status parse_lengths(unsigned *lengths, const option_list *list, gx_error *error)
{
    if (list->count > GX_CONVERT_MAX_LENGTHS)
        return argument_error(error, "--seq_length: at most %d values", GX_CONVERT_MAX_LENGTHS);
    for (unsigned i = 0; i < list->count; i++) {
        char *end = NULL;
        const unsigned long value = strtoul(list->values[i], &end, 10);
        if (list->values[i][0] < '0' || list->values[i][0] > '9' || *end || value == 0 || value > 1u << 30)
            return argument_error(error, "--seq_length: '%s' is not a length", list->values[i]);
        lengths[i] = (unsigned)value;
    }
    return GX_OK;
}

typedef struct choices {
    option_list precisions, lengths;
    const char *profile, *cache;
} choices;

static gx_status take_choices(gx_convert_options *convert, const choices *c, gx_error *error)
{
    static const char *const profiles[] = {"ort", "standard", "primitive"}, *const caches[] = {"full", "bounded"};
    unsigned profile = GX_PROFILE_ORT, cache = 0;
    gx_status status = parse_precisions(&convert->build.precisions, &c->precisions, error);
    if (status == GX_OK)
        status = parse_lengths(convert->sequence_lengths, &c->lengths, error);
    if (status == GX_OK)
        status = parse_choice(&profile, "--profile", c->profile, profiles, 3, error);
    if (status == GX_OK)
        status = parse_choice(&cache, "--cache", c->cache, caches, 2, error);
    convert->profile = (gx_profile_choice)profile;
    convert->bounded_cache = cache == 1;
    if (c->precisions.count)
        convert->first_precision = gx_precision_from_name(c->precisions.values[0]);
    return status;
}

int command_convert(int argc, char **argv)
{
    gx_convert_options convert;
    gx_convert_options_default(&convert);
    gx_build_options *build = &convert.build;
    common_options common = {0};
    choices c = {0};
    const char *model = NULL;
    const option options[] = {
        {{"-m", "--model", "--model-name"}, OPTION_STRING, &model, "MODEL", "the checkpoint, instead of the first argument"},
        {{"-o", "--output", "--output-dir"}, OPTION_STRING, &build->output_dir, "DIR", "where the files go; required"},
        {{"--batch-size"}, OPTION_UINT, &convert.batch_size, "N", "rows of every call, 1 to 8 (default 1)"},
        {{"--seq-length"}, OPTION_LIST, &c.lengths, "N ...", "ids of a prefill call, a graph for each (default 128)"},
        {{"--max-length"}, OPTION_UINT, &convert.max_length, "N", "positions that the caches hold (default 512)"},
        {{"-p", "--precision"}, OPTION_LIST, &c.precisions, "P ...", "fp32, fp16, q4, q4f16, q8, or all (default fp32)"},
        {{"--profile"}, OPTION_STRING, &c.profile, "NAME", "operators: ort, standard, primitive (default ort)"},
        {{"--cache"}, OPTION_STRING, &c.cache, "KIND", "full, or bounded: sliding layers keep their window (default full)"},
        {{"--block-size"}, OPTION_UINT, &build->block_size, "N", "of all 4-bit weights: 16, 32, 64, 128 (default 32; the embedding's 64)"},
        {{"--embedding-bits"}, OPTION_UINT, &build->embedding_bits, "N", "of q4 and q4f16: 4, 8, 16, 32 (default: docs/quantisation.md)"},
        {{"--all-logits"}, OPTION_FLAG, &build->all_logits, NULL, "logits of every position of a prefill call instead of one"},
        {{"--force"}, OPTION_FLAG, &build->force, NULL, "overwrite existing models"},
        {{"-n", "--dry-run"}, OPTION_FLAG, &build->dry_run, NULL, "print the plan, write nothing"},
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
    build->threads = common.threads;
    build->format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    build->progress = progress_show;
    build->progress_context = &line;
    build->text = common.quiet && !build->dry_run ? NULL : print_text;
    const gx_status status = gx_convert(&convert, &error);
    progress_end(&line);
    return status == GX_OK ? finish_output("convert", GX_OK) : report_error("convert", &error);
}
