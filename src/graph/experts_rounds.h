/* The rounds of the loop over experts: how many there are, and what each does. blocks/experts_rounds.c */
#ifndef GX_GRAPH_EXPERTS_ROUNDS_H
#define GX_GRAPH_EXPERTS_ROUNDS_H

#include "graph/builder.h"

/* One round: an expert, and rows that go there. Values of the loop's body. */
typedef struct gx_expert_round {
    const gx_value *expert; /* int64 scalar */
    const gx_value *rows;   /* int64 [n, 1]: indices */
    const gx_value *x;      /* [n, hidden_size] */
    const gx_value *shares; /* fp32 [n, 1] */
} gx_expert_round;

/* What the rounds share. Values of the graph around the body. */
typedef struct gx_expert_rounds gx_expert_rounds;
struct gx_expert_rounds {
    const gx_experts *e;
    const gx_value *count;   /* int64 scalar */
    const gx_value *experts; /* int64 [count]: of each round; NULL: a round's number is its expert's */
    const gx_value *rows;    /* int64 [count, 1, 1]: of each round; or [tokens, 1]: of all; NULL: found round by round */
    const gx_value *shares;  /* fp32 [count, 1, 1]: of each round; NULL: found round by round */
    const gx_value *row_axis; /* int64 [1]: 1; NULL: not needed */
    gx_expert_round (*take)(gx_builder *b, const gx_expert_rounds *rounds, const gx_value *number); /* of round `number`, int64 scalar */
};

gx_expert_rounds gx_make_expert_rounds(gx_builder *b, const gx_experts *e);

#endif
