/* gemma-onnx fetch */
#include <stdio.h>

#include "hub.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx fetch ID [options]\n\n"
         "Brings what a conversion needs of a model on the Hugging Face Hub, and prints where it is. ID is org/name, org/name@revision,\n"
         "org/name:file.gguf. What is in the Hub's cache already, from Python too, is not brought again; a broken download goes on\n"
         "where it was. The other commands do the same wherever they take a MODEL.\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx fetch google/gemma-3-270m\n"
         "  gemma-onnx fetch google/gemma-3-27b-it --dry-run\n"
         "  gemma-onnx build \"$(gemma-onnx fetch -q google/gemma-3-270m@main)\" -o out -p q4\n"
         "  HF_TOKEN=… gemma-onnx fetch google/gemma-3-1b-it --local-dir ./gemma-3-1b-it");
}

int command_fetch(int argc, char **argv)
{
    gx_fetch_options fetch;
    gx_fetch_options_default(&fetch);
    common_options common = {0};
    hub_arguments hub = {0};
    gx_hub_options_default(&hub.options);
    const option options[] = {
        {{"-m", "--model", "--model-name"}, OPTION_STRING, &fetch.model, "ID", "the model, instead of the first argument"},
        HUB_OPTIONS(hub),
        {{"-n", "--dry-run"}, OPTION_FLAG, &fetch.dry_run, NULL, "say what would come, bring nothing"},
        {{"--json"}, OPTION_FLAG, &common.json, NULL, "events as JSON on stdout, an object a line"},
        QUIET_AND_HELP(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, &fetch.model, 1, &positional_count, &error) != GX_OK)
        return report_error("fetch", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("fetch", GX_OK);
    }
    progress_line line;
    progress_begin(&line, common.quiet || common.json);
    catch_signals();
    fetch.hub = hub_options(&hub, &line, common.quiet, true);
    fetch.format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    fetch.progress = progress_show;
    fetch.progress_context = &line;
    fetch.text = print_text;
    fetch.text_context = &line;
    const gx_status status = gx_fetch(&fetch, &error);
    progress_end(&line);
    return status == GX_OK ? finish_output("fetch", GX_OK) : report_error("fetch", &error);
}
