/* Converts a Gemma checkpoint to 4-bit ONNX: cc convert.c $(pkg-config --cflags --libs gemma-onnx) -o convert */
#include <gemma_onnx.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    gx_build_options options;
    gx_error error;
    gx_build_options_default(&options);
    options.model = argc > 1 ? argv[1] : "gemma-3-270m";
    options.output_dir = argc > 2 ? argv[2] : "out";
    options.precisions = GX_PRECISION_Q4;
    if (gx_build(&options, &error) != GX_OK)
        fprintf(stderr, "%s\n", error.message);
    return (int)error.status;
}
