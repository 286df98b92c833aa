/* gemma-onnx bench */
#include <stdio.h>

#include "command.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx bench DIR [options]\n\n"
         "Measures load time, prefill and decode tokens/s and peak memory of each model in DIR, in ONNX Runtime.\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx bench out --threads 2\n"
         "  gemma-onnx bench out -p q4 --prompt-tokens 128 --context 32 4096 --json");
}

int command_bench(int argc, char **argv)
{
    gx_bench_options bench;
    gx_bench_options_default(&bench);
    common_options common = {0};
    option_list precisions = {0};
    option_list contexts = {0};
    const option options[] = {
        {{"-p", "--precision"}, OPTION_LIST, &precisions, "P ...", "which files (default: all that are there)"},
        {{"--prompt-tokens"}, OPTION_UINT, &bench.prompt_tokens, "N", "of the prefill (default 512)"},
        {{"--context"}, OPTION_LIST, &contexts, "N ...", "decode after N tokens (default: 32 and 1024)"},
        {{"--decode-tokens"}, OPTION_UINT, &bench.decode_tokens, "N", "per measurement (default 32)"},
        {{"--repeats"}, OPTION_UINT, &bench.repeats, "N", "counted repeats after one warm-up (default 5)"},
        {{"--ort-library"}, OPTION_STRING, &bench.ort_library, "FILE", "libonnxruntime.so"},
        COMMON_OPTIONS(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, &bench.output_dir, 1, &positional_count, &error) != GX_OK ||
        parse_precisions(&bench.precisions, &precisions, &error) != GX_OK ||
        parse_numbers(bench.contexts, sizeof bench.contexts / sizeof *bench.contexts, "--context", &contexts, &error) != GX_OK)
        return report_error("bench", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("bench", GX_OK);
    }
    progress_line line;
    progress_begin(&line, common.quiet);
    catch_signals();
    bench.threads = common.threads;
    bench.format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    bench.progress = progress_show;
    bench.progress_context = &line;
    bench.text = print_text;
    bench.text_context = &line;
    const gx_status status = gx_bench(&bench, &error);
    progress_end(&line);
    return status == GX_OK ? finish_output("bench", GX_OK) : report_error("bench", &error);
}
