/* gemma-onnx: picks the command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

const command commands[] = {
    {"build", "a checkpoint to dynamic-shape ONNX decoders, one per precision", command_build},
    {"convert", "a checkpoint to static prefill and decode graphs", command_convert},
    {"fetch", "a model from the Hub, into its cache", command_fetch},
    {"verify", "what was written against the fp32 reference", command_verify},
    {"run", "text from an exported folder", command_run},
    {"bench", "how fast an exported folder runs here", command_bench},
    {"inspect", "what is in a checkpoint, an output folder or an .onnx file", command_inspect},
    {"models", "the published checkpoints that are known", command_models},
    {NULL, NULL, NULL},
};

static void print_help(void)
{
    puts("gemma-onnx: Google's Gemma checkpoints to ONNX files that run, and the proof that they are right.\n\n"
         "Usage: gemma-onnx COMMAND [MODEL] [options]\n\nCommands:");
    for (const command *c = commands; c->name; c++)
        printf("  %-10s%s\n", c->name, c->summary);
    puts("\nMODEL is a Hugging Face folder, a .gguf file, or the id of a model on the Hugging Face Hub.\n\n"
         "Example:\n"
         "  gemma-onnx build ./gemma-3-270m -o out -p fp32 q4\n"
         "  gemma-onnx build google/gemma-3-270m -o out -p q4\n"
         "  gemma-onnx build --help\n\n"
         "Exit status: 0 done, 2 wrong usage, 3 file system, 4 an input file is malformed, 5 not supported,\n"
         "6 out of memory, 7 network, 8 a comparison failed, 9 cancelled.");
}

int main(int argc, char **argv)
{
    /* The Python package's ONNX Runtime (1.32) reports its use unless told not to; who wants that can set it to 0. */
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return finish_output("help", argc < 2 ? GX_ERROR_ARGUMENT : GX_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("gemma-onnx %s\n", gx_version());
        return finish_output("version", GX_OK);
    }
    for (const command *c = commands; c->name; c++)
        if (strcmp(c->name, argv[1]) == 0)
            return c->run(argc - 1, argv + 1);
    fprintf(stderr, "gemma-onnx: unknown command '%s'; see gemma-onnx --help\n", argv[1]);
    return GX_ERROR_ARGUMENT;
}
