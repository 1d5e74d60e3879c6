/*
 * A policy lives as long as a verdict points into it (state.h).
 */
#include <stdlib.h>

#include "warden/state.h"

PolicyRef *policy_ref(PolicyRef *reference)
{
    if (reference)
        reference->references++;
    return reference;
}

PolicyRef *policy_unref(PolicyRef *reference)
{
    if (reference && --reference->references == 0) {
        policy_free(reference->policy);
        free(reference->text);
        free(reference);
    }
    return NULL;
}
