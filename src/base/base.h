/* Ground: assertions that stay on in release, and the few helpers everything uses. */
#ifndef KI_BASE_H
#define KI_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KI_COUNT(array) (sizeof(array) / sizeof(*(array)))

/* A broken invariant or a misuse of the API: never reachable from network bytes. */
#define KI_ASSERT(expr) ((expr) ? (void)0 : abort())
#define KI_UNREACHABLE() abort()

#define KI_CONTAINER(ptr, type, field) ((type *)(void *)((char *)(ptr)-offsetof(type, field)))

/* Fetches what lies there into the cache while other work is done.  Only a hint: any address will do.
 * gcc takes a function that does nothing else for one without effect, and drops its calls: the empty line of assembler,
 * which costs nothing, is an effect. */
#if defined(__GNUC__)
#define KI_PREFETCH(ptr) \
    do { \
        __builtin_prefetch(ptr); \
        __asm__ volatile(""); \
    } while (0)
#else
#define KI_PREFETCH(ptr) ((void)(ptr))
#endif

static inline uint64_t ki_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t ki_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline size_t ki_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Borrowed bytes. */
struct ki_span {
    const uint8_t *ptr;
    size_t len;
};

static inline struct ki_span ki_span(const void *ptr, size_t len)
{
    return (struct ki_span){.ptr = (const uint8_t *)ptr, .len = len};
}

static inline bool ki_span_equal(struct ki_span a, struct ki_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Less than, equal to or greater than 0, by the order of bytes; what only begins like the other comes first. */
static inline int ki_span_compare(struct ki_span a, struct ki_span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

#endif
