/* A pool of which every event is heard, for tests of what members tell and ask each other. */
#ifndef TEST_MESSAGES_POOL_H
#define TEST_MESSAGES_POOL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kith/event.h>

#include "world.h"

#define SECOND 1000000u
#define HEARD 8192
#define TEXT(text) {(text), sizeof(text) - 1}
#define STR(text) ((struct kith_str)TEXT(text))

struct heard {
    unsigned n;
    struct kith_event event;
    char origin[64], name[64], payload[64];
};

struct ear {
    struct heard all[HEARD];
    size_t count;
    bool answers; /* each query is answered with the name of whoever hears it */
    unsigned silent; /* but not by this one */
    bool echoes;     /* each query is answered with what it asked */
    bool fails_writing;
    struct kith_key keys[8]; /* of the last answer to a list */
    size_t key_count;
};

static inline void ear_copy(char to[64], struct kith_str from)
{
    size_t len = from.len < 63 ? from.len : 63;
    if (len > 0)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
}

static inline void ear_hear(void *arg, unsigned n, kith *k, struct kith_time now, const struct kith_event *event)
{
    struct ear *ear = arg;
    if (event->kind == KITH_EVENT_MEMBER)
        return;
    assert_in_range(ear->count, 0, HEARD - 1);
    struct heard *h = &ear->all[ear->count++];
    *h = (struct heard){.n = n, .event = *event};
    if (event->kind == KITH_EVENT_DONE)
        return;
    ear_copy(h->origin, event->message.origin);
    ear_copy(h->name, event->message.name);
    ear_copy(h->payload, event->message.payload);
    if (event->kind == KITH_EVENT_ANSWER && !event->message.is_ack && event->result == 0) {
        size_t cursor = 0;
        bool primary;
        for (ear->key_count = 0; kith_answer_key(event, &cursor, &ear->keys[ear->key_count], &primary); ear->key_count++)
            assert_int_equal(primary, ear->key_count == 0);
    }
    if (event->kind == KITH_EVENT_KEYS)
        kith_keys_written(k, now, event->message.query, ear->fails_writing ? "no space on the disk" : NULL);
    if (event->kind == KITH_EVENT_QUERY && ear->echoes)
        assert_int_equal(kith_respond(k, now, event->message.query, event->message.payload), 0);
    char text[16];
    snprintf(text, sizeof text, "I am %u", n);
    if (event->kind == KITH_EVENT_QUERY && ear->answers && n != ear->silent) {
        struct kith_str payload = {text, strlen(text)};
        assert_int_equal(kith_respond(k, now, event->message.query, payload), 0);
        assert_int_equal(kith_respond(k, now, event->message.query, payload), KITH_ERR_NOT_FOUND);
    }
}

static inline size_t ear_count(const struct ear *ear, enum kith_event_kind kind, unsigned n, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < ear->count; i++) {
        const struct heard *h = &ear->all[i];
        count += h->event.kind == kind && (n == WORLD_NODES || h->n == n) && (!name || strcmp(h->name, name) == 0);
    }
    return count;
}

static inline size_t ear_answers(const struct ear *ear, kith_ticket ticket, bool acks)
{
    size_t count = 0;
    for (size_t i = 0; i < ear->count; i++) {
        const struct kith_event *e = &ear->all[i].event;
        count += e->kind == KITH_EVENT_ANSWER && e->ticket == ticket && e->message.is_ack == acks;
    }
    return count;
}

/* How many times an ask has ended; and how, if it has. */
static inline size_t ear_ends(const struct ear *ear, kith_ticket ticket, struct kith_event *done)
{
    size_t ends = 0;
    for (size_t i = 0; i < ear->count; i++) {
        const struct kith_event *e = &ear->all[i].event;
        if (e->kind != KITH_EVENT_DONE || e->ticket != ticket)
            continue;
        *done = *e;
        ends++;
    }
    return ends;
}

static inline void ends_with(const struct ear *ear, kith_ticket ticket, int result, size_t count)
{
    struct kith_event done = {.result = 1};
    assert_int_equal(ear_ends(ear, ticket, &done), 1);
    assert_int_equal(done.result, result);
    assert_int_equal(done.count, count);
}

/* A pool of `count`, of which the last `stock` are as Serf's members are. */
static inline struct world *pool(struct ear *ear, unsigned count, unsigned stock,
                                 void (*adjust)(struct kith_config *, unsigned))
{
    struct world *w = world_new();
    memset(ear, 0, sizeof *ear);
    ear->silent = WORLD_NODES;
    world_set_ear(w, ear_hear, ear);
    for (unsigned n = 0; n < count; n++) {
        struct kith_config c;
        world_config(&c, n);
        c.stock = n >= count - stock;
        if (adjust)
            adjust(&c, n);
        world_add(w, n, &c);
        if (n > 0)
            assert_int_equal(world_join(w, n, 0, NULL), 0);
        world_run(w, SECOND / 2);
    }
    world_run(w, 5 * SECOND);
    for (unsigned n = 0; n < count; n++)
        assert_int_equal(world_alive_seen(w, n), count);
    ear->count = 0;
    return w;
}

static struct ear ear;

#endif
