/* The forms that a profile (graph/profile.c) picks from. Each family of forms stands in one file of blocks/. */
#ifndef GX_GRAPH_FORMS_H
#define GX_GRAPH_FORMS_H

#include "graph/profile.h"

/* blocks/products.c: Gemm, MatMulNBits, int8 that unfolds when the session opens or is multiplied as integers */
const gx_value *gx_float_product(gx_builder *b, const gx_product *p);
const gx_value *gx_block_nbits_product(gx_builder *b, const gx_product *p);
const gx_value *gx_row_int8_product(gx_builder *b, const gx_product *p);
const gx_value *gx_product_gemm(gx_builder *b, const gx_product *p, const gx_value *weight); /* weight: [out, in] */
const char *gx_product_part(gx_builder *b, const gx_product *p, const char *part);            /* "<weight's name>.<part>" */

/* blocks/products_dequantised.c: DequantizeLinear and Gemm on the same bytes */
const gx_value *gx_dequantised_blocks_product(gx_builder *b, const gx_product *p);
const gx_value *gx_dequantised_rows_product(gx_builder *b, const gx_product *p);

/* The weight alone, [out, in]. */
const gx_value *gx_float_weight(gx_builder *b, const gx_product *p);
const gx_value *gx_dequantised_blocks(gx_builder *b, const gx_product *p);
const gx_value *gx_dequantised_rows(gx_builder *b, const gx_product *p);

/* blocks/experts_loop.c: a loop, which reads no weight in vain where it can; blocks/experts_all.c: all of them at once, by plain operators */
const gx_value *gx_experts_loop(gx_builder *b, const gx_experts *e);
const gx_value *gx_experts_all(gx_builder *b, const gx_experts *e);

/* blocks/norm.c */
const gx_value *gx_rms_norm_operator(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *scale, double epsilon);
const gx_value *gx_rms_norm_primitives(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *scale, double epsilon);
const gx_value *gx_add_rms_norm_fused(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_value *scale,
                                      double epsilon);
const gx_value *gx_add_rms_norm_apart(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_value *scale,
                                      double epsilon); /* Add, then the profile's rms_norm */

/* blocks/rotate.c */
const gx_value *gx_rotate_rows_operator(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads);
const gx_value *gx_rotate_heads_operator(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads);
const gx_value *gx_rotate_heads_primitives(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads);

/* blocks/gelu.c */
const gx_value *gx_gelu_operator(gx_builder *b, const gx_value *x);
const gx_value *gx_gelu_primitives(gx_builder *b, const gx_value *x);

/* blocks/cache_kinds.c */
const gx_value *gx_first_slots(gx_builder *b, const gx_cache_kind *kind);
const gx_value *gx_slot_indices(gx_builder *b, const gx_cache_kind *kind);

/* blocks/attend_grouped.c: GroupQueryAttention */
const gx_value *gx_attend_grouped(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number);

/* blocks/attend_multi_head.c: MultiHeadAttention, of encoders */
const gx_value *gx_attend_multi_head(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number);

/* blocks/cache_writers.c */
const gx_value *gx_scatter_rows(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows);
const gx_value *gx_scatter_elements(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows);
const gx_value *gx_append_rows(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what, const gx_value *rows);

/* blocks/attend_by_bias.c: Attention, or products and Softmax */
const gx_value *gx_attend_operator(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number);
const gx_value *gx_attend_primitives(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number);

#endif
