/* gemma-onnx run */
#include <stdio.h>

#include "command.h"

#define MAX_TEXTS 64

static void print_help(const option *options, unsigned count)
{
    puts("Usage: gemma-onnx run DIR PROMPT [options]\n\n"
         "Continues PROMPT with the model in DIR, through ONNX Runtime. New text goes to stdout as it comes.\n"
         "With EmbeddingGemma: run DIR TEXT ... prints the embedding of each text, one JSON list a line.\n");
    print_options(options, count);
    puts("\nExamples:\n"
         "  gemma-onnx run out \"The capital of France is\" --max-new-tokens 20\n"
         "  gemma-onnx run out \"Write a haiku about tides\" --chat --temperature 1 --top-k 64 --top-p 0.95\n"
         "  gemma-onnx run out-embedding \"Which planet is red?\" --task query");
}

/* Streams: every piece is flushed. */
static bool print_piece(void *context, const char *text, size_t nbytes)
{
    return print_text(context, text, nbytes) && fflush(stdout) == 0 && !was_interrupted();
}

static void print_rates(const gx_run_result *r)
{
    fprintf(stderr, "loaded in %.2f s; %zu %stokens, %s after %.2f s", r->load_seconds, r->prompt_tokens, r->new_tokens ? "prompt " : "",
            r->new_tokens ? "first new one" : "done", r->prompt_seconds);
    if (r->new_tokens > 1)
        fprintf(stderr, "; %zu new tokens, %.1f tokens/s", r->new_tokens, (double)(r->new_tokens - 1) / r->decode_seconds);
    fputc('\n', stderr);
}

int command_run(int argc, char **argv)
{
    gx_run_options run;
    gx_run_options_default(&run);
    common_options common = {0};
    option_list precisions = {0};
    unsigned seed = 0;
    const option options[] = {
        {{"-p", "--precision"}, OPTION_LIST, &precisions, "P", "which file (default: q4 if it is there, else int8, q8, fp32, fp16, q4f16)"},
        {{"-c", "--chat"}, OPTION_FLAG, &run.chat, NULL, "wrap PROMPT in the model's turn format"},
        {{"--system"}, OPTION_STRING, &run.system, "TEXT", "with --chat: what comes first"},
        {{"--task"}, OPTION_STRING, &run.task, "NAME", "EmbeddingGemma: query, document, ...: what is put in front of each TEXT"},
        {{"--max-new-tokens"}, OPTION_UINT, &run.max_new_tokens, "N", "at most so many (default 128)"},
        {{"--temperature"}, OPTION_DOUBLE, &run.temperature, "X", "0: always the likeliest token (default 0)"},
        {{"--top-k"}, OPTION_UINT, &run.top_k, "N", "draw from the N likeliest (default: all)"},
        {{"--top-p"}, OPTION_DOUBLE, &run.top_p, "X", "draw from the likeliest that hold X of the probability (default 1)"},
        {{"--seed"}, OPTION_UINT, &seed, "N", "the same seed draws the same text (default 0)"},
        {{"--ort-library"}, OPTION_STRING, &run.ort_library, "FILE", "libonnxruntime.so"},
        COMMON_OPTIONS(common),
    };
    const unsigned count = sizeof options / sizeof *options;
    gx_error error = {0};
    const char *positional[MAX_TEXTS + 1] = {NULL};
    unsigned positional_count = 0;
    if (parse_arguments(argc, argv, options, count, positional, MAX_TEXTS + 1, &positional_count, &error) != GX_OK ||
        parse_precisions(&run.precision, &precisions, &error) != GX_OK)
        return report_error("run", &error);
    if (common.help) {
        print_help(options, count);
        return finish_output("run", GX_OK);
    }
    catch_signals();
    gx_run_result result = {0};
    run.output_dir = positional[0];
    run.prompt = positional[1];
    run.more_prompts = positional + 2;
    run.more_prompt_count = positional_count > 2 ? positional_count - 2 : 0;
    run.seed = seed;
    run.threads = common.threads;
    run.text = print_piece;
    if (gx_run(&run, &result, &error) != GX_OK)
        return report_error("run", &error);
    if (result.new_tokens)
        putchar('\n');
    if (result.cache_limit)
        fprintf(stderr, "gemma-onnx run: the text ends here: the caches hold %zu positions and are full (convert with a larger --max_length)\n",
                result.cache_limit);
    if (!common.quiet)
        print_rates(&result);
    return finish_output("run", GX_OK);
}
