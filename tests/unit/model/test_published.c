/* The published checkpoints: what the families' tables say of their tensors adds up to the parameters that the Hub counts. */
#include <inttypes.h>

#include "model/published.h"
#include "support/scratch.h"

static gx_status add_elements(void *context, const char *name, unsigned rank, const uint64_t *shape, gx_error *error)
{
    (void)name, (void)error;
    uint64_t elements = 1;
    for (unsigned i = 0; i < rank; i++)
        elements *= shape[i];
    *(uint64_t *)context += elements;
    return GX_OK;
}

static void parameters_add_up(void **state)
{
    (void)state;
    for (const gx_published *published = gx_published_models; published->ids; published++) {
        gx_error error = {0};
        gx_model *model = NULL;
        uint64_t sum = 0;
        if (gx_published_open(&model, published, &error) != GX_OK || gx_model_each_tensor(model, add_elements, &sum, &error) != GX_OK)
            fail_msg("%s: %s", published->ids[0], error.message);
        if (sum != published->parameters)
            fail_msg("%s: %" PRIu64 " parameters, expected %" PRIu64, published->ids[0], sum, published->parameters);
        gx_model_close(model);
    }
}

static void no_id_is_listed_twice(void **state)
{
    (void)state;
    for (const gx_published *a = gx_published_models; a->ids; a++)
        for (const gx_published *b = gx_published_models; b->ids; b++)
            for (size_t i = 0; a->ids[i]; i++)
                for (size_t k = 0; b->ids[k]; k++)
                    if ((a != b || i != k) && strcmp(a->ids[i], b->ids[k]) == 0)
                        fail_msg("%s is listed twice", a->ids[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_add_up),
        cmocka_unit_test(no_id_is_listed_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
