/* A story of failing memory, told again and again, each time with other allocations failing. */
#ifndef TEST_OOM_SWEEP_H
#define TEST_OOM_SWEEP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sanitized.h"

#define NEVER_FAILS UINT64_MAX

/* Tells it with allocations `from` to `to` failing; returns how many there were. */
typedef uint64_t oom_story_fn(uint64_t from, uint64_t to);

/* `length` allocations in a row fail (NEVER_FAILS: all from there on), beginning at every stride-th; at each with
 * KITH_SOAK=1. */
static inline void oom_sweep(oom_story_fn *story, uint64_t stride, uint64_t length)
{
    uint64_t calls = story(NEVER_FAILS, NEVER_FAILS);
    assert_in_range(calls, 50, 5000);
    for (uint64_t n = 0; n < calls; n += getenv("KITH_SOAK") ? 1 : stride)
        story(n, length == NEVER_FAILS ? NEVER_FAILS : n + length);
}

#endif
