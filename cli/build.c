/* gemma-onnx build */
#include <stdio.h>

#include "hub.h"

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx build MODEL -o DIR [-p PRECISION ...] [options]\n\n"
         "Converts a Gemma checkpoint to ONNX decoders with a growing KV cache, in the layout of Transformers.js:\n"
         "DIR/onnx/model.onnx (fp32), model_fp16.onnx, model_q4.onnx, model_q4f16.onnx, model_quantized.onnx (q8),\n"
         "model_int8.onnx.\n"
         "Of Gemma 3n and 4 also embed_tokens….onnx and decoder_model_merged….onnx, as it loads these.\n"
         "The source is read once for all precisions. EmbeddingGemma becomes an encoder that gives sentence embeddings.\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx build ./gemma-3-270m -o out\n"
         "  gemma-onnx build gemma-3-270m-Q4_K_M.gguf -o out -p fp32 fp16 q4 q4f16 q8\n"
         "  gemma-onnx build ./gemma-3-27b -o out -p q4 --block-size 64 --dry-run\n"
         "  gemma-onnx build ./embeddinggemma-300m -o out -p q8 --embedding-dim 256");
}

int command_build(int argc, char **argv)
{
    gx_build_options build;
    gx_build_options_default(&build);
    common_options common = {0};
    hub_arguments hub = {0};
    gx_hub_options_default(&hub.options);
    option_list precisions = {0}, genai_precision = {0};
    const char *model = NULL, *profile = NULL;
    unsigned accuracy_level = (unsigned)build.accuracy_level;
    const option options[] = {
        {{"-m", "--model", "--model-name"}, OPTION_STRING, &model, "MODEL", "the checkpoint, instead of the first argument"},
        {{"-o", "--output", "--output-dir"}, OPTION_STRING, &build.output_dir, "DIR", "where the files go; required"},
        {{"-p", "--precision"}, OPTION_LIST, &precisions, "P ...", "fp32, fp16, q4, q4f16, q8, int8, or all (default fp32)"},
        PROFILE_OPTION(profile),
        {{"--block-size"}, OPTION_UINT, &build.block_size, "N", "of all 4-bit weights: 16, 32, 64, 128 (default 32; the embedding's 64)"},
        {{"--embedding-bits"}, OPTION_UINT, &build.embedding_bits, "N", "of q4 and q4f16: 4, 8, 16, 32 (default: docs/quantisation.md)"},
        {{"--accuracy-level"}, OPTION_UINT, &accuracy_level, "N", "least arithmetic of q4, q4f16, int8: 0, 1 fp32 (slow), 4 int8 (default 4)"},
        {{"--embedding-dim"}, OPTION_UINT, &build.embedding_dim, "N", "of EmbeddingGemma: so many values of each embedding (default all)"},
        {{"--all-logits"}, OPTION_FLAG, &build.all_logits, NULL, "logits of every position instead of the last"},
        {{"--genai-precision"}, OPTION_LIST, &genai_precision, "P", "what ONNX Runtime GenAI runs (default: q4 if it is there, else int8, q8, fp32, fp16, q4f16)"},
        {{"--force"}, OPTION_FLAG, &build.force, NULL, "overwrite existing models"},
        {{"-n", "--dry-run"}, OPTION_FLAG, &build.dry_run, NULL, "print the plan, write nothing"},
        HUB_OPTIONS(hub),
        COMMON_OPTIONS(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    const char *positional[1];
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, positional, 1, &positional_count, &error) != GX_OK ||
        parse_precisions(&build.precisions, &precisions, &error) != GX_OK ||
        parse_precisions(&build.genai_precision, &genai_precision, &error) != GX_OK || parse_profile(&build.profile, profile, &error) != GX_OK)
        return report_error("build", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("build", GX_OK);
    }
    progress_line line;
    progress_begin(&line, common.quiet);
    catch_signals();
    build.model = positional_count ? positional[0] : model;
    build.accuracy_level = (int)accuracy_level;
    build.hub = hub_options(&hub, &line, common.quiet, build.dry_run);
    build.threads = common.threads;
    build.format = common.json ? GX_FORMAT_JSON : GX_FORMAT_TEXT;
    build.progress = progress_show;
    build.progress_context = &line;
    build.text = common.quiet && !build.dry_run ? NULL : print_text;
    build.text_context = &line;
    const gx_status status = gx_build(&build, &error);
    progress_end(&line);
    if (status != GX_OK)
        return report_error("build", &error);
    return finish_output("build", GX_OK);
}
