# Writes OUTPUT, a C file that holds the bytes of INPUT as gx_evaluation_text.
file(READ "${INPUT}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "/* Generated from ${NAME}. */\n#include \"pipeline/evaluation.h\"\n
const unsigned char gx_evaluation_text[] = {\n${bytes}0};\nconst size_t gx_evaluation_text_nbytes = sizeof gx_evaluation_text - 1;\n")
