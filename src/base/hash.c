/* SHA-256 over libcrypto. */
#include <openssl/evp.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/hash.h"

struct gx_sha256 {
    EVP_MD_CTX *context;
};

gx_sha256 *gx_sha256_new(void)
{
    gx_sha256 *hash = gx_alloc(1, sizeof *hash);
    if (!hash)
        return NULL;
    hash->context = EVP_MD_CTX_new();
    if (!hash->context || EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1) {
        gx_sha256_free(hash);
        return NULL;
    }
    return hash;
}

void gx_sha256_update(gx_sha256 *hash, const void *bytes, size_t nbytes)
{
    if (EVP_DigestUpdate(hash->context, bytes, nbytes) != 1)
        GX_BUG("SHA-256 refused an update");
}

void gx_sha256_finish(gx_sha256 *hash, char hex[65])
{
    unsigned char digest[32];
    if (EVP_DigestFinal_ex(hash->context, digest, NULL) != 1)
        GX_BUG("SHA-256 refused to finish");
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void gx_sha256_free(gx_sha256 *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->context);
    gx_free(hash);
}
