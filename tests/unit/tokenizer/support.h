/* What the tokenizer's tests share: the golden files, and comparing ids. Any surprise fails the test. */
#ifndef TESTS_UNIT_TOKENIZER_SUPPORT_H
#define TESTS_UNIT_TOKENIZER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"

#define FOLDER "tests/golden/tokenizer/"

static inline yyjson_doc *read_document(const char *path)
{
    yyjson_doc *doc = NULL;
    gx_error error = {0};
    if (gx_json_read(&doc, path, 1 << 20, &error) != GX_OK)
        fail_msg("%s", error.message);
    return doc;
}

static inline gx_tokenizer *load(const char *path)
{
    gx_tokenizer *tokenizer = NULL;
    gx_error error = {0};
    if (gx_tokenizer_load(&tokenizer, path, &error) != GX_OK)
        fail_msg("%s", error.message);
    return tokenizer;
}

static inline void assert_ids(const char *what, const gx_token_ids *ids, yyjson_val *expected)
{
    if (!yyjson_is_arr(expected) || ids->count != yyjson_arr_size(expected))
        fail_msg("%s: %zu ids, expected %zu", what, ids->count, yyjson_arr_size(expected));
    size_t index, count;
    yyjson_val *id;
    yyjson_arr_foreach(expected, index, count, id)
    {
        if (ids->ids[index] != yyjson_get_sint(id))
            fail_msg("%s: id %zu is %lld, expected %lld", what, index, (long long)ids->ids[index], (long long)yyjson_get_sint(id));
    }
}

#endif
