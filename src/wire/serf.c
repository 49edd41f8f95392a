/* Serf's gossip messages, its part of a push/pull, and the tags in a member's meta (PROTOCOL.md "Serf").
 *
 * The idea: what kith must act on is decoded (intents, clocks, states, tags); a user event or a query passes through
 * with its bytes untouched, so of these only the clock is read.  The maps of a push/pull state can hold a name for
 * every member ever seen: they stay encoded, are checked once, and are walked in place.
 *
 * Invariants: a state that was accepted walks to its end without an error; a walker over anything else ends, with the
 * reader bad; a tag cursor never stands inside a tag.
 *
 * It deliberately does not sort what it is given to encode, and sends no empty slots of an event buffer (Serf sends its
 * ring of 512; it takes any number). */
#include "wire/serf.h"

static const struct ki_field serf_leave[] = {
    KI_FIELD(struct ki_serf_leave, ltime, "LTime", KI_FIELD_U64, 0, false),
    KI_FIELD(struct ki_serf_leave, node, "Node", KI_FIELD_STR, 1, false),
    KI_FIELD(struct ki_serf_leave, prune, "Prune", KI_FIELD_BOOL, 2, false),
};

static const struct ki_field serf_join[] = {
    KI_FIELD(struct ki_serf_join, ltime, "LTime", KI_FIELD_U64, 0, false),
    KI_FIELD(struct ki_serf_join, node, "Node", KI_FIELD_STR, 1, false),
};

/* The first field of a user event and of a query. */
static const struct ki_field serf_clocked[] = {
    KI_FIELD(struct ki_serf_clocked, ltime, "LTime", KI_FIELD_U64, 0, false),
};

static const struct ki_field serf_state[] = {
    KI_FIELD(struct ki_serf_state, ltime, "LTime", KI_FIELD_U64, 2, false),
    KI_FIELD(struct ki_serf_state, status_ltimes, "StatusLTimes", KI_FIELD_RAW, 5, false),
    KI_FIELD(struct ki_serf_state, left_members, "LeftMembers", KI_FIELD_RAW, 3, false),
    KI_FIELD(struct ki_serf_state, event_ltime, "EventLTime", KI_FIELD_U64, 0, false),
    KI_FIELD(struct ki_serf_state, events, "Events", KI_FIELD_RAW, 1, false),
    KI_FIELD(struct ki_serf_state, query_ltime, "QueryLTime", KI_FIELD_U64, 4, false),
};

void ki_encode_serf_leave(struct ki_pack *p, const struct ki_serf_leave *msg)
{
    ki_put_u8(&p->w, KI_SERF_LEAVE);
    ki_pack_struct(p, serf_leave, KI_COUNT(serf_leave), msg);
}

void ki_encode_serf_join(struct ki_pack *p, const struct ki_serf_join *msg)
{
    ki_put_u8(&p->w, KI_SERF_JOIN);
    ki_pack_struct(p, serf_join, KI_COUNT(serf_join), msg);
}

static bool serf_require(struct ki_reader *r, bool valid)
{
    if (!valid)
        r->bad = true;
    return valid;
}

bool ki_decode_serf_leave(struct ki_reader *r, struct ki_serf_leave *out)
{
    memset(out, 0, sizeof(*out));
    return ki_unpack_struct(r, serf_leave, KI_COUNT(serf_leave), out) &&
           serf_require(r, out->node.len > 0);
}

bool ki_decode_serf_join(struct ki_reader *r, struct ki_serf_join *out)
{
    memset(out, 0, sizeof(*out));
    return ki_unpack_struct(r, serf_join, KI_COUNT(serf_join), out) &&
           serf_require(r, out->node.len > 0);
}

bool ki_decode_serf_clocked(struct ki_reader *r, struct ki_serf_clocked *out)
{
    memset(out, 0, sizeof(*out));
    return ki_unpack_struct(r, serf_clocked, KI_COUNT(serf_clocked), out);
}

/* ---- the state of a push/pull ---- */

struct serf_group { /* of the events of a state */
    uint64_t ltime;
    struct ki_span events; /* encoded */
};

static const struct ki_field serf_group[] = {
    KI_FIELD(struct serf_group, ltime, "LTime", KI_FIELD_U64, 1, false),
    KI_FIELD(struct serf_group, events, "Events", KI_FIELD_RAW, 0, false),
};

static const struct ki_field serf_event[] = {
    KI_FIELD(struct ki_serf_state_event, name, "Name", KI_FIELD_STR, 1, false),
    KI_FIELD(struct ki_serf_state_event, payload, "Payload", KI_FIELD_BYTES, 2, false),
    KI_FIELD(struct ki_serf_state_event, mark, "Kith", KI_FIELD_BYTES, 0, true),
};

void ki_encode_serf_state_begin(struct ki_pack *p, uint64_t event_ltime, size_t event_count)
{
    ki_put_u8(&p->w, KI_SERF_PUSH_PULL);
    ki_pack_map(p, KI_COUNT(serf_state));
    ki_pack_text(p, "EventLTime");
    ki_pack_uint(p, event_ltime);
    ki_pack_text(p, "Events");
    ki_pack_array(p, event_count);
}

void ki_encode_serf_state_event(struct ki_pack *p, const struct ki_serf_state_event *event)
{
    ki_pack_map(p, KI_COUNT(serf_group));
    ki_pack_text(p, "Events");
    ki_pack_array(p, 1);
    ki_pack_struct(p, serf_event, KI_COUNT(serf_event), event);
    ki_pack_text(p, "LTime");
    ki_pack_uint(p, event->ltime);
}

void ki_encode_serf_state_left_members(struct ki_pack *p, uint64_t ltime, size_t left_count)
{
    ki_pack_text(p, "LTime");
    ki_pack_uint(p, ltime);
    ki_pack_text(p, "LeftMembers");
    ki_pack_array(p, left_count);
}

void ki_encode_serf_state_left(struct ki_pack *p, struct ki_span name)
{
    ki_pack_str(p, name);
}

void ki_encode_serf_state_middle(struct ki_pack *p, uint64_t query_ltime, size_t status_count)
{
    ki_pack_text(p, "QueryLTime");
    ki_pack_uint(p, query_ltime);
    ki_pack_text(p, "StatusLTimes");
    ki_pack_map(p, status_count);
}

void ki_encode_serf_state_status(struct ki_pack *p, struct ki_span name, uint64_t ltime)
{
    ki_pack_str(p, name);
    ki_pack_uint(p, ltime);
}

bool ki_serf_status_next(struct ki_reader *r, uint32_t *left, struct ki_span *name, uint64_t *ltime)
{
    if (r->bad || (*left == UINT32_MAX && (r->left == 0 || !ki_unpack_map(r, left))) || *left == 0)
        return false;
    *left -= 1;
    return ki_unpack_str(r, name) && ki_unpack_uint(r, UINT64_MAX, ltime);
}

bool ki_serf_left_next(struct ki_reader *r, uint32_t *left, struct ki_span *name)
{
    if (r->bad || (*left == UINT32_MAX && (r->left == 0 || !ki_unpack_array(r, left))) ||
        *left == 0)
        return false;
    *left -= 1;
    return ki_unpack_str(r, name);
}

static enum ki_serf_events_step serf_group_next(struct ki_serf_events *w)
{
    struct serf_group group = {.ltime = 0};
    if ((w->groups == UINT32_MAX && (w->r.left == 0 || !ki_unpack_array(&w->r, &w->groups))) || w->groups == 0)
        return KI_SERF_EVENTS_END;
    w->groups--;
    if (w->r.left > 0 && w->r.pos[0] == 0xC0) /* nil: an empty slot */
        return ki_take(&w->r, 1) ? KI_SERF_EVENTS_MORE : KI_SERF_EVENTS_END;
    struct ki_reader after = w->r;
    if (!ki_unpack_struct(&after, serf_group, KI_COUNT(serf_group), &group)) {
        w->r.bad = true;
        return KI_SERF_EVENTS_END;
    }
    w->inner = ki_reader(group.events.ptr, group.events.len);
    w->ltime = group.ltime;
    w->r = after;
    if (group.events.len > 0 && !ki_unpack_array(&w->inner, &w->events)) {
        w->r.bad = true;
        return KI_SERF_EVENTS_END;
    }
    return KI_SERF_EVENTS_MORE;
}

enum ki_serf_events_step ki_serf_events_next(struct ki_serf_events *w, struct ki_serf_state_event *event)
{
    if (w->r.bad)
        return KI_SERF_EVENTS_END;
    if (w->events == 0)
        return serf_group_next(w);
    w->events--;
    memset(event, 0, sizeof *event);
    event->ltime = w->ltime;
    if (!ki_unpack_struct(&w->inner, serf_event, KI_COUNT(serf_event), event)) {
        w->r.bad = true;
        return KI_SERF_EVENTS_END;
    }
    return KI_SERF_EVENTS_EVENT;
}

/* The containers of a state have the shape their walkers expect, to their last element. */
static bool serf_state_shaped(const struct ki_serf_state *state)
{
    struct ki_span name;
    uint64_t ltime;
    uint32_t left = UINT32_MAX;
    struct ki_reader r = ki_reader(state->status_ltimes.ptr, state->status_ltimes.len);
    while (ki_serf_status_next(&r, &left, &name, &ltime))
        ;
    if (r.bad)
        return false;
    left = UINT32_MAX;
    r = ki_reader(state->left_members.ptr, state->left_members.len);
    while (ki_serf_left_next(&r, &left, &name))
        ;
    if (r.bad)
        return false;
    struct ki_serf_events events = {.r = ki_reader(state->events.ptr, state->events.len), .groups = UINT32_MAX};
    struct ki_serf_state_event event;
    while (ki_serf_events_next(&events, &event) != KI_SERF_EVENTS_END)
        ;
    return !events.r.bad;
}

bool ki_decode_serf_state(struct ki_reader *r, struct ki_serf_state *out)
{
    memset(out, 0, sizeof(*out));
    return ki_unpack_struct(r, serf_state, KI_COUNT(serf_state), out) &&
           serf_require(r, serf_state_shaped(out));
}

/* ---- tags ---- */

#define SERF_TAGS       0xff /* first byte of a meta that holds a map of tags */
#define SERF_CURSOR_END SIZE_MAX

/* A cursor is the place of the next tag and the number of those already given, 16 bits each; 0 is the start.  So a
 * meta of more than 65,535 bytes has no tags; on the wire 512 is the most. */
#define SERF_CURSOR_BITS 16
#define SERF_CURSOR_MASK UINT16_MAX

static bool serf_role_next(struct ki_span meta, size_t *cursor, struct ki_span *key,
                           struct ki_span *value)
{
    if (*cursor != 0)
        return false;
    *cursor = SERF_CURSOR_END;
    *key = ki_span("role", 4);
    *value = meta;
    return true;
}

bool ki_tag_next(struct ki_span meta, size_t *cursor, struct ki_span *key, struct ki_span *value)
{
    if (meta.len == 0 || meta.len > SERF_CURSOR_MASK || *cursor == SERF_CURSOR_END)
        return false;
    if (meta.ptr[0] != SERF_TAGS)
        return serf_role_next(meta, cursor, key, value);
    struct ki_reader r = ki_reader(meta.ptr + 1, meta.len - 1);
    size_t given = *cursor >> SERF_CURSOR_BITS;
    size_t place = *cursor & SERF_CURSOR_MASK;
    uint32_t count = 0;
    if (!ki_unpack_map(&r, &count) || given >= count || place > meta.len)
        return false; /* the last: a cursor of another, longer meta */
    if (given > 0)
        r = ki_reader(meta.ptr + place, meta.len - place);
    if (!ki_unpack_str(&r, key) || !ki_unpack_str(&r, value)) {
        *cursor = SERF_CURSOR_END;
        return false;
    }
    *cursor = (given + 1) << SERF_CURSOR_BITS | (meta.len - r.left);
    return true;
}

bool ki_tag_find(struct ki_span meta, const char *key, struct ki_span *value)
{
    struct ki_span wanted = ki_span(key, strlen(key));
    struct ki_span name;
    size_t cursor = 0;
    while (ki_tag_next(meta, &cursor, &name, value)) {
        if (ki_span_equal(name, wanted))
            return true;
    }
    *value = ki_span(NULL, 0);
    return false;
}

void ki_encode_tags(struct ki_pack *p, const struct ki_tag_pair *tags, size_t count)
{
    ki_put_u8(&p->w, SERF_TAGS);
    ki_pack_map(p, count);
    for (size_t i = 0; i < count; i++) {
        ki_pack_str(p, tags[i].key);
        ki_pack_str(p, tags[i].value);
    }
}
