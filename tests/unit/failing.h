/* Memory that fails: `failing` after so many calls (with each number in turn, every allocation of what is tested fails
 * once), `flaky` now and then. */
#ifndef TEST_FAILING_H
#define TEST_FAILING_H

#include <stdlib.h>

#include "base/rng.h"

struct failing {
    int until; /* calls that still succeed */
};

static inline void *failing_resize(void *arg, void *ptr, size_t size)
{
    struct failing *failing = arg;
    return failing->until-- > 0 ? realloc(ptr, size) : NULL;
}

static inline void failing_release(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

struct flaky {
    struct ki_rng rng;
    unsigned one_in; /* fails one call in so many; 0: never */
    long blocks;     /* given and not released */
};

static inline void *flaky_resize(void *arg, void *ptr, size_t size)
{
    struct flaky *f = arg;
    if (f->one_in && ki_rng_below(&f->rng, f->one_in) == 0)
        return NULL;
    f->blocks += !ptr;
    return realloc(ptr, size);
}

static inline void flaky_release(void *arg, void *ptr)
{
    struct flaky *f = arg;
    f->blocks--;
    free(ptr);
}

#endif
