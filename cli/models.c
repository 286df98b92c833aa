/* gemma-onnx models */
#include <stdio.h>

#include "command.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx models [ID] [options]\n\n"
         "Lists the published checkpoints that this version converts, with the parameters of their text decoders. Checkpoints\n"
         "that are not listed are converted, too, when their config and tensors are those of a known family.\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx models\n"
         "  gemma-onnx models google/gemma-2-2b --json");
}

int command_models(int argc, char **argv)
{
    gx_models_options models;
    gx_models_options_default(&models);
    common_options common = {0};
    const option options[] = {
        COMMON_OPTIONS(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, &models.id, 1, &positional_count, &error) != GX_OK)
        return report_error("models", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("models", GX_OK);
    }
    models.format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    models.text = print_text;
    if (gx_models(&models, &error) != GX_OK)
        return report_error("models", &error);
    return finish_output("models", GX_OK);
}
