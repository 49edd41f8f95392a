/* Serf's user state inside a push/pull: everyone's Lamport time of the newest intent, and who has left.
 *
 * Built while the members are walked anyway: each leaves its name and time in a list beside, and its name in another
 * if it has left.  Both are put together when all have been seen, so what is said of one member is of one moment.
 *
 * Merged in two walks, both in slices: the first makes a set of the names listed as left, the second takes the times
 * and asks the set whether each is that of a leave or of a join.  The set holds keyed hashes, so one name costs the
 * same whatever a peer lists.  Of names unknown here only as many are taken as could be remembered.
 *
 * Invariant: what a slice does is bounded by its budget, in bytes; STATE_ENTRY is what an entry costs beside its own.
 * User events that are kept ride along (Serf's event buffer), and are taken last.
 * Deliberately not here: what an intent does (intent.c), and what an event does (user_event.c). */
#include "node/messages.h"
#include "node/stream.h"

#define STATE_ENTRY 64 /* a lookup or two in memory that is not in the cache: about as long as copying 64 bytes takes */
#define STATE_KEYS 256 /* room for the keys and clocks around the lists */

/* ---- building ---- */

static bool state_append(struct kith *k, struct ki_buf *list, const struct ki_pack *p)
{
    size_t need = list->len + p->w.len;
    if (need > list->cap && !ki_buf_reserve(k, list, need + need / 2 + 1024) && !ki_buf_reserve(k, list, need))
        return false;
    memcpy(list->ptr + list->len, p->w.start, p->w.len);
    list->len += p->w.len;
    return true;
}

void ki_state_told(const struct kith *k, uint32_t id, uint64_t *ltime, bool *has_left)
{
    const struct ki_standing *standing = &ki_about(k, id)->standing;
    /* The time of one that is leaving is that of its leave; told as one of a join, it would outrank that leave elsewhere. */
    bool leaving = standing->status == KI_STATUS_LEAVING && standing->ltime > 0 && !k->cfg.stock;
    *ltime = standing->ltime - leaving;
    /* The time of one that returns is that of its join: told as one of a leave, it would outrank the join elsewhere. */
    *has_left = standing->status == KI_STATUS_LEFT && (!standing->returning || k->cfg.stock);
}

bool ki_state_put(struct kith *k, struct ki_stream *s, uint32_t id)
{
    uint8_t buf[KITH_NAME_MAX + 16];
    const struct ki_member *m = ki_table_at(&k->table, id);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    uint64_t ltime;
    bool has_left;
    ki_state_told(k, id, &ltime, &has_left);
    ki_encode_serf_state_status(&p, ki_member_name(m), ltime);
    KI_ASSERT(!p.w.full);
    if (!state_append(k, &s->ltimes, &p))
        return false;
    if (!has_left)
        return true;
    p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_state_left(&p, ki_member_name(m));
    KI_ASSERT(!p.w.full);
    s->left_count++;
    return state_append(k, &s->lefts, &p);
}

/* The events that are kept, at most KI_REPLAY_BYTES. */
static size_t state_events_len(const struct kith *k)
{
    const struct ki_replay *replay = k->messages ? &k->messages->replay : NULL;
    return replay ? replay->bytes + (size_t)replay->count * KI_SERF_STATE_EVENT_MAX : 0;
}

size_t ki_state_len(const struct kith *k, const struct ki_stream *s)
{
    return STATE_KEYS + state_events_len(k) + s->lefts.len + s->ltimes.len;
}

void ki_state_finish(const struct kith *k, const struct ki_stream *s, struct ki_pack *p)
{
    const struct ki_replay *replay = k->messages ? &k->messages->replay : NULL;
    ki_encode_serf_state_begin(p, k->event_clock.time, replay ? replay->count : 0);
    for (const struct ki_replay_event *e = replay ? replay->first : NULL; e; e = e->next)
        ki_encode_serf_state_event(p, &(struct ki_serf_state_event){
                                          .ltime = e->ltime,
                                          .name = ki_span(e->bytes, e->name_len),
                                          .payload = ki_span(e->bytes + e->name_len, e->payload_len),
                                          .mark = ki_span(e->bytes + e->name_len + e->payload_len,
                                                          e->len - e->name_len - e->payload_len)});
    ki_encode_serf_state_left_members(p, k->clock.time, s->left_count);
    ki_put(&p->w, s->lefts.ptr, s->lefts.len);
    ki_encode_serf_state_middle(p, k->query_clock.time, s->build_count);
    ki_put(&p->w, s->ltimes.ptr, s->ltimes.len);
    KI_ASSERT(!p->w.full);
}

/* ---- merging ---- */

/* The place of a hash in the set, or the empty one where it belongs. */
static uint64_t *state_place(const struct ki_state_merge *m, struct ki_span name, const struct kith *k, uint64_t *hash)
{
    *hash = ki_table_hash(&k->table, name);
    *hash += *hash == 0; /* 0 marks an empty place */
    size_t at = (size_t)*hash & (m->set_cap - 1);
    while (m->set[at] != 0 && m->set[at] != *hash)
        at = (at + 1) & (m->set_cap - 1);
    return &m->set[at];
}

void ki_state_clocks(struct kith *k, uint64_t ltime, uint64_t event_ltime, uint64_t query_ltime)
{
    if (ltime > 0)
        ki_clock_witness(&k->clock, ltime - 1);
    if (event_ltime > 0)
        ki_clock_witness(&k->event_clock, event_ltime - 1);
    if (query_ltime > 0)
        ki_clock_witness(&k->query_clock, query_ltime - 1);
}

/* An empty set with room for every name listed as left that we could remember.  false: no memory for it. */
static bool state_begin(struct kith *k, struct ki_stream *s)
{
    struct ki_state_merge *m = &s->merge;
    const struct ki_serf_state *state = &m->state;
    const struct ki_ask *join = s->purpose == KI_PURPOSE_JOIN ? ki_ask_find(k, s->token) : NULL;
    ki_state_clocks(k, state->ltime, state->event_ltime, state->query_ltime);
    if (join && !join->replay && !s->joined_before) /* what was said before we came is not for us */
        k->event_min = ki_max_u64(k->event_min, ki_min_u64(state->event_ltime, k->event_clock.time));
    m->reader = ki_reader(state->left_members.ptr, state->left_members.len);
    m->step = KI_STATE_LEFT;
    m->items = UINT32_MAX; /* not begun */
    m->names = 0;
    m->unknown = 0;
    m->near = 0;
    m->set_cap = 0;
    uint64_t most = (uint64_t)k->cfg.members_max + k->cfg.intents_max;
    uint64_t names = ki_min_u64(most, state->left_members.len); /* a name takes at least a byte */
    if (names == 0)
        return true;
    size_t cap = 16;
    while (cap < 2 * names)
        cap *= 2;
    if (!ki_buf_reserve(k, &s->set, cap * sizeof *m->set))
        return false;
    memset(s->set.ptr, 0, cap * sizeof *m->set);
    m->set = (uint64_t *)(void *)s->set.ptr;
    m->set_cap = cap;
    return true;
}

static bool state_left(struct kith *k, struct ki_state_merge *m, size_t *budget)
{
    struct ki_span name;
    while (*budget > 0) {
        size_t before = m->reader.left;
        if (m->state.left_members.len == 0 || m->names * 2 >= m->set_cap ||
            !ki_serf_left_next(&m->reader, &m->items, &name)) {
            m->reader = ki_reader(m->state.status_ltimes.ptr, m->state.status_ltimes.len);
            m->items = UINT32_MAX;
            m->step = KI_STATE_LTIMES;
            return true;
        }
        uint64_t hash;
        uint64_t *place = state_place(m, name, k, &hash);
        m->names += *place == 0;
        *place = hash;
        *budget -= ki_min_size(*budget, before - m->reader.left + STATE_ENTRY);
    }
    return false;
}

/* One later than it was said, so that it outranks a join of that time, but not beyond the last one; and what we know already
 * does not creep.  One that failure detection holds alive, after this very peer's members were merged, is back: the peer
 * tells of a former life. */
static void state_leave(struct kith *k, uint32_t id, struct ki_span name, uint64_t ltime)
{
    bool known = id != KI_NO_MEMBER;
    if (known && id != k->self && ki_table_at(&k->table, id)->state == KI_ALIVE && !k->cfg.stock)
        return;
    bool news = !known || ki_about(k, id)->standing.status != KI_STATUS_LEFT;
    ltime = ki_min_u64(ltime + news, KI_CLOCK_LAST);
    ki_leave_intent(k, id, &(struct ki_serf_leave){.ltime = ltime, .node = name}, ki_span(NULL, 0));
}

/* Nearly all that is ever told: the time that we know too.  Neither a leave nor a join of that time would do anything,
 * but move the clock; and a leave of one tick less, which counts as one of this time, not even that. */
static bool state_repeats(const struct kith *k, const struct ki_standing *known, uint64_t ltime, bool may_have_left)
{
    if (ltime < known->ltime)
        return ltime + 1 < k->clock.time;
    return ltime == known->ltime && (!may_have_left || known->status == KI_STATUS_LEFT);
}

void ki_state_take(struct kith *k, uint32_t id, struct ki_span name, uint64_t ltime, bool has_left, uint32_t *unknown)
{
    bool known = id != KI_NO_MEMBER;
    if (known && state_repeats(k, &ki_about(k, id)->standing, ltime, has_left)) {
        ki_clock_witness(&k->clock, ltime);
        return;
    }
    if (name.len == 0 || ltime > KI_CLOCK_LAST || (!known && (*unknown)++ >= k->cfg.intents_max))
        return;
    if (has_left)
        state_leave(k, id, name, ltime);
    else
        ki_join_intent(k, id, &(struct ki_serf_join){.ltime = ltime, .node = name}, ki_span(NULL, 0));
}

static void state_apply(struct kith *k, struct ki_state_merge *m, struct ki_span name, uint64_t ltime)
{
    uint32_t id = ki_table_find_near(&k->table, name, &m->near);
    uint64_t hash;
    bool has_left = m->names > 0 && *state_place(m, name, k, &hash) != 0;
    ki_state_take(k, id, name, ltime, has_left, &m->unknown);
}

static enum ki_state_result state_events(struct kith *k, struct ki_state_merge *m, size_t *budget)
{
    struct ki_serf_state_event event;
    while (*budget > 0) {
        size_t len = 0;
        enum ki_serf_events_step step = ki_serf_events_next(&m->events, &event);
        if (step == KI_SERF_EVENTS_END)
            return KI_STATE_DONE;
        if (step == KI_SERF_EVENTS_EVENT) {
            len = event.name.len + event.payload.len;
            ki_event_replayed(k, &event);
        }
        *budget -= ki_min_size(*budget, STATE_ENTRY + len);
    }
    return KI_STATE_MORE;
}

enum ki_state_result ki_state_merge(struct kith *k, struct ki_stream *s, size_t *budget)
{
    struct ki_state_merge *m = &s->merge;
    if (m->step == KI_STATE_BEGIN && !state_begin(k, s))
        return KI_STATE_NO_ROOM;
    if (m->step == KI_STATE_LEFT && !state_left(k, m, budget))
        return KI_STATE_MORE;
    if (m->step == KI_STATE_EVENTS)
        return state_events(k, m, budget);
    struct ki_span name;
    uint64_t ltime;
    while (*budget > 0) {
        size_t before = m->reader.left;
        if (m->state.status_ltimes.len == 0 || !ki_serf_status_next(&m->reader, &m->items, &name, &ltime)) {
            m->events = (struct ki_serf_events){.r = ki_reader(m->state.events.ptr, m->state.events.len),
                                                .groups = UINT32_MAX};
            m->step = KI_STATE_EVENTS;
            return state_events(k, m, budget);
        }
        state_apply(k, m, name, ltime);
        *budget -= ki_min_size(*budget, before - m->reader.left + STATE_ENTRY);
    }
    return KI_STATE_MORE;
}
