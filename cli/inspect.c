/* gemma-onnx inspect */
#include <stdio.h>

#include "hub.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx inspect PATH [options]\n\n"
         "Says what a checkpoint folder, a .gguf, .safetensors or .onnx file (ours or not), or an output folder holds.\n"
         "Reads headers only.\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx inspect ./gemma-3-270m\n"
         "  gemma-onnx inspect gemma-3-270m-Q4_K_M.gguf --tensors\n"
         "  gemma-onnx inspect out/onnx/model_q4.onnx --json");
}

int command_inspect(int argc, char **argv)
{
    gx_inspect_options inspect;
    gx_inspect_options_default(&inspect);
    common_options common = {0};
    hub_arguments hub = {0};
    gx_hub_options_default(&hub.options);
    const option options[] = {
        {{"--tensors"}, OPTION_FLAG, &inspect.tensors, NULL, "list every tensor"},
        HUB_OPTIONS(hub),
        COMMON_OPTIONS(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, &inspect.path, 1, &positional_count, &error) != GX_OK)
        return report_error("inspect", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("inspect", GX_OK);
    }
    progress_line line;
    progress_begin(&line, common.quiet);
    inspect.hub = hub_options(&hub, &line, true, false);
    inspect.format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    inspect.text = print_text;
    if (gx_inspect(&inspect, &error) != GX_OK)
        return report_error("inspect", &error);
    return finish_output("inspect", GX_OK);
}
