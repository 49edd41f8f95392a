/* Events with numbers: told in order, each once, and what cannot be had is told as missing.
 *
 *   arrives in its turn --> told, kept for others
 *   arrives too early   --> waits; what is missing before it is asked for, first of its origin, then of others
 *   not to be had       --> after NUMBERED_WAIT_US, or when its origin has it no more: a gap, and on with the next
 *
 * An origin that was not known begins with its first event that is not old for us: events older than event_min are those of
 * before we joined (Serf's rule), and each mark says how old the event before it was.
 *
 * When the application's queue is full, an event is lost for us but kept for others; the gap is told when there is room.
 *
 * Invariant: what is told of an origin has rising numbers, and each number is told, within a gap, or old for us.
 * Deliberately not here: what members say to each other about it (numbered_talk.c). */
#include "base/canary.h"
#include "node/messages.h"

#define NUMBERED_ASK_FIRST_US 30000  /* datagrams overtake each other by less */
#define NUMBERED_ASK_US 200000       /* between two questions for one event */
#define NUMBERED_WAIT_US 5000000     /* 25 questions: with a third of all datagrams lost, one in 10^7 has no answer */
#define NUMBERED_IDLE_US 300000000   /* an origin that is gone is forgotten after so long a silence */
#define NUMBERED_TIDY_US 30000000
#define NUMBERED_TIDY_SLICE 128 /* origins, each compared with 4,096 others at most: 0.4 ms */

static bool numbered_is_own(const struct kith *k, struct ki_span name)
{
    return ki_span_equal(name, ki_name_of(k->cfg.name));
}

/* ---- telling ---- */

static bool numbered_tell_gap(struct kith *k, struct ki_messages *m, struct ki_origin *origin)
{
    struct kith_event event = {.kind = KITH_EVENT_GAP,
                               .message = {.origin = {(const char *)origin->name, origin->name_len},
                                           .seq = origin->gap_first,
                                           .seq_last = origin->gap_last}};
    if (origin->gap_first == 0)
        return true;
    bool room = m->count < k->cfg.messages_max && m->bytes + origin->name_len <= k->cfg.message_bytes_max;
    if (!KI_CANARY(HUSH) && (!room || ki_message_put(k, &event) != 0))
        return false; /* not counted: it waits */
    ki_count(k, KI_COUNT_event_gaps);
    origin->gap_first = origin->gap_last = 0;
    m->untold--;
    return true;
}

/* Tells what is ready, its gap before it. */
void ki_numbered_deliver(struct kith *k, struct ki_messages *m, struct ki_origin *origin)
{
    struct ki_kept *ready;
    while ((ready = ki_origin_ready(origin)) != NULL) {
        struct ki_reader r = ki_reader(ready->bytes + 1, ready->len - 1);
        struct ki_serf_event msg;
        struct ki_event_mark mark;
        bool fine = ki_decode_serf_event(&r, &msg) && ki_decode_event_mark(msg.mark, &mark);
        KI_ASSERT(fine); /* it has been read before */
        bool in_turn = numbered_tell_gap(k, m, origin), told = in_turn && ki_event_tell(k, m, &msg, &mark);
        if (!in_turn)
            ki_count(k, KI_COUNT_messages_dropped); /* there is no room behind a gap that finds none */
        if (told && (mark.flags & KI_EVENT_CONFIRM))
            ki_numbered_took(k, &mark);
        m->untold += !told && origin->gap_first == 0;
        ki_origin_settle(&m->origins, origin, told); /* may free it, and the mark's strings: too large to keep */
    }
}

/* ---- arriving ---- */

/* Notes that something is missing, if it is. */
static void numbered_look(struct kith *k, struct ki_messages *m, struct ki_origin *origin, uint64_t wait_us)
{
    uint64_t last;
    if (!ki_origin_missing(origin, &last) || origin->missing_us != KITH_NEVER)
        return;
    origin->missing_us = k->now.mono_us;
    origin->ask_us = k->now.mono_us + wait_us;
    m->missing_us = ki_min_u64(m->missing_us, origin->ask_us);
}

void ki_numbered_skip(struct kith *k, struct ki_messages *m, struct ki_origin *origin, uint64_t next, bool lost)
{
    bool had_gap = origin->gap_first != 0;
    uint64_t old = k->event_min > 0 ? k->event_min - 1 : 0;
    ki_origin_skip(&m->origins, origin, next, lost, lost ? UINT64_MAX : old);
    m->untold += !had_gap && origin->gap_first != 0;
    (void)numbered_tell_gap(k, m, origin);
    ki_numbered_deliver(k, m, origin);
    numbered_look(k, m, origin, 0); /* what follows may be missing, too */
}

static void numbered_known(struct kith *k, struct ki_messages *m, struct ki_origin *origin, uint64_t last, uint32_t teller)
{
    origin->heard_us = k->now.mono_us;
    if (last > origin->known) {
        origin->known = last;
        origin->teller = teller;
    }
    numbered_look(k, m, origin, 0);
}

struct ki_origin *ki_numbered_enter(struct kith *k, struct ki_messages *m, struct ki_span name, uint64_t boot,
                                    struct ki_settled settled, uint64_t last)
{
    bool room = m->origins.count < KI_ORIGINS_MAX - 1; /* the last place is for ourselves */
    struct ki_origin *origin = room ? ki_origins_enter(&m->origins, name, boot, settled, last) : NULL;
    if (origin) {
        origin->teller = KI_NO_MEMBER;
        origin->heard_us = k->now.mono_us;
    }
    return origin;
}

void ki_numbered_heard(struct kith *k, struct ki_messages *m, struct ki_origin *origin, uint64_t last, uint64_t ltime,
                       uint32_t teller)
{
    if (last < origin->next)
        return;
    if (ltime < k->event_min) /* and those before it are older still */
        ki_numbered_skip(k, m, origin, last + 1, false);
    else
        numbered_known(k, m, origin, last, teller);
}

static struct ki_origin *numbered_origin(struct kith *k, struct ki_messages *m, uint64_t ltime,
                                         const struct ki_event_mark *mark)
{
    struct ki_origin *origin = ki_origins_find(&m->origins, mark->origin, mark->boot);
    struct ki_settled settled = {.next = 1};
    if (ltime < k->event_min)
        settled = (struct ki_settled){mark->seq + 1, ltime};
    else if (mark->before < k->event_min)
        settled = (struct ki_settled){mark->seq, mark->before};
    return origin ? origin : ki_numbered_enter(k, m, mark->origin, mark->boot, settled, mark->seq);
}

bool ki_numbered_event(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg,
                       const struct ki_event_mark *mark, struct ki_span message, bool *is_new)
{
    *is_new = false;
    if (numbered_is_own(k, mark->origin)) { /* ours, or of a former life: not for us, but known to others */
        struct ki_settled settled = {mark->seq + 1, msg->ltime};
        if (mark->boot != m->boot && !ki_origins_find(&m->origins, mark->origin, mark->boot))
            (void)ki_numbered_enter(k, m, mark->origin, mark->boot, settled, mark->seq);
        return true;
    }
    struct ki_origin *origin = numbered_origin(k, m, msg->ltime, mark);
    if (!origin)
        return ki_origins_are_finished(&m->origins, mark->origin, mark->boot, mark->seq);
    origin->heard_us = k->now.mono_us;
    switch (ki_origin_arrive(&m->origins, origin, mark->seq, msg->ltime, message)) {
    case KI_ARRIVAL_BEFORE: {
        const struct ki_kept *kept = ki_origin_kept(origin, mark->seq);
        if (mark->flags & KI_EVENT_CONFIRM && kept && kept->seq == mark->seq && kept->told)
            ki_numbered_took(k, mark); /* what we said of it was lost */
        return true;
    }
    case KI_ARRIVAL_NO_ROOM:
        ki_count(k, KI_COUNT_messages_dropped);
        numbered_known(k, m, origin, mark->seq, KI_NO_MEMBER);
        return true;
    case KI_ARRIVAL_NEW:
        break;
    }
    *is_new = true;
    if (KI_CANARY(JUMBLE) && mark->seq > origin->next)
        (void)ki_event_tell(k, m, msg, mark);
    ki_numbered_deliver(k, m, origin);
    numbered_look(k, m, origin, NUMBERED_ASK_FIRST_US);
    return true;
}

void ki_numbered_heard_of(struct kith *k, struct ki_messages *m, uint64_t ltime, const struct ki_event_mark *mark)
{
    struct ki_origin *origin = numbered_is_own(k, mark->origin) ? NULL : numbered_origin(k, m, ltime, mark);
    if (origin)
        ki_numbered_heard(k, m, origin, mark->seq, ltime, KI_NO_MEMBER);
}

int ki_numbered_own(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg,
                    const struct ki_event_mark *mark, struct ki_span message)
{
    struct ki_origin *origin = ki_origins_find(&m->origins, mark->origin, mark->boot);
    if (!origin)
        origin = ki_origins_enter(&m->origins, mark->origin, mark->boot, (struct ki_settled){mark->seq, 0}, mark->seq);
    if (!origin || ki_origin_arrive(&m->origins, origin, mark->seq, msg->ltime, message) != KI_ARRIVAL_NEW) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    origin->heard_us = k->now.mono_us;
    m->seq = mark->seq;
    ki_numbered_deliver(k, m, origin);
    return 0;
}

/* ---- time ---- */

/* Whom to ask: who told us of it, its origin, and others, in turn. */
static uint32_t numbered_whom(struct kith *k, struct ki_messages *m, const struct ki_origin *origin)
{
    const struct ki_company *company = ki_company(k, m);
    uint32_t id = ki_table_find(&k->table, ki_span(origin->name, origin->name_len));
    const struct ki_member *member = ki_table_at(&k->table, id);
    bool lives = member && member->state == KI_ALIVE && ki_speaks_kith(member);
    if (origin->asks == 0 && ki_table_at(&k->table, origin->teller))
        return origin->teller;
    if (lives && origin->asks % 2 == 0)
        return id;
    return company->kith_count > 0 ? company->kith[ki_rng_below(&k->rng, company->kith_count)] : KI_NO_MEMBER;
}

static void numbered_ask(struct kith *k, struct ki_messages *m, struct ki_origin *origin)
{
    uint64_t last;
    if (origin->ask_us > k->now.mono_us || !ki_origin_missing(origin, &last))
        return;
    if (k->now.mono_us - origin->missing_us >= NUMBERED_WAIT_US) {
        ki_numbered_skip(k, m, origin, last + 1, true);
        return;
    }
    uint32_t id = numbered_whom(k, m, origin);
    origin->asks++;
    origin->ask_us = KI_CANARY(SHY) ? KITH_NEVER : k->now.mono_us + NUMBERED_ASK_US;
    if (id != KI_NO_MEMBER && id != k->self)
        ki_numbered_want(k, origin, last, id);
}

/* Another life of the same member has been heard of since, or the member has left or is forgotten.  One that has failed may
 * be behind a cut, and go on from where it was. */
static bool numbered_is_gone(const struct kith *k, const struct ki_messages *m, const struct ki_origin *origin)
{
    struct ki_span name = ki_span(origin->name, origin->name_len);
    const struct ki_member *member = ki_table_at(&k->table, ki_table_find(&k->table, name));
    bool gone = !member || member->state == KI_LEFT;
    for (uint32_t i = 0; i < m->origins.count && !gone; i++) {
        const struct ki_origin *other = m->origins.list[i];
        gone = other != origin && other->heard_us > origin->heard_us &&
               ki_span_equal(ki_span(other->name, other->name_len), name);
    }
    return gone && !(numbered_is_own(k, name) && origin->boot == m->boot);
}

/* From the last to the first, since the last takes the place of one that is forgotten; a slice a call. */
static void numbered_tidy(struct kith *k, struct ki_messages *m)
{
    if (m->tidy_left == 0)
        m->tidy_left = m->origins.count;
    for (unsigned looks = 0; m->tidy_left > 0 && looks < NUMBERED_TIDY_SLICE; looks++) {
        struct ki_origin *origin = m->origins.list[--m->tidy_left];
        if (k->now.mono_us - origin->heard_us >= NUMBERED_IDLE_US && origin->gap_first == 0 &&
            numbered_is_gone(k, m, origin))
            ki_origins_forget(&m->origins, origin);
    }
    m->tidy_us = k->now.mono_us + (m->tidy_left > 0 ? 0 : NUMBERED_TIDY_US);
    if (m->tidy_left > 0)
        ki_count(k, KI_COUNT_slices);
}

void ki_numbered_tick(struct kith *k, struct ki_messages *m)
{
    if (m->missing_us <= k->now.mono_us) {
        m->missing_us = KITH_NEVER;
        for (uint32_t i = 0; i < m->origins.count; i++) {
            numbered_ask(k, m, m->origins.list[i]);
            m->missing_us = ki_min_u64(m->missing_us, m->origins.list[i]->ask_us);
        }
    }
    for (uint32_t i = 0; m->untold > 0 && i < m->origins.count; i++)
        (void)numbered_tell_gap(k, m, m->origins.list[i]);
    if (m->origins.count > 0 && m->tidy_us <= k->now.mono_us)
        numbered_tidy(k, m);
}

uint64_t ki_numbered_deadline(const struct ki_messages *m)
{
    return m->origins.count == 0 ? KITH_NEVER : ki_min_u64(m->missing_us, m->tidy_us);
}
