/* Serf's layer: join and leave intents and what they make of failure detection's ups and downs; and where Serf's other
 * messages go (messages.h).
 *
 * An intent travels as one Serf message and is passed on byte for byte, so that keys unknown here survive.
 * Those merged from a peer's full state are not passed on: everyone gets them the same way. */
#include "node/messages.h"

/* A full state tells of a leave as one later than it was said, and stock agents take it so each time they hear it: the
 * time of a leave of ours creeps ahead of the clocks.  Who hears of it before it hears of us then holds us leaving for
 * ever, unless our join is later still. */
#define INTENT_MARGIN 16

static uint64_t intent_time(const struct kith *k, uint64_t margin)
{
    return margin < KI_CLOCK_LAST - k->clock.time ? k->clock.time + margin : KI_CLOCK_LAST;
}

static int intent_spread(struct kith *k, unsigned queue, struct ki_span raw, kith_ticket ticket)
{
    uint8_t buf[2048];
    if (raw.len + 1 > sizeof buf || raw.len == 0)
        return KITH_ERR_FULL;
    buf[0] = KI_MSG_USER;
    memcpy(buf + 1, raw.ptr, raw.len);
    return ki_broadcast(k, queue, KI_SUBJECT_NONE, ticket, ki_span(buf, raw.len + 1));
}

static void intent_tell(struct kith *k, uint32_t id, enum ki_status_change change)
{
    static const uint8_t bits[] = {
        [KI_CHANGE_NONE] = 0,
        [KI_CHANGE_JOINED] = KITH_CHANGED_JOINED,
        [KI_CHANGE_LEFT] = KITH_CHANGED_LEFT,
        [KI_CHANGE_FAILED] = KITH_CHANGED_FAILED,
        [KI_CHANGE_LEAVING] = KITH_CHANGED_LEAVING,
    };
    if (change != KI_CHANGE_NONE)
        ki_changed(k, id, bits[change]);
    ki_record_status(k, id);
}

static struct ki_status_result intent_step(struct kith *k, uint32_t id, enum ki_status_input input, uint64_t ltime)
{
    struct ki_standing standing = ki_about(k, id)->standing;
    struct ki_status_result result = ki_status_step(&standing, input, ltime, (uint32_t)(k->now.mono_us / 1000000));
    ki_standing_set(k, id, standing);
    intent_tell(k, id, result.change);
    return result;
}

void ki_status_up(struct kith *k, uint32_t id)
{
    intent_step(k, id, KI_STATUS_UP, 0);
    bool leave;
    uint64_t ltime;
    if (ki_intents_take(&k->intents, ki_member_name(ki_table_at(&k->table, id)), &leave, &ltime))
        intent_step(k, id, leave ? KI_STATUS_LEAVE_INTENT : KI_STATUS_JOIN_INTENT, ltime);
}

void ki_status_down(struct kith *k, uint32_t id)
{
    bool gone = ki_table_at(&k->table, id)->state == KI_LEFT && (k->bare || !k->cfg.stock);
    intent_step(k, id, gone ? KI_STATUS_GONE : KI_STATUS_DOWN, 0);
}

/* An intent about a name we do not know is kept for when we do. */
static int intent_note(struct kith *k, struct ki_span name, bool leave, uint64_t ltime, struct ki_span raw)
{
    if (name.len > KITH_NAME_MAX) {
        ki_count(k, KI_COUNT_name_too_long);
        return KITH_ERR_MALFORMED;
    }
    uint64_t dropped = k->intents.dropped;
    switch (ki_intents_note(&k->intents, name, leave, ltime, k->now.mono_us)) {
    case KI_INTENT_NOMEM:
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    case KI_INTENT_OLD:
        return 0;
    case KI_INTENT_NEW:
        break;
    }
    k->counters[KI_COUNT_intents_dropped] += k->intents.dropped - dropped;
    return raw.len && (leave || !ki_sync_floods(k)) ? intent_spread(k, KI_QUEUE_INTENTS, raw, 0) : 0;
}

int ki_join_intent(struct kith *k, uint32_t id, const struct ki_serf_join *msg, struct ki_span raw)
{
    ki_clock_witness(&k->clock, msg->ltime);
    if (id == KI_NO_MEMBER)
        return intent_note(k, msg->node, false, msg->ltime, raw);
    bool newer = msg->ltime > ki_about(k, id)->standing.ltime;
    k->heard_before = !newer;
    if (newer && id == k->self && k->life == KI_LIFE_LIVE && raw.len == 0 && !k->cfg.stock)
        return ki_say_join(k); /* a full state may mean a leave, of our former life: ours must be newer.  But a join that is
                                * heard as such is not answered: two nodes of one name would outdo each other for ever */
    struct ki_status_result result = intent_step(k, id, KI_STATUS_JOIN_INTENT, msg->ltime);
    bool spreads = result.heeded && raw.len && (id == k->self || !ki_sync_floods(k)); /* its time is told by comparing */
    return spreads ? intent_spread(k, KI_QUEUE_INTENTS, raw, 0) : 0;
}

/* Forgets a member on request: only one that is gone, since a living one will refute. */
static void intent_prune(struct kith *k, uint32_t id)
{
    const struct ki_member *m = ki_table_at(&k->table, id);
    if (id != k->self && (m->state == KI_DEAD || m->state == KI_LEFT))
        ki_forget(k, id);
}

static int intent_leave(struct kith *k, uint32_t id, const struct ki_serf_leave *msg, struct ki_span raw,
                        kith_ticket ticket)
{
    ki_clock_witness(&k->clock, msg->ltime);
    if (id == KI_NO_MEMBER)
        return intent_note(k, msg->node, true, msg->ltime, raw);
    struct ki_standing *standing = &ki_about(k, id)->standing;
    bool stay = id == k->self && k->life == KI_LIFE_LIVE;
    if (stay && raw.len && !k->cfg.stock && k->now.mono_us - k->join_said_us > (uint64_t)k->cfg.broadcast_timeout_ms * 1000)
        return ki_say_join(k); /* whoever told us has not heard the join that we said against it */
    if (msg->ltime <= standing->ltime)
        return 0;
    if (stay)
        return ki_say_join(k); /* somebody says we left: we did not */
    int error = raw.len ? intent_spread(k, KI_QUEUE_INTENTS, raw, ticket) : 0;
    if (error)
        return error;
    intent_step(k, id, KI_STATUS_LEAVE_INTENT, msg->ltime);
    if (msg->prune)
        intent_prune(k, id);
    return 0;
}

int ki_leave_intent(struct kith *k, uint32_t id, const struct ki_serf_leave *msg, struct ki_span raw)
{
    return intent_leave(k, id, msg, raw, 0);
}

int ki_say_join(struct kith *k)
{
    if (k->bare)
        return 0;
    uint8_t buf[384];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    uint64_t margin = k->cfg.stock ? 0 : INTENT_MARGIN;
    struct ki_serf_join msg = {.ltime = intent_time(k, margin), .node = ki_name_of(k->cfg.name)};
    ki_encode_serf_join(&p, &msg);
    KI_ASSERT(!p.w.full);
    k->join_said_us = k->now.mono_us;
    return ki_join_intent(k, k->self, &msg, ki_span(buf, p.w.len));
}

int ki_say_leave(struct kith *k, struct ki_span name, bool prune, kith_ticket ticket)
{
    uint8_t buf[384];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    uint64_t margin = prune && !k->cfg.stock ? INTENT_MARGIN : 0; /* the leave of one that has left has crept already */
    struct ki_serf_leave msg = {.ltime = intent_time(k, margin), .node = name, .prune = prune};
    ki_encode_serf_leave(&p, &msg);
    KI_ASSERT(!p.w.full);
    uint32_t id = ki_table_find(&k->table, name);
    if (id == KI_NO_MEMBER) { /* told to the pool, and kept: others may know it */
        ki_clock_witness(&k->clock, msg.ltime);
        int error = intent_note(k, name, true, msg.ltime, ki_span(NULL, 0));
        return error ? error : intent_spread(k, KI_QUEUE_INTENTS, ki_span(buf, p.w.len), ticket);
    }
    return intent_leave(k, id, &msg, ki_span(buf, p.w.len), ticket);
}

/* A leave that has not happened long after it was announced is not happening: its intent was that of a former life, or
 * of somebody else.  A leave waits twice for its news and once to help it along; this is three times as long.  Before
 * that the member is told that we hold it leaving; if it does not, it says so to all. */
void ki_leaving_check(struct kith *k)
{
    uint64_t soon_s = (k->cfg.broadcast_timeout_ms + 999) / 1000;
    uint64_t most_s = (3 * (2 * (uint64_t)k->cfg.broadcast_timeout_ms + k->cfg.leave_propagate_ms) + 999) / 1000;
    uint64_t now_s = k->now.mono_us / 1000000;
    for (uint32_t id = 0; k->by_status[KI_STATUS_LEAVING] > 0 && id < k->table.used; id++) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        const struct ki_standing *standing = &ki_about(k, id)->standing;
        if (!m || id == k->self || m->state != KI_ALIVE || standing->status != KI_STATUS_LEAVING)
            continue;
        struct kith_addr addr = ki_addr_of(m);
        if (now_s - standing->since_s > most_s)
            intent_step(k, id, KI_STATUS_JOIN_INTENT, standing->ltime + 1);
        else if (now_s - standing->since_s > soon_s)
            ki_tell(k, id, &addr, false);
    }
}

int ki_handle_serf(struct kith *k, struct ki_span message)
{
    if (message.len == 0) {
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    struct ki_serf_leave leave = {0};
    struct ki_serf_join join = {0};
    bool fine = true;
    int error = 0;
    switch (message.ptr[0]) {
    case KI_SERF_LEAVE:
        ki_count(k, KI_COUNT_intents_in);
        fine = ki_decode_serf_leave(&r, &leave) && leave.ltime != UINT64_MAX; /* none could follow it */
        error = fine ? ki_leave_intent(k, ki_table_find(&k->table, leave.node), &leave, message) : 0;
        break;
    case KI_SERF_JOIN:
        ki_count(k, KI_COUNT_intents_in);
        fine = ki_decode_serf_join(&r, &join) && join.ltime != UINT64_MAX;
        error = fine ? ki_join_intent(k, ki_table_find(&k->table, join.node), &join, message) : 0;
        break;
    case KI_SERF_USER_EVENT:
        return ki_handle_event(k, message);
    case KI_SERF_QUERY:
        return ki_handle_query(k, message, true);
    case KI_SERF_QUERY_RESPONSE:
        return ki_handle_response(k, ki_span(message.ptr + 1, message.len - 1));
    case KI_SERF_RELAY:
        return ki_handle_relay(k, ki_span(message.ptr + 1, message.len - 1));
    default: /* what later versions add */
        ki_count(k, KI_COUNT_unknown_serf_type);
        return 0;
    }
    if (!fine)
        ki_count(k, KI_COUNT_malformed);
    return fine ? error : KITH_ERR_MALFORMED;
}
