/* Linear layers: which weights, stored under which scheme, multiplied as the profile says. */
#include "graph/builder.h"

gx_stored *gx_builder_store(gx_builder *b, const char *name, const gx_recipe *recipe, gx_quant_role role)
{
    char rule[160];
    const gx_policy *policy = b->options->policy;
    const gx_scheme scheme = b->profile->fit_scheme(&policy->schemes[role], gx_recipe_columns(recipe), b->activation);
    gx_policy_rule(policy, role, &scheme, rule, sizeof rule);
    return gx_graph_store(b->graph, name, recipe, &scheme, rule);
}

const gx_value *gx_block_product(gx_builder *b, const char *leaf, const gx_value *x, gx_stored *stored)
{
    if (b->graph->failed)
        return x;
    const uint64_t rows = gx_recipe_rows(&stored->recipe);
    const gx_product p = {.leaf = leaf,
                       .name = stored->name,
                       .x = x,
                       .stored = stored,
                       .in = gx_recipe_columns(&stored->recipe),
                       .out = rows,
                       .result = GX_SHAPE(x->shape.dims[0], gx_dim_number(rows))};
    return b->profile->products[stored->scheme.kind](b, &p);
}

const gx_value *gx_block_linear(gx_builder *b, const char *leaf, const gx_value *x, const gx_weight *const *weights, unsigned weight_count,
                                gx_quant_role role, const gx_stream_reader *reader)
{
    gx_recipe recipe = {.source_count = weight_count, .multiply = 1};
    if (reader) {
        recipe.column_scales = reader->balance;
        recipe.importance = reader->importance;
    }
    for (unsigned i = 0; i < weight_count; i++)
        recipe.sources[i] = weights[i];
    return gx_block_product(b, leaf, x, gx_builder_store(b, gx_builder_name(b, leaf), &recipe, role));
}
