/* Hashes over libcrypto. */
#include <openssl/evp.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/hash.h"

struct gx_hash {
    EVP_MD_CTX *context;
};

static const EVP_MD *algorithm(gx_hash_kind kind)
{
    return kind == GX_HASH_SHA256 ? EVP_sha256() : EVP_sha1();
}

gx_hash *gx_hash_new(gx_hash_kind kind)
{
    gx_hash *hash = gx_alloc(1, sizeof *hash);
    if (!hash)
        return NULL;
    hash->context = EVP_MD_CTX_new();
    if (!hash->context || EVP_DigestInit_ex(hash->context, algorithm(kind), NULL) != 1) {
        gx_hash_free(hash);
        return NULL;
    }
    return hash;
}

void gx_hash_update(gx_hash *hash, const void *bytes, size_t nbytes)
{
    if (EVP_DigestUpdate(hash->context, bytes, nbytes) != 1)
        GX_BUG("the hash refused an update");
}

void gx_hash_finish(gx_hash *hash, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned nbytes = 0;
    if (EVP_DigestFinal_ex(hash->context, digest, &nbytes) != 1)
        GX_BUG("the hash refused to finish");
    for (unsigned i = 0; i < nbytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void gx_hash_free(gx_hash *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->context);
    gx_free(hash);
}
