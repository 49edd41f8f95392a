/* The tags of a member's meta, any bytes: each tag lies inside, the walk ends, a tag that was found is the first of
 * its name, and the tags written again walk the same way. */
#include "wire/serf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct ki_span span, struct ki_span meta)
{
    return span.len == 0 || (span.ptr >= meta.ptr && span.ptr + span.len <= meta.ptr + meta.len);
}

static size_t walk(struct ki_span meta, struct ki_tag_pair *tags)
{
    size_t count = 0, cursor = 0;
    struct ki_span key, value;
    while (ki_tag_next(meta, &cursor, &key, &value)) {
        KI_ASSERT(count < meta.len && is_inside(value, meta));
        tags[count++] = (struct ki_tag_pair){.key = key, .value = value};
    }
    KI_ASSERT(!ki_tag_next(meta, &cursor, &key, &value));
    return count;
}

static void check_find(struct ki_span meta, const struct ki_tag_pair *tags, size_t count)
{
    for (size_t i = 0; i < count && i < 32; i++) { /* each costs a walk */
        char key[64];
        struct ki_span value;
        size_t earliest = 0;
        if (tags[i].key.len >= sizeof(key) ||
            (tags[i].key.len && memchr(tags[i].key.ptr, 0, tags[i].key.len)))
            continue;
        if (tags[i].key.len)
            memcpy(key, tags[i].key.ptr, tags[i].key.len);
        key[tags[i].key.len] = 0;
        while (!ki_span_equal(tags[earliest].key, tags[i].key))
            earliest++;
        KI_ASSERT(ki_tag_find(meta, key, &value));
        KI_ASSERT(ki_span_equal(value, tags[earliest].value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ki_tag_pair tags[1024], back[1024];
    static uint8_t again[4096];
    if (size > 1024)
        return -1;
    struct ki_span meta = ki_span(data, size);
    size_t count = walk(meta, tags);
    check_find(meta, tags, count);
    struct ki_pack p = ki_pack(again, sizeof(again), false);
    ki_encode_tags(&p, tags, count);
    KI_ASSERT(!p.w.full && walk(ki_span(again, p.w.len), back) == count);
    for (size_t i = 0; i < count; i++)
        KI_ASSERT(ki_span_equal(tags[i].key, back[i].key) &&
                  ki_span_equal(tags[i].value, back[i].value));
    /* a cursor from elsewhere does no harm either */
    struct ki_span key, value;
    size_t cursor = size > 4 ? (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3] : 1;
    if (ki_tag_next(meta, &cursor, &key, &value))
        KI_ASSERT(is_inside(key, meta) || meta.ptr[0] != 0xff);
    return 0;
}
