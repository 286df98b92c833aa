/* UTF-8 by a table of lead bytes; overlong forms, surrogates and values past U+10FFFF are ill-formed. */
#include "tokenizer/utf8.h"

/* Lead bytes `first` … `last` start a character of `length` bytes; its second byte lies in low … high, later ones in 80 … BF. */
static const struct lead {
    uint8_t first, last, length, low, high;
} leads[] = {
    {0xC2, 0xDF, 2, 0x80, 0xBF}, {0xE0, 0xE0, 3, 0xA0, 0xBF}, {0xE1, 0xEC, 3, 0x80, 0xBF}, {0xED, 0xED, 3, 0x80, 0x9F},
    {0xEE, 0xEF, 3, 0x80, 0xBF}, {0xF0, 0xF0, 4, 0x90, 0xBF}, {0xF1, 0xF3, 4, 0x80, 0xBF}, {0xF4, 0xF4, 4, 0x80, 0x8F},
};

static const struct lead *find_lead(uint8_t byte)
{
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    return NULL;
}

size_t gx_utf8_step(const char *text, size_t nbytes, bool *valid)
{
    const uint8_t *bytes = (const uint8_t *)text;
    *valid = bytes[0] < 0x80;
    if (*valid)
        return 1;
    const struct lead *lead = find_lead(bytes[0]);
    if (!lead)
        return 1;
    size_t length = 1;
    while (length < lead->length && length < nbytes) {
        const uint8_t low = length == 1 ? lead->low : 0x80, high = length == 1 ? lead->high : 0xBF;
        if (bytes[length] < low || bytes[length] > high)
            break;
        length++;
    }
    *valid = length == lead->length;
    return length;
}

bool gx_utf8_is_valid(const char *text, size_t nbytes)
{
    bool valid = true;
    for (size_t at = 0; at < nbytes && valid;)
        at += gx_utf8_step(text + at, nbytes - at, &valid);
    return valid;
}

size_t gx_utf8_count(const char *text, size_t nbytes)
{
    size_t count = 0;
    for (size_t i = 0; i < nbytes; i++)
        count += ((uint8_t)text[i] & 0xC0) != 0x80;
    return count;
}

void gx_utf8_append_repaired(gx_buffer *buffer, const char *text, size_t nbytes)
{
    size_t good = 0; /* start of the valid stretch not yet appended */
    for (size_t at = 0; at < nbytes;) {
        bool valid;
        const size_t length = gx_utf8_step(text + at, nbytes - at, &valid);
        if (!valid) {
            gx_buffer_append(buffer, text + good, at - good);
            gx_buffer_append_text(buffer, GX_REPLACEMENT_CHARACTER);
            good = at + length;
        }
        at += length;
    }
    gx_buffer_append(buffer, text + good, nbytes - good);
}

static uint32_t code_point(const char *text, size_t length)
{
    static const uint8_t lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t value = (uint8_t)text[0] & lead_bits[length];
    for (size_t i = 1; i < length; i++)
        value = value << 6 | ((uint8_t)text[i] & 0x3F);
    return value;
}

static bool is_space(uint32_t c, gx_space_kind kind)
{
    static const uint32_t others[] = {0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    if ((c >= 0x09 && c <= 0x0D) || (c >= 0x2000 && c <= 0x200A) || (kind == GX_SPACE_PYTHON && c >= 0x1C && c <= 0x1F))
        return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (c == others[i])
            return true;
    return false;
}

size_t gx_utf8_leading_space(const char *text, size_t nbytes, gx_space_kind kind)
{
    size_t at = 0;
    while (at < nbytes) {
        bool valid;
        const size_t length = gx_utf8_step(text + at, nbytes - at, &valid);
        if (!valid || !is_space(code_point(text + at, length), kind))
            break;
        at += length;
    }
    return at;
}

size_t gx_utf8_trailing_space(const char *text, size_t nbytes, gx_space_kind kind)
{
    size_t end = nbytes;
    while (end > 0) {
        size_t start = end - 1;
        while (start > 0 && ((uint8_t)text[start] & 0xC0) == 0x80)
            start--;
        bool valid;
        const size_t length = gx_utf8_step(text + start, end - start, &valid);
        if (!valid || length != end - start || !is_space(code_point(text + start, length), kind))
            break;
        end = start;
    }
    return nbytes - end;
}
