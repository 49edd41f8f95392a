/* Our own queries: asking, and hearing the answers.
 *
 *   ki_query_ask() --> asked --responses--> told, one for each member and kind --time is over--> ended
 *
 * A query has the Lamport time of the query clock, which its own hearing moves on, so no two of ours have the same; and a
 * random number, so nobody answers what he has not heard.  Answers count once for each member that we know; who says he is
 * whom cannot be told, since answers come by way of others.
 *
 * Invariant: a query in the list ends by a DONE event, or by what vote.c and change_keys.c make of it.
 * Deliberately not here: what the queries of the pool itself ask. */
#include "base/canary.h"
#include "base/ilog.h"
#include "node/folded.h"
#include "serf/filter.h"

#define ASK_ACK 1          /* flags of a query and of an answer */
#define ASK_NAME_MAX 255
#define ASK_FRONT (192 + KITH_NAME_MAX) /* bytes of a query around name, payload and filters */
#define ASK_TIMEOUT_MULT 16             /* Serf's: gossip intervals for each digit of the pool's size */
#define ASK_TIMEOUT_MAX_MS 3600000
#define ASK_AGAIN_TIMES 10 /* with a third of all datagrams lost, one member in 1,000 is not heard of */
#define ASK_AGAIN_MAX 64   /* members asked in one round */
#define ASK_AGAIN_FRONT 2  /* 4b, kind */

/* ---- asking ---- */

uint64_t ki_query_wait_us(const struct kith *k, const struct kith_query *query)
{
    if (query->timeout_ms > 0)
        return (uint64_t)(query->timeout_ms < ASK_TIMEOUT_MAX_MS ? query->timeout_ms : ASK_TIMEOUT_MAX_MS) * 1000;
    uint64_t digits = ki_max_u64(1, ki_log10_ceil((uint64_t)k->table.count + 1));
    return (uint64_t)k->cfg.gossip_interval_ms * 1000 * ASK_TIMEOUT_MULT * digits;
}

static uint64_t ask_again_us(const struct kith *k, const struct ki_query_out *out)
{
    uint64_t interval_us = (out->deadline_us - out->begun_us) / ASK_AGAIN_TIMES;
    return k->now.mono_us + ki_max_u64(interval_us, (uint64_t)k->cfg.gossip_interval_ms * 1000);
}

size_t ki_query_filters_len(const struct kith_query *query)
{
    size_t len = 16;
    for (size_t i = 0; i < query->node_count; i++)
        len += 5 + query->nodes[i].len;
    for (size_t i = 0; i < query->tag_count; i++)
        len += 32 + query->tags[i].key.len + query->tags[i].value.len;
    return len;
}

void ki_query_filters(const struct kith_query *query, struct ki_pack *p)
{
    ki_pack_array(p, (query->node_count > 0) + query->tag_count);
    size_t names_len = 0;
    for (size_t i = 0; i < query->node_count; i++)
        names_len += ki_filter_text_len(query->nodes[i].len);
    if (query->node_count > 0)
        ki_encode_filter_names(p, query->node_count, names_len);
    for (size_t i = 0; i < query->node_count; i++)
        ki_pack_str(p, ki_name_of(query->nodes[i]));
    for (size_t i = 0; i < query->tag_count; i++)
        ki_encode_filter_tag(p, ki_name_of(query->tags[i].key), ki_name_of(query->tags[i].value));
}

static struct ki_query_out *ask_note(struct kith *k, struct ki_messages *m, enum ki_query_use use, uint64_t timeout_us)
{
    struct ki_query_out *out = m->out_count < k->cfg.queries_max ? ki_mem_new(&k->mem, sizeof *out) : NULL;
    if (!out)
        return NULL;
    out->use = use;
    out->id = (uint32_t)ki_crng_u64(&k->crng) >> 1; /* Serf reads it as a signed number */
    out->ltime = k->query_clock.time;
    out->begun_us = k->now.mono_us;
    out->deadline_us = k->now.mono_us + timeout_us;
    out->again_us = KITH_NEVER;
    out->next = m->out;
    m->out = out;
    m->out_count++;
    return out;
}

void ki_query_out_free(struct kith *k, struct ki_query_out *out)
{
    struct ki_messages *m = k->messages;
    struct ki_query_out **at = &m->out;
    while (*at != out)
        at = &(*at)->next;
    *at = out->next;
    m->out_count--;
    ki_mem_free(&k->mem, out->answered);
    ki_mem_free(&k->mem, out->message);
    ki_mem_free(&k->mem, out);
}

/* Keeps it for those who do not acknowledge it: a datagram may be lost, or its acknowledgement.  One that is too large for
 * a datagram is an event with a number, and those are not lost. */
static void ask_keep(struct kith *k, struct ki_messages *m, struct ki_query_out *out, struct ki_span message)
{
    size_t len = message.len + ASK_AGAIN_FRONT;
    if (ki_company(k, m)->kith_count == 0 || len + 1 > ki_message_room(k))
        return;
    out->message = ki_mem_resize(&k->mem, NULL, len);
    if (!out->message) {
        ki_count(k, KI_COUNT_out_of_memory);
        return;
    }
    out->message[0] = KI_SERF_KITH;
    out->message[1] = KI_EVENTS_AGAIN;
    memcpy(out->message + ASK_AGAIN_FRONT, message.ptr, message.len);
    out->message_len = len;
    out->again_us = ask_again_us(k, out);
}

/* Asks those again who should have acknowledged it, beginning behind the last one of the round before: else some that never
 * do could keep it from those behind them. */
static void ask_again(struct kith *k, struct ki_messages *m, struct ki_query_out *out)
{
    const struct ki_company *company = ki_company(k, m);
    struct ki_reader r = ki_reader(out->message + ASK_AGAIN_FRONT + 1, out->message_len - ASK_AGAIN_FRONT - 1);
    struct ki_serf_query query;
    bool fine = ki_decode_serf_query(&r, &query);
    KI_ASSERT(fine);
    struct ki_letter *letter = ki_letter_new(k, ki_span(out->message, out->message_len));
    uint32_t begin = 0;
    while (begin < company->kith_count && company->kith[begin] < out->again_from)
        begin++;
    for (uint32_t i = 0, sent = 0; letter && i < company->kith_count && sent < ASK_AGAIN_MAX; i++) {
        uint32_t id = company->kith[(begin + i) % company->kith_count];
        const struct ki_member *member = ki_table_at(&k->table, id);
        bool acked = id < out->answered_cap && (out->answered[id] & KI_ANSWERED_ACK);
        if (!member || acked ||
            ki_filters_match(&k->mem, query.filters, ki_member_name(member), ki_member_meta(member)) != KI_FILTER_PASS)
            continue;
        struct kith_addr to = ki_addr_of(member);
        if (!ki_letter_send(k, letter, &to, id))
            continue;
        out->again_from = id + 1;
        sent++;
    }
    ki_letter_drop(k, letter);
    out->again_us = ask_again_us(k, out);
}

/* Encodes, and hears it as the first one. */
static int ask_send(struct kith *k, struct ki_messages *m, struct ki_query_out *out, const struct kith_query *query,
                    uint64_t timeout_us)
{
    size_t filters_cap = ki_query_filters_len(query);
    size_t cap = ASK_FRONT + filters_cap + query->name.len + query->payload.len;
    uint8_t *buf = ki_mem_resize(&k->mem, NULL, filters_cap + cap);
    if (!buf) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_pack filters = ki_pack(buf, filters_cap, false);
    bool filtered = query->node_count + query->tag_count > 0;
    if (filtered)
        ki_query_filters(query, &filters);
    struct ki_pack p = ki_pack(buf + filters_cap, cap, false);
    ki_encode_serf_query(&p, &(struct ki_serf_query){.ltime = out->ltime,
                                                     .id = out->id,
                                                     .addr = ki_span(k->cfg.addr.ip, k->cfg.addr.ip_len),
                                                     .port = k->cfg.addr.port,
                                                     .source_node = ki_name_of(k->cfg.name),
                                                     .filters = filtered ? ki_span(buf, filters.w.len) : ki_span(NULL, 0),
                                                     .flags = query->ack ? ASK_ACK : 0,
                                                     .relay_factor = query->relay_factor,
                                                     .timeout_ns = (int64_t)timeout_us * 1000,
                                                     .name = ki_name_of(query->name),
                                                     .payload = ki_name_of(query->payload)});
    KI_ASSERT(!filters.w.full && !p.w.full);
    struct ki_span message = ki_span(buf + filters_cap, p.w.len);
    int error = ki_spread(k, m, KI_QUEUE_QUERIES, message, true, false);
    bool is_event = error == KITH_ERR_TOO_LONG && !k->cfg.stock; /* and then we hear it as one, too */
    if (is_event)
        error = ki_event_query(k, m, message);
    if (!error && query->ack)
        ask_keep(k, m, out, message);
    if (!error && !is_event)
        ki_query_heard_own(k, m, message);
    ki_mem_free(&k->mem, buf);
    return error;
}

int ki_query_ask(struct kith *k, enum ki_query_use use, const struct kith_query *query, kith_ticket ticket)
{
    struct ki_messages *m = ki_messages(k);
    if (!m)
        return KITH_ERR_NOMEM;
    uint64_t timeout_us = ki_query_wait_us(k, query);
    struct ki_query_out *asked = ask_note(k, m, use, timeout_us);
    if (!asked)
        return m->out_count >= k->cfg.queries_max ? KITH_ERR_FULL : KITH_ERR_NOMEM;
    asked->ticket = ticket;
    int error = ask_send(k, m, asked, query, timeout_us);
    if (error)
        ki_query_out_free(k, asked);
    return error;
}

/* All that a pattern takes is of our memory, so one that failed there need not be wrong. */
static int ask_check_expression(struct kith *k, struct ki_span expression)
{
    uint64_t failures = k->mem.failures;
    struct ki_pattern *pattern = ki_pattern_new(&k->mem, KI_PATTERN_WITHIN, expression, NULL, 0);
    ki_pattern_free(pattern);
    if (pattern)
        return 0;
    if (k->mem.failures == failures)
        return KITH_ERR_ARG;
    ki_count(k, KI_COUNT_out_of_memory);
    return KITH_ERR_NOMEM;
}

static int ask_check(struct kith *k, const struct kith_query *query)
{
    if (k->life != KI_LIFE_LIVE || k->bare)
        return KITH_ERR_STATE;
    if (query->name.len == 0 || query->name.len > ASK_NAME_MAX ||
        (ki_query_is_own(ki_name_of(query->name)) && !ki_query_is_ping(ki_name_of(query->name), query->payload.len)) ||
        (ki_query_is_gauge(ki_name_of(query->name)) && !query->fold))
        return KITH_ERR_ARG;
    for (size_t i = 0; i < query->tag_count; i++) {
        int error = ask_check_expression(k, ki_name_of(query->tags[i].value));
        if (error)
            return error;
    }
    for (size_t i = 0; i < query->node_count; i++) {
        if (ki_table_find(&k->table, ki_name_of(query->nodes[i])) == KI_NO_MEMBER)
            return KITH_ERR_NOT_FOUND;
    }
    bool fits = query->payload.len <= k->cfg.query_size_max &&
                query->name.len + query->payload.len + ki_query_filters_len(query) <= k->cfg.query_size_max;
    return fits ? 0 : KITH_ERR_TOO_LONG;
}

int kith_ask(struct kith *k, struct kith_time now, const struct kith_query *query, kith_ticket *ticket)
{
    KI_ASSERT(ticket);
    ki_input(k, now);
    int error = ask_check(k, query);
    if (error)
        return error;
    if (!ki_dones_reserve(k)) { /* what begins must be able to end */
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    if (query->fold)
        return ki_folded_ask(k, query, ticket);
    *ticket = ++k->last_ticket;
    ki_count(k, KI_COUNT_queries_out);
    return ki_query_ask(k, KI_QUERY_APPLICATION, query, *ticket);
}

/* ---- answers ---- */

/* The first answer of this kind from this member; from now on it is not. */
static bool ask_first_of(struct kith *k, struct ki_query_out *out, uint32_t id, bool is_ack)
{
    if (id >= out->answered_cap) {
        uint32_t cap = k->table.used;
        uint8_t *larger = ki_mem_resize(&k->mem, out->answered, cap);
        if (!larger) {
            ki_count(k, KI_COUNT_out_of_memory);
            return false;
        }
        memset(larger + out->answered_cap, 0, cap - out->answered_cap);
        out->answered = larger;
        out->answered_cap = cap;
    }
    uint8_t bit = is_ack ? KI_ANSWERED_ACK : KI_ANSWERED_RESPONSE;
    bool first = !(out->answered[id] & bit);
    out->answered[id] |= bit;
    return first || KI_CANARY(PARROT);
}

void ki_messages_forget(struct kith *k, uint32_t id)
{
    for (struct ki_query_out *out = k->messages ? k->messages->out : NULL; out; out = out->next) {
        if (id < out->answered_cap)
            out->answered[id] = 0; /* the id may soon be another's */
    }
    if (!k->messages)
        return;
    ki_confirm_forget(k->messages, id);
    ki_folded_forget(k->messages, id);
    ki_debts_forget(&k->messages->debts, id);
}

static void ask_tell(struct kith *k, const struct ki_query_out *out, const struct ki_serf_response *response, bool is_ack)
{
    struct kith_event event = {
        .kind = KITH_EVENT_ANSWER,
        .ticket = out->ticket,
        .message = {.origin = {(const char *)response->from.ptr, response->from.len},
                    .payload = {(const char *)response->payload.ptr, response->payload.len},
                    .ltime = out->ltime,
                    .is_ack = is_ack}};
    (void)ki_message_put(k, &event); /* counted, if it is lost */
}

int ki_handle_response(struct kith *k, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_serf_response response;
    if (!ki_decode_serf_response(&r, &response)) {
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    struct ki_query_out *out = k->messages ? k->messages->out : NULL;
    while (out && (out->id != response.id || out->ltime != response.ltime))
        out = out->next;
    uint32_t id = ki_table_find(&k->table, response.from);
    if (!out || id == KI_NO_MEMBER) {
        ki_count(k, KI_COUNT_answers_late);
        return 0;
    }
    bool is_ack = response.flags & ASK_ACK;
    if (!ask_first_of(k, out, id, is_ack))
        return 0;
    ki_count(k, KI_COUNT_answers_in);
    out->responses += !is_ack;
    switch (out->use) {
    case KI_QUERY_APPLICATION:
        ask_tell(k, out, &response, is_ack);
        return 0;
    case KI_QUERY_VOTE:
        return is_ack ? 0 : ki_vote_answered(k, out, &response);
    case KI_QUERY_KEYS:
    case KI_QUERY_LIST:
        return is_ack ? 0 : ki_keys_answered(k, out, &response);
    }
    KI_UNREACHABLE();
}

/* ---- ends ---- */

static void ask_end(struct kith *k, struct ki_query_out *out)
{
    struct ki_query_out ended = *out;
    ended.answered = ended.message = NULL;
    ki_query_out_free(k, out);
    switch (ended.use) {
    case KI_QUERY_APPLICATION:
        ki_done_event(k, &(struct ki_done){.kind = KITH_EVENT_DONE, .ticket = ended.ticket, .count = ended.responses});
        return;
    case KI_QUERY_VOTE:
        ki_vote_ended(k, &ended);
        return;
    case KI_QUERY_KEYS:
    case KI_QUERY_LIST:
        ki_keys_ended(k, &ended);
        return;
    }
}

void ki_queries_check(struct kith *k)
{
    struct ki_messages *m = k->messages;
    struct ki_query_out *out = m->out;
    while (out) {
        struct ki_query_out *next = out->next;
        if (out->use == KI_QUERY_KEYS || out->use == KI_QUERY_LIST)
            out->is_whole = ki_keys_all_answered(k, out);
        if (out->deadline_us <= k->now.mono_us || out->is_whole)
            ask_end(k, out); /* what that begins comes in front */
        else if (out->again_us <= k->now.mono_us)
            ask_again(k, m, out);
        out = next;
    }
    for (struct ki_query_in *in = m->in, *next; in; in = next) {
        next = in->next;
        if (in->deadline_us <= k->now.mono_us)
            ki_query_in_free(k, in);
    }
}

int kith_ask_cancel(struct kith *k, struct kith_time now, kith_ticket ticket)
{
    ki_input(k, now);
    struct ki_query_out *out = k->messages ? k->messages->out : NULL;
    while (out && out->ticket != ticket)
        out = out->next;
    if (ticket == 0 || (!out && !ki_folded_cancel(k, ticket)))
        return KITH_ERR_NOT_FOUND;
    if (out)
        ask_end(k, out);
    return 0;
}
