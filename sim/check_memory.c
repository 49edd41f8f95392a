/* Checker "memory": what a node says it has allocated is what its hooks have given, and all of it comes back.
 *
 * The hooks keep the size of each block before it and the sum in the caller's counter; the node's own count is a gauge.
 * They must agree while it lives, and the sum must be zero whenever it is down.  Nodes without these hooks are not
 * looked at.  The last lives end with the simulation: whoever owns the counters looks at them once more after
 * kith_sim_free(). */
#include "sim/check.h"

#define MEMORY_HEAD 16 /* keeps the alignment of malloc */

static void *memory_resize(void *arg, void *ptr, size_t size)
{
    uint64_t *bytes = arg;
    uint8_t *block = ptr ? (uint8_t *)ptr - MEMORY_HEAD : NULL;
    size_t old = 0;
    if (block)
        memcpy(&old, block, sizeof old);
    block = ki_sim_resize(block, size + MEMORY_HEAD);
    memcpy(block, &size, sizeof size);
    *bytes += size - old; /* modulo 2^64: right when it shrinks too */
    return block + MEMORY_HEAD;
}

static void memory_release(void *arg, void *ptr)
{
    uint64_t *bytes = arg;
    if (!ptr)
        return;
    uint8_t *block = (uint8_t *)ptr - MEMORY_HEAD;
    size_t size;
    memcpy(&size, block, sizeof size);
    *bytes -= size;
    free(block);
}

void ki_sim_count_memory(struct kith_config *config, uint64_t *bytes)
{
    config->memory = (struct kith_memory){.resize = memory_resize, .release = memory_release, .arg = bytes};
}

static void memory_look(kith_sim *s, void *state, uint32_t node)
{
    (void)state;
    const struct sim_node *n = ki_sim_node_at(s, node);
    if (n->config.memory.resize != memory_resize)
        return;
    struct kith_gauges g;
    struct kith_store_gauges store = {.bytes = 0};
    (void)kith_store_read_gauges(n->k, &store); /* it keeps an account of its own, and may compute a root for this */
    kith_read_gauges(n->k, &g);
    uint64_t given = *(const uint64_t *)n->config.memory.arg;
    if (g.memory_bytes + store.bytes != given)
        ki_sim_violate(s, "memory", node, "it counts %llu bytes, and its hooks have given %llu",
                       (unsigned long long)(g.memory_bytes + store.bytes), (unsigned long long)given);
}

static void memory_fault(kith_sim *s, void *state)
{
    (void)state;
    for (uint32_t node = 0; node < s->count; node++) {
        const struct sim_node *n = ki_sim_node_at(s, node);
        if (n->k || n->config.memory.resize != memory_resize)
            continue;
        uint64_t kept = *(const uint64_t *)n->config.memory.arg;
        if (kept != 0)
            ki_sim_violate(s, "memory", node, "it is down and has not given back %llu bytes", (unsigned long long)kept);
    }
}

const struct sim_checker ki_sim_check_memory = {
    .about = "memory is counted exactly, and all given back",
    .watch = {.name = "memory", .fault = memory_fault},
    .look = memory_look,
};
