/* Who looks on: checkers and statistics are observers, told of what happens and forbidden to touch it.
 *
 * The hooks are called by SIM_TELL where the thing happens.  A checker that finds a fault says so once; the first fault
 * ends the run, because what follows from a broken state says nothing.
 * Also here: the memory of the simulator, which never fails (the process ends instead). */
#include <stdarg.h>
#include <stdio.h>

#include "sim/world.h"

void *ki_sim_observe(kith_sim *s, const struct sim_observer *observer)
{
    KI_ASSERT(s->observer_count < KI_COUNT(s->observers));
    void *state = ki_sim_make(observer->state_size + 1);
    s->observers[s->observer_count] = observer;
    s->observer_state[s->observer_count++] = state;
    return state;
}

void *ki_sim_observer_state(kith_sim *s, const struct sim_observer *observer)
{
    for (unsigned i = 0; i < s->observer_count; i++) {
        if (s->observers[i] == observer)
            return s->observer_state[i];
    }
    return NULL;
}

void ki_sim_violate(kith_sim *s, const char *checker, uint32_t node, const char *format, ...)
{
    if (s->violation[0])
        return;
    int used = snprintf(s->violation, sizeof s->violation, "%llu.%06llu %s: %s: ",
                        (unsigned long long)(s->now_us / 1000000), (unsigned long long)(s->now_us % 1000000),
                        node == KITH_SIM_ALL ? "-" : ki_sim_name(s, node), checker);
    size_t at = ki_min_size((size_t)(used < 0 ? 0 : used), sizeof s->violation - 1);
    va_list args;
    va_start(args, format);
    vsnprintf(s->violation + at, sizeof s->violation - at, format, args);
    va_end(args);
    ki_sim_trace(s, node, "VIOLATION %s", s->violation);
}

/* ---- memory ---- */

static void *observe_memory(void *ptr)
{
    if (!ptr) {
        fputs("kith sim: out of memory; fewer nodes need less\n", stderr);
        abort();
    }
    return ptr;
}

void *ki_sim_make(size_t size)
{
    return observe_memory(calloc(1, size));
}

void *ki_sim_resize(void *ptr, size_t size)
{
    return observe_memory(realloc(ptr, size));
}

char *ki_sim_copy(const void *from, size_t len)
{
    char *copy = ki_sim_resize(NULL, len + 1);
    if (len)
        memcpy(copy, from, len);
    copy[len] = '\0';
    return copy;
}

void *ki_sim_grow(void *items, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 16;
    return ki_sim_resize(items, *cap * size);
}
