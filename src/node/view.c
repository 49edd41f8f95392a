/* Reading: members, tags, counters, gauges; and the texts of errors.
 *
 * Everything is a copy of small values with borrowed strings, made when asked: nothing is kept for readers.  Nothing
 * here changes the instance but importing a view, which enters members as they are described, without news or events:
 * it is for starting from what was known, in a snapshot or a warm simulation. */
#include "node/node.h"
#include "swim/timing.h"

void ki_view(const struct kith *k, const struct ki_member *m, const struct ki_standing *standing, uint32_t id,
             struct kith_member *out)
{
    struct ki_span name = ki_member_name(m);
    struct ki_span meta = ki_member_meta(m);
    *out = (struct kith_member){.name = {(const char *)name.ptr, name.len},
                                .addr = ki_addr_of(m),
                                .meta = {(const char *)meta.ptr, meta.len},
                                .status = (enum kith_status)standing->status,
                                .state = (enum kith_state)m->state,
                                .incarnation = m->incarnation,
                                .id = id,
                                .status_ltime = standing->ltime,
                                .changed_us = m->changed_us,
                                .is_self = id == k->self};
    memcpy(out->versions, m->versions, sizeof out->versions);
}

static void view_at(const struct kith *k, uint32_t id, struct kith_member *out)
{
    ki_view(k, ki_table_at(&k->table, id), &ki_about(k, id)->standing, id, out);
}

void kith_self(const struct kith *k, struct kith_member *out)
{
    view_at(k, k->self, out);
}

int kith_find(const struct kith *k, struct kith_str name, struct kith_member *out)
{
    uint32_t id = ki_table_find(&k->table, ki_name_of(name));
    if (id == KI_NO_MEMBER)
        return KITH_ERR_NOT_FOUND;
    view_at(k, id, out);
    return 0;
}

bool kith_next(const struct kith *k, uint32_t *cursor, struct kith_member *out)
{
    while (*cursor < k->table.used && !ki_table_at(&k->table, *cursor))
        (*cursor)++;
    if (*cursor >= k->table.used)
        return false;
    view_at(k, (*cursor)++, out);
    return true;
}

size_t kith_members(const struct kith *k, struct kith_member *out, size_t cap)
{
    uint32_t cursor = 0;
    size_t count = 0;
    while (count < cap && kith_next(k, &cursor, &out[count]))
        count++;
    return k->table.count;
}

static bool view_fine(const struct kith_member *m)
{
    bool down = m->state == KITH_STATE_DEAD || m->state == KITH_STATE_LEFT;
    return m->name.len >= 1 && m->name.len <= KITH_NAME_MAX && (m->addr.ip_len == 4 || m->addr.ip_len == 16) &&
           m->addr.port != 0 && m->meta.len <= KITH_META_MAX && m->state <= KITH_STATE_LEFT &&
           m->status >= KITH_STATUS_ALIVE && m->status <= KITH_STATUS_FAILED && m->incarnation != UINT32_MAX &&
           m->status_ltime != UINT64_MAX && down == (m->status == KITH_STATUS_LEFT || m->status == KITH_STATUS_FAILED);
}

int kith_import_members(struct kith *k, struct kith_time now, const struct kith_member *members, size_t count)
{
    ki_input(k, now);
    if (!ki_active(k))
        return KITH_ERR_STATE;
    ki_table_reserve(&k->table, (uint32_t)ki_min_u64(k->table.count + (uint64_t)count, k->cfg.members_max));
    for (size_t i = 0; i < count; i++) {
        const struct kith_member *m = &members[i];
        if (!view_fine(m))
            return KITH_ERR_ARG;
        if (ki_table_find(&k->table, ki_name_of(m->name)) != KI_NO_MEMBER)
            continue; /* ourselves, or one we know better */
        struct ki_identity identity = {.name = ki_name_of(m->name),
                                       .addr = ki_span(m->addr.ip, m->addr.ip_len),
                                       .port = m->addr.port,
                                       .meta = ki_name_of(m->meta),
                                       .incarnation = m->incarnation,
                                       .versions = m->versions};
        /* a suspicion's timer and accusers cannot be carried over: a suspect enters as alive, and is probed */
        enum ki_state state = m->state == KITH_STATE_SUSPECT ? KI_ALIVE : (enum ki_state)m->state;
        uint32_t id;
        int error = ki_member_enter(k, &identity, state, &id);
        if (error)
            return error;
        ki_standing_set(k, id,
                        (struct ki_standing){.ltime = m->status_ltime,
                                             .since_s = (uint32_t)(k->now.mono_us / 1000000),
                                             .status = (uint8_t)m->status});
        ki_record_status(k, id);
        ki_clock_witness(&k->clock, m->status_ltime);
    }
    uint64_t interval_us = (uint64_t)k->cfg.push_pull_interval_ms * 1000;
    if (interval_us > 0) /* somewhere in the longer interval that a pool of this size has */
        k->push_pull_next_us =
            k->now.mono_us + ki_rng_below(&k->rng, ki_push_pull_us(interval_us, k->table.count)) + 1;
    return 0;
}

bool kith_tag_next(const struct kith_member *member, size_t *cursor, struct kith_tag *out)
{
    struct ki_span key, value;
    if (!ki_tag_next(ki_name_of(member->meta), cursor, &key, &value))
        return false;
    out->key = (struct kith_str){(const char *)key.ptr, key.len};
    out->value = (struct kith_str){(const char *)value.ptr, value.len};
    return true;
}

/* ---- numbers ---- */

size_t kith_counter_count(void)
{
    return KI_COUNTER_TOTAL;
}

const char *kith_counter_name(size_t index)
{
    static const char *const names[] = {
#define VIEW_NAME(name) #name,
        KI_COUNTERS(VIEW_NAME)
#undef VIEW_NAME
    };
    return index < KI_COUNTER_TOTAL ? names[index] : "";
}

uint64_t kith_counter(const struct kith *k, size_t index)
{
    return index < KI_COUNTER_TOTAL ? k->counters[index] : 0;
}

void kith_read_gauges(const struct kith *k, struct kith_gauges *out)
{
    const struct ki_table *t = &k->table;
    *out = (struct kith_gauges){.members = t->count,
                                .alive = t->by_state[KI_ALIVE] + t->by_state[KI_SUSPECT],
                                .suspect = t->by_state[KI_SUSPECT],
                                .failed = k->by_status[KI_STATUS_FAILED],
                                .left = k->by_status[KI_STATUS_LEFT],
                                .health_score = k->health,
                                .queue_members = (uint32_t)k->queues[KI_QUEUE_MEMBERS].count,
                                .queue_intents = (uint32_t)k->queues[KI_QUEUE_INTENTS].count,
                                .queue_events = (uint32_t)k->queues[KI_QUEUE_EVENTS].count,
                                .queue_queries = (uint32_t)k->queues[KI_QUEUE_QUERIES].count,
                                .streams = k->stream_count,
                                .tickets = k->ask_count,
                                .member_ltime = k->clock.time,
                                .event_ltime = k->event_clock.time,
                                .query_ltime = k->query_clock.time,
                                .memory_bytes = k->mem.used,
                                .stream_bytes = k->stream_bytes,
                                .encrypted = k->keyring.count > 0,
                                .leaving = k->life >= KI_LIFE_LEAVE_INTENT,
                                .left_pool = k->life == KI_LIFE_LEFT};
    const struct ki_member *self = ki_table_at(t, k->self);
    out->incarnation = self ? self->incarnation : 0;
}

const char *kith_version(void)
{
    return KITH_VERSION;
}

const char *kith_strerror(int error)
{
    switch (error) {
#define VIEW_ERROR(name, value, text)                                                                        \
    case value:                                                                                              \
        return text;
        KITH_ERRORS(VIEW_ERROR)
#undef VIEW_ERROR
    }
    return "unknown error";
}
