/* Added tokens: found in text leftmost first, the longest where several start, before anything else looks at it. */
#ifndef GX_TOKENIZER_ADDED_H
#define GX_TOKENIZER_ADDED_H

#include "base/arena.h"

typedef struct gx_added_token {
    const char *content;
    size_t nbytes;
    uint32_t id;
    bool special;                 /* a control token: may be left out of decoded text, may be taken as text */
    bool normalized;              /* matched in normalised text */
    bool strip_left, strip_right; /* takes the white space beside it */
} gx_added_token;

typedef struct gx_added_node {
    uint32_t child, sibling; /* 0: none */
    uint32_t token;          /* index + 1 of the one that ends here; 0: none */
    uint8_t byte;
} gx_added_node;

/* A trie over some of the tokens. */
typedef struct gx_added_set {
    const gx_added_token *tokens; /* borrowed */
    gx_added_node *nodes;         /* [0] is the root */
    size_t node_count;
    uint32_t first[256]; /* node of a first byte; 0: none */
} gx_added_set;

/* `pattern_nbytes`: the sum of the lengths of all patterns to come. */
gx_status gx_added_set_init(gx_added_set *out, gx_arena *arena, const gx_added_token *tokens, size_t pattern_nbytes,
                            gx_error *error) GX_MUST_USE;
/* A pattern that is there already keeps its token. */
void gx_added_set_put(gx_added_set *set, const char *pattern, size_t nbytes, size_t token);

/* Walks over a text, valid UTF-8. */
typedef struct gx_added_scan {
    const gx_added_set *set;
    const char *text;
    size_t nbytes;
    bool special_as_text;
    size_t position; /* where to look on */
    size_t covered;  /* up to where text was given out */
} gx_added_scan;

/* The next stretch of plain text (maybe empty) and the token after it; NULL: the text ends there. */
const gx_added_token *gx_added_scan_next(gx_added_scan *scan, size_t *plain_start, size_t *plain_end);

#endif
