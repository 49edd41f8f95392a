/* What members of kith's kind say to each other about numbered events.
 *
 * Each ping tells the root of what its sender has settled, if there is anything.  Whoever has another asks for the heads,
 * a page at a time, and then wants what it lacks; so both sides find what the other has by their own pings.
 *
 * Wanted events are sent again as they were, some datagrams at most for each question, and what does not fit a datagram
 * over a link (event_link.c).  What is not kept any more is named: as lost, or as older than was asked for.
 *
 * A question is short and its answer is long, and whoever has heard one on its way can say it again, in the name of who
 * asked.  So what a member is answered in a time has a limit; beyond it the question is counted, and asked again by who
 * means it.
 *
 * Invariant: one question costs at most TALK_SENT_MAX datagrams, and asks nobody else.
 * Deliberately not here: what becomes of it (numbered.c). */
#include "node/messages.h"

#define TALK_SENT_MAX 32
#define TALK_HEADS_US 200000 /* between two questions for heads */
#define TALK_BUF 1400
#define TALK_RATE_MS 224    /* bytes a millisecond to one member: a question each 200 ms for TALK_SENT_MAX full datagrams */
#define TALK_BURST 1048576u /* bytes at once, besides all events that are kept: the heads of 4,096 origins */

static void talk_send(struct kith *k, uint32_t id, struct ki_span message)
{
    const struct ki_member *member = ki_table_at(&k->table, id);
    if (!member)
        return;
    struct kith_addr to = ki_addr_of(member);
    (void)ki_write_to(k, message, &to, id);
}

static void talk_say(struct kith *k, uint32_t id, enum ki_kith_event_kind kind, const struct ki_kith_event *msg)
{
    uint8_t buf[KI_KITH_EVENT_MAX];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_kith_event(&w, kind, msg);
    KI_ASSERT(!w.full);
    talk_send(k, id, ki_span(buf, w.len));
}

static struct ki_span talk_name(const struct ki_origin *origin)
{
    return ki_span(origin->name, origin->name_len);
}

/* ---- heads ---- */

void ki_numbered_root(struct kith *k, uint32_t id, struct ki_writer *w)
{
    const struct ki_messages *m = k->messages;
    const struct ki_member *member = ki_table_at(&k->table, id);
    if (m && m->origins.count > 0 && member && ki_speaks_kith(member) && !k->cfg.stock)
        ki_encode_events_root(w, m->origins.root);
}

static void talk_ask_heads(struct kith *k, struct ki_messages *m, uint32_t id, uint64_t from)
{
    uint8_t buf[16];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_events_heads_ask(&w, from);
    m->heads_us = k->now.mono_us + TALK_HEADS_US;
    m->heads_whom = id;
    m->heads_from = from;
    talk_send(k, id, ki_span(buf, w.len));
}

static int talk_root(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    uint64_t root;
    if (!ki_decode_events_root(r, &root))
        return KITH_ERR_MALFORMED;
    if (root != m->origins.root && m->heads_us <= k->now.mono_us)
        talk_ask_heads(k, m, id, 0);
    return 0;
}

static struct ki_kith_event talk_head(const struct ki_origin *origin)
{
    return (struct ki_kith_event){
        .boot = origin->boot, .last = origin->next - 1, .ltime = origin->last_ltime, .name = talk_name(origin)};
}

size_t ki_numbered_head(const struct ki_origin *origin, uint8_t *buf, size_t cap)
{
    struct ki_writer w = ki_writer(buf, cap);
    struct ki_kith_event head = talk_head(origin);
    ki_encode_events_heads_front(&w, 0);
    ki_encode_events_head(&w, &head);
    KI_ASSERT(!w.full);
    return w.len;
}

static int talk_heads_ask(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    uint64_t from;
    uint8_t heads[TALK_BUF], buf[TALK_BUF];
    if (!ki_decode_events_heads_ask(r, &from))
        return KITH_ERR_MALFORMED;
    size_t room = ki_min_size(TALK_BUF, ki_message_room(k)) - 16;
    struct ki_writer list = ki_writer(heads, room), w = ki_writer(buf, sizeof buf);
    uint64_t at = from;
    for (; at < m->origins.count; at++) {
        struct ki_writer before = list;
        struct ki_kith_event head = talk_head(m->origins.list[at]);
        ki_encode_events_head(&list, &head);
        if (!list.full)
            continue;
        list = before;
        break;
    }
    ki_encode_events_heads_front(&w, at < m->origins.count ? at : 0);
    ki_put(&w, heads, list.len);
    KI_ASSERT(!w.full);
    talk_send(k, id, ki_span(buf, w.len));
    return 0;
}

/* True if it told something that we did not know. */
static bool talk_head_known(struct kith *k, struct ki_messages *m, uint32_t id, const struct ki_kith_event *head)
{
    bool is_own = ki_span_equal(head->name, ki_name_of(k->cfg.name));
    if (head->last == 0 || (is_own && head->boot == m->boot))
        return false;
    struct ki_origin *origin = ki_origins_find(&m->origins, head->name, head->boot);
    if (!origin) {
        bool old = head->ltime < k->event_min || is_own; /* all of it, or a former life's */
        struct ki_settled settled = {.next = 1};
        if (old)
            settled = (struct ki_settled){head->last + 1, head->ltime};
        origin = ki_numbered_enter(k, m, head->name, head->boot, settled, head->last);
        if (!origin)
            return false;
    }
    bool is_new = head->last > origin->known;
    if (is_own && is_new)
        ki_origin_skip(&m->origins, origin, head->last + 1, false, head->ltime);
    else
        ki_numbered_heard(k, m, origin, head->last, head->ltime, id);
    return is_new;
}

static int talk_heads(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    uint64_t more_from;
    struct ki_kith_event head;
    bool is_new = false;
    if (!ki_decode_events_heads_front(r, &more_from))
        return KITH_ERR_MALFORMED;
    while (r->left > 0) {
        if (!ki_decode_events_head(r, &head))
            return KITH_ERR_MALFORMED;
        is_new = talk_head_known(k, m, id, &head) || is_new;
    }
    if (more_from == 0 || id != m->heads_whom)
        return 0; /* the end; or nobody has asked, and who agrees with us would tell us all it has for it */
    if (is_new || more_from <= m->heads_from)
        m->heads_whom = KI_NO_MEMBER;
    else
        talk_ask_heads(k, m, id, more_from);
    return 0;
}

/* ---- wanting ---- */

void ki_numbered_want(struct kith *k, struct ki_origin *origin, uint64_t last, uint32_t id)
{
    talk_say(k, id, KI_EVENTS_WANT,
             &(struct ki_kith_event){.boot = origin->boot,
                                     .first = origin->next,
                                     .last = last,
                                     .ltime = k->event_min,
                                     .name = talk_name(origin)});
    ki_count(k, KI_COUNT_events_wanted);
}

/* Of what is not here between first and has, which is `kept` or the end: the newest may be such as is not old for who asks.
 * Each mark tells how old the event before it was; behind the last one we must know it ourselves. */
static bool talk_lacks(const struct ki_origin *origin, const struct ki_kept *kept, uint64_t ltime)
{
    struct ki_reader r = ki_reader(kept ? kept->bytes + 1 : NULL, kept ? kept->len - 1 : 0);
    struct ki_serf_event msg;
    struct ki_event_mark mark;
    if (kept && ki_decode_serf_event(&r, &msg) && ki_decode_event_mark(msg.mark, &mark))
        return mark.before > 0 && mark.before >= ltime;
    return origin->lost_ltime > 0 && origin->lost_ltime >= ltime;
}

static int talk_want(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    struct ki_kith_event want;
    if (!ki_decode_kith_event(r, KI_EVENTS_WANT, &want))
        return KITH_ERR_MALFORMED;
    struct ki_origin *origin = ki_origins_find(&m->origins, want.name, want.boot);
    bool is_former = want.boot != m->boot && ki_span_equal(want.name, ki_name_of(k->cfg.name));
    if (!origin || is_former || want.first >= origin->next)
        return 0; /* we lack it, too; of a former life of ours we know the number alone, and others may have more */
    const struct ki_kept *kept = ki_origin_kept(origin, want.first);
    while (kept && kept->ltime < want.ltime)
        kept = kept->next; /* old for who asks */
    uint64_t has = kept ? kept->seq : origin->next;
    if (has > want.first)
        talk_say(k, id, KI_EVENTS_SKIP,
                 &(struct ki_kith_event){.boot = want.boot,
                                         .first = want.first,
                                         .last = ki_min_u64(want.last, has - 1),
                                         .lost = talk_lacks(origin, kept, want.ltime),
                                         .ltime = want.ltime,
                                         .name = want.name});
    for (unsigned sent = 0; kept && kept->seq <= want.last && sent < TALK_SENT_MAX; kept = kept->next, sent++) {
        if (kept->len + 1 <= ki_message_room(k))
            talk_send(k, id, ki_span(kept->bytes, kept->len));
        else if (!ki_event_link_send(k, id, ki_span(kept->bytes, kept->len)))
            break;
    }
    return 0;
}

static int talk_skip(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    struct ki_kith_event skip;
    if (!ki_decode_kith_event(r, KI_EVENTS_SKIP, &skip))
        return KITH_ERR_MALFORMED;
    struct ki_origin *origin = ki_origins_find(&m->origins, skip.name, skip.boot);
    uint64_t last; /* what has come meanwhile is not given up */
    bool asked = origin && origin->missing_us != KITH_NEVER && ki_origin_missing(origin, &last) &&
                 skip.first <= origin->next && skip.last >= origin->next;
    bool is_old = asked && !skip.lost && skip.ltime <= k->event_min; /* else it was said to somebody who had heard more */
    bool is_origins = asked && id == ki_table_find(&k->table, talk_name(origin));
    if (is_old || (asked && skip.lost && (is_origins || origin->asks >= 3))) /* another member may keep more */
        ki_numbered_skip(k, m, origin, ki_min_u64(skip.last, last) + 1, skip.lost);
    return 0;
}

/* ---- how much ---- */

/* Who was cut off may lack all that we keep; so much it gets at once, and is told of no gap for our sake. */
static bool talk_owes_too_much(const struct kith *k, const struct ki_debt *debt)
{
    uint64_t owed = (debt->until_us - k->now.mono_us) * TALK_RATE_MS / 1000;
    return owed > TALK_BURST && owed - TALK_BURST > k->cfg.event_log_max;
}

static int talk_answer(struct kith *k, struct ki_messages *m, uint32_t id, enum ki_kith_event_kind kind, struct ki_reader *r)
{
    struct ki_debt *debt = ki_debts_of(&m->debts, id, k->now.mono_us);
    if (!debt || talk_owes_too_much(k, debt)) {
        ki_count(k, debt ? KI_COUNT_event_asks_refused : KI_COUNT_out_of_memory);
        return 0;
    }
    size_t before = k->letter_bytes; /* what goes over links is not counted: the links' credit is its limit */
    int error = kind == KI_EVENTS_WANT ? talk_want(k, m, id, r) : talk_heads_ask(k, m, id, r);
    debt->until_us += (uint64_t)(k->letter_bytes - before) * 1000 / TALK_RATE_MS;
    return error;
}

/* ---- confirming ---- */

void ki_numbered_took(struct kith *k, const struct ki_event_mark *mark)
{
    uint32_t id = ki_table_find(&k->table, mark->origin);
    if (id != KI_NO_MEMBER && id != k->self)
        talk_say(k, id, KI_EVENTS_TOOK,
                 &(struct ki_kith_event){.boot = mark->boot, .first = mark->seq, .name = ki_name_of(k->cfg.name)});
}

static int talk_took(struct kith *k, uint32_t id, struct ki_reader *r)
{
    struct ki_kith_event took;
    if (!ki_decode_kith_event(r, KI_EVENTS_TOOK, &took))
        return KITH_ERR_MALFORMED;
    const struct ki_member *member = ki_table_at(&k->table, id);
    if (!member || !ki_span_equal(took.name, ki_member_name(member)))
        return 0; /* sent again by somebody else, who cannot seal it anew */
    ki_confirm_took(k, id, took.boot, took.first);
    return 0;
}

int ki_numbered_message(struct kith *k, uint32_t id, struct ki_span message)
{
    struct ki_messages *m = ki_messages(k);
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    int error = KITH_ERR_VERSION; /* what later versions add */
    if (!m)
        return KITH_ERR_NOMEM;
    switch ((enum ki_kith_event_kind)message.ptr[0]) {
    case KI_EVENTS_ROOT:
        error = talk_root(k, m, id, &r);
        break;
    case KI_EVENTS_HEADS:
        error = talk_heads(k, m, id, &r);
        break;
    case KI_EVENTS_HEADS_ASK:
    case KI_EVENTS_WANT:
        error = talk_answer(k, m, id, (enum ki_kith_event_kind)message.ptr[0], &r);
        break;
    case KI_EVENTS_SKIP:
        error = talk_skip(k, m, id, &r);
        break;
    case KI_EVENTS_TOOK:
        error = talk_took(k, id, &r);
        break;
    case KI_EVENTS_AGAIN:
        error = ki_query_again(k, id, ki_span(r.pos, r.left));
        break;
    }
    if (error == KITH_ERR_VERSION)
        ki_count(k, KI_COUNT_unknown_serf_type);
    else if (error)
        ki_count(k, KI_COUNT_malformed);
    return error;
}
