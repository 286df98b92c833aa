/* A trie with a table for the first byte and sibling lists below, and the walk over a text. */
#include "tokenizer/added.h"
#include "tokenizer/utf8.h"

gx_status gx_added_set_init(gx_added_set *out, gx_arena *arena, const gx_added_token *tokens, size_t pattern_nbytes, gx_error *error)
{
    gx_added_node *nodes = pattern_nbytes < UINT32_MAX ? GX_NEW_ARRAY(arena, gx_added_node, pattern_nbytes + 1) : NULL;
    if (!nodes)
        return gx_fail_memory(error);
    *out = (gx_added_set){.tokens = tokens, .nodes = nodes, .node_count = 1};
    return GX_OK;
}

static uint32_t find_child(const gx_added_set *set, uint32_t node, uint8_t byte)
{
    if (node == 0)
        return set->first[byte];
    uint32_t child = set->nodes[node].child;
    while (child && set->nodes[child].byte != byte)
        child = set->nodes[child].sibling;
    return child;
}

static uint32_t add_child(gx_added_set *set, uint32_t node, uint8_t byte)
{
    const uint32_t child = (uint32_t)set->node_count++;
    set->nodes[child].byte = byte;
    if (node == 0) {
        set->first[byte] = child;
    } else {
        set->nodes[child].sibling = set->nodes[node].child;
        set->nodes[node].child = child;
    }
    return child;
}

void gx_added_set_put(gx_added_set *set, const char *pattern, size_t nbytes, size_t token)
{
    uint32_t node = 0;
    for (size_t i = 0; i < nbytes; i++) {
        const uint32_t child = find_child(set, node, (uint8_t)pattern[i]);
        node = child ? child : add_child(set, node, (uint8_t)pattern[i]);
    }
    if (node && !set->nodes[node].token)
        set->nodes[node].token = (uint32_t)token + 1;
}

/* The longest token that starts at `at`; NULL: none. */
static const gx_added_token *match_at(const gx_added_scan *scan, size_t at, size_t *end)
{
    const gx_added_token *found = NULL;
    uint32_t node = 0;
    for (size_t i = at; i < scan->nbytes; i++) {
        node = find_child(scan->set, node, (uint8_t)scan->text[i]);
        if (!node)
            break;
        if (scan->set->nodes[node].token) {
            found = &scan->set->tokens[scan->set->nodes[node].token - 1];
            *end = i + 1;
        }
    }
    return found;
}

/* Looking goes on where the pattern ended, not where the stripped white space did: a token may start with white space. */
static void take(gx_added_scan *scan, const gx_added_token *token, size_t start, size_t end, size_t *plain_start, size_t *plain_end)
{
    scan->position = end;
    if (token->strip_left)
        start -= gx_utf8_trailing_space(scan->text, start, GX_SPACE_UNICODE);
    if (token->strip_right)
        end += gx_utf8_leading_space(scan->text + end, scan->nbytes - end, GX_SPACE_UNICODE);
    *plain_start = scan->covered;
    *plain_end = start > scan->covered ? start : scan->covered;
    scan->covered = end;
}

const gx_added_token *gx_added_scan_next(gx_added_scan *scan, size_t *plain_start, size_t *plain_end)
{
    for (size_t at = scan->position, end = 0; at < scan->nbytes;) {
        const gx_added_token *token = match_at(scan, at, &end);
        if (token && !(scan->special_as_text && token->special)) {
            take(scan, token, at, end, plain_start, plain_end);
            return token;
        }
        at = token ? end : at + 1; /* a control token taken as text is passed over whole */
    }
    *plain_start = scan->covered;
    *plain_end = scan->nbytes;
    scan->position = scan->nbytes;
    return NULL;
}
