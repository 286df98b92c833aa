/* The families this version knows. Adding one: its file in families/ and its line here. */
#include <stdio.h>

#include "model/family.h"

extern const gx_family gx_family_embeddinggemma;
extern const gx_family gx_family_gemma;
extern const gx_family gx_family_gemma2;
extern const gx_family gx_family_gemma3;
extern const gx_family gx_family_gemma3n;
extern const gx_family gx_family_gemma4;
extern const gx_family gx_family_gemma4_unified;
extern const gx_family gx_family_vaultgemma;

const gx_family *const gx_families[] = {
    &gx_family_gemma,  &gx_family_gemma2,         &gx_family_gemma3,     &gx_family_embeddinggemma,
    &gx_family_gemma3n, &gx_family_gemma4, &gx_family_gemma4_unified, &gx_family_vaultgemma, NULL,
};

void gx_families_text(char *out, size_t size, bool gguf)
{
    size_t used = 0;
    out[0] = 0;
    for (const gx_family *const *family = gx_families; *family && used < size; family++) {
        if (!gguf && (*family)->bidirectional) /* of the same type as a decoder */
            continue;
        const char *name = gguf ? (*family)->gguf_architecture : (*family)->text_model_type;
        if (name)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", name);
    }
}
