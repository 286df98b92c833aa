/* gemma-onnx verify */
#include <stdio.h>

#include "hub.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx verify DIR [--against MODEL] [options]\n\n"
         "Compares what build wrote with an independent fp32 forward pass over the checkpoint: every position, cached\n"
         "decoding, left-padded batches, beyond the sliding window, greedy text. Writes DIR/verify.json and verify.html.\n"
         "Exit status 8 when a file misses its bar.\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx verify out\n"
         "  gemma-onnx verify out -p q4 --windows 8 --text-file book.txt --json");
}

int command_verify(int argc, char **argv)
{
    gx_verify_options verify;
    gx_verify_options_default(&verify);
    common_options common = {0};
    hub_arguments hub = {0};
    gx_hub_options_default(&hub.options);
    option_list precisions = {0};
    const option options[] = {
        {{"-a", "--against"}, OPTION_STRING, &verify.against, "MODEL", "the checkpoint to judge by (default: the source)"},
        {{"-p", "--precision"}, OPTION_LIST, &precisions, "P ...", "which files (default: all that are there)"},
        {{"--text-file"}, OPTION_STRING, &verify.text_file, "FILE", "text to measure on (default: a built-in one)"},
        {{"--windows"}, OPTION_UINT, &verify.windows, "N", "stretches of text (default 2)"},
        {{"--window-ids"}, OPTION_UINT, &verify.window_ids, "N", "ids in each (default: 512, or beyond the sliding window)"},
        {{"--greedy-ids"}, OPTION_UINT, &verify.greedy_ids, "N", "ids generated from each of three prompts (default 32)"},
        {{"--max-kl"}, OPTION_DOUBLE, &verify.max_kl, "X", "bar for quantised files, nats (default 1)"},
        {{"--ort-library"}, OPTION_STRING, &verify.ort_library, "FILE", "libonnxruntime.so"},
        HUB_OPTIONS(hub),
        COMMON_OPTIONS(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, &verify.output_dir, 1, &positional_count, &error) != GX_OK ||
        parse_precisions(&verify.precisions, &precisions, &error) != GX_OK)
        return report_error("verify", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("verify", GX_OK);
    }
    progress_line line;
    progress_begin(&line, common.quiet);
    catch_signals();
    verify.hub = hub_options(&hub, &line, common.quiet, false);
    verify.threads = common.threads;
    verify.format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    verify.progress = progress_show;
    verify.progress_context = &line;
    verify.text = common.quiet ? NULL : print_text;
    verify.text_context = &line;
    const gx_status status = gx_verify(&verify, &error);
    progress_end(&line);
    finish_output("verify", GX_OK);
    return status == GX_OK ? GX_OK : report_error("verify", &error);
}
