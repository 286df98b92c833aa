/* The families this version knows. Adding one: its file in families/ and its line here. */
#include "model/family.h"

extern const gx_family gx_family_gemma;
extern const gx_family gx_family_gemma3;

const gx_family *const gx_families[] = {&gx_family_gemma, &gx_family_gemma3, NULL};
