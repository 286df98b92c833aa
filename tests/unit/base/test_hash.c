/* Against the standards' own vectors, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/hash.h"

static void published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
        gx_hash_kind kind;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", GX_HASH_SHA256},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", GX_HASH_SHA256},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", GX_HASH_SHA256},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d", GX_HASH_SHA1},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1", GX_HASH_SHA1},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        for (size_t piece = 1; piece <= 60; piece += 7) {
            const size_t length = strlen(vectors[i].text);
            char hex[65];
            gx_hash *hash = gx_hash_new(vectors[i].kind);
            assert_non_null(hash);
            for (size_t at = 0; at < length; at += piece)
                gx_hash_update(hash, vectors[i].text + at, length - at < piece ? length - at : piece);
            gx_hash_finish(hash, hex);
            gx_hash_free(hash);
            assert_string_equal(hex, vectors[i].hex);
        }
    }
}

static void without_memory(void **state)
{
    (void)state;
    gx_alloc_fail_after(1);
    gx_hash *hash = gx_hash_new(GX_HASH_SHA256);
    gx_alloc_fail_after(0);
    assert_null(hash);
    gx_hash_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_vectors), cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
