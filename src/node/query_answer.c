/* Queries of others: heard, passed on, told, answered.
 *
 * A query is known again by its Lamport time and number, within Serf's window; a new one is passed on even if it is not
 * for us.  If its filters let us through, it is acknowledged at once if it asks for that, and then told to the application,
 * or answered by ourselves if it is one of Serf's own.  An answer is one message straight to the asker and, for a query
 * with a relay factor, by way of so many other members.
 *
 * Whoever forges a query must not aim the pool at anybody: the address to answer to must be the known one of the member that
 * asks, and a relay passes on only to a known member at its address.
 *
 * Invariant: what may be answered is not older than its query's time.
 * Deliberately not here: what Serf's own queries do (query_own.c). */
#include "node/folded.h"
#include "serf/filter.h"

#define ANSWER_ACK 1          /* flags of a query and of an answer */
#define ANSWER_NO_BROADCAST 2 /* of a query */
#define ANSWER_RELAYS_MAX 16
#define ANSWER_FRONT (96 + KITH_NAME_MAX)        /* bytes of an answer around its payload */
#define ANSWER_RELAY_FRONT (64 + KITH_NAME_MAX)  /* and before it, when it is relayed */
#define ANSWER_TIMEOUT_MAX_NS INT64_C(3600000000000) /* a query that waits longer is answered for an hour */

/* ---- those that wait ---- */

void ki_query_in_free(struct kith *k, struct ki_query_in *in)
{
    struct ki_messages *m = k->messages;
    struct ki_query_in **at = &m->in;
    while (*at != in)
        at = &(*at)->next;
    *at = in->next;
    m->in_count--;
    ki_mem_free(&k->mem, in);
}

static struct ki_query_in *answer_find(const struct kith *k, uint64_t handle)
{
    struct ki_query_in *in = k->messages ? k->messages->in : NULL;
    while (in && in->handle != handle)
        in = in->next;
    return in;
}

/* ---- answers ---- */

static bool answer_relayable(const struct kith *k, uint32_t id, uint32_t asker)
{
    const struct ki_member *m = ki_table_at(&k->table, id);
    return m && id != asker && id != k->self && m->state == KI_ALIVE && m->versions[1] >= 5; /* as Serf asks for */
}

/* Also by way of others, who pass it on: datagrams are lost one by one. */
static void answer_relay(struct kith *k, const struct ki_query_in *in, struct ki_span message)
{
    uint32_t factor = in->relay_factor < ANSWER_RELAYS_MAX ? in->relay_factor : ANSWER_RELAYS_MAX;
    uint32_t asker = ki_table_find(&k->table, ki_span(in->source, in->source_len)), ids[ANSWER_RELAYS_MAX];
    size_t cap = ANSWER_RELAY_FRONT + message.len;
    if (factor == 0 || k->table.count < factor + 1)
        return;
    uint8_t *buf = ki_mem_resize(&k->mem, NULL, cap);
    if (!buf) {
        ki_count(k, KI_COUNT_out_of_memory);
        return;
    }
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_serf_relay_front(&p, &(struct ki_serf_relay){.ip = ki_span(in->to.ip, in->to.ip_len),
                                                           .port = in->to.port,
                                                           .name = ki_span(in->source, in->source_len)});
    ki_put(&p.w, message.ptr, message.len);
    KI_ASSERT(!p.w.full);
    struct ki_letter *letter = ki_letter_new(k, ki_span(buf, p.w.len));
    uint32_t count = letter ? ki_pick(k, KI_PICK_ALIVE, asker, factor, ids) : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!answer_relayable(k, ids[i], asker))
            continue;
        struct kith_addr to = ki_addr_of(ki_table_at(&k->table, ids[i]));
        (void)ki_letter_send(k, letter, &to, ids[i]);
    }
    ki_letter_drop(k, letter);
    ki_mem_free(&k->mem, buf);
}

int ki_query_answer(struct kith *k, const struct ki_query_in *in, uint32_t flags, struct ki_span payload)
{
    size_t cap = ANSWER_FRONT + payload.len;
    uint8_t *buf = ki_mem_resize(&k->mem, NULL, cap);
    if (!buf) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_serf_response(&p, &(struct ki_serf_response){.ltime = in->ltime,
                                                           .id = in->id,
                                                           .from = ki_name_of(k->cfg.name),
                                                           .flags = flags,
                                                           .payload = payload});
    KI_ASSERT(!p.w.full);
    struct ki_span message = ki_span(buf, p.w.len);
    uint32_t id = ki_table_find(&k->table, ki_span(in->source, in->source_len));
    int error = 0;
    if (in->source_len == k->cfg.name.len && memcmp(in->source, k->cfg.name.ptr, in->source_len) == 0) {
        error = ki_handle_response(k, ki_span(message.ptr + 1, message.len - 1));
    } else if (message.len + 1 > ki_message_room(k)) {
        bool by_link = id != KI_NO_MEMBER && ki_speaks_kith(ki_table_at(&k->table, id)) && !k->cfg.stock;
        error = !by_link ? KITH_ERR_TOO_LONG : ki_event_link_send(k, id, message) ? 0 : KITH_ERR_FULL;
    } else {
        error = ki_write_to(k, message, &in->to, id) ? 0 : KITH_ERR_FULL;
        if (!error)
            answer_relay(k, in, message);
    }
    ki_mem_free(&k->mem, buf);
    return error;
}

int kith_respond(struct kith *k, struct kith_time now, uint64_t query, struct kith_str payload)
{
    ki_input(k, now);
    struct ki_query_in *in = answer_find(k, query);
    if (!in)
        return ki_folded_respond(k, query, payload);
    if (in->changes_keys || in->deadline_us <= k->now.mono_us || !ki_active(k))
        return KITH_ERR_NOT_FOUND;
    if (payload.len > k->cfg.response_size_max)
        return KITH_ERR_TOO_LONG;
    int error = ki_query_answer(k, in, 0, ki_name_of(payload));
    if (!error)
        ki_query_in_free(k, in);
    return error;
}

/* ---- queries ---- */

/* Where its answers go: the known address of the member that asks.  False: nowhere. */
static bool answer_to(struct kith *k, const struct ki_serf_query *query, struct kith_addr *to)
{
    struct kith_addr claimed;
    uint32_t id = ki_table_find(&k->table, query->source_node);
    bool fine = id != KI_NO_MEMBER && ki_addr_from_span(query->addr, query->port, &claimed);
    if (fine) {
        *to = ki_addr_of(ki_table_at(&k->table, id));
        fine = kith_addr_equal(to, &claimed);
    }
    if (!fine)
        ki_count(k, KI_COUNT_forged_reply_address);
    return fine;
}

static bool answer_is_for_us(struct kith *k, const struct ki_serf_query *query)
{
    switch (ki_filters_match(&k->mem, query->filters, ki_name_of(k->cfg.name), ki_span(k->meta, k->meta_len))) {
    case KI_FILTER_PASS:
        return true;
    case KI_FILTER_REJECT:
        return false;
    case KI_FILTER_BAD:
    case KI_FILTER_TOO_DEAR:
        ki_count(k, KI_COUNT_filters_refused);
        return false;
    }
    KI_UNREACHABLE();
}

static struct ki_query_in *answer_note(struct kith *k, struct ki_messages *m, const struct ki_serf_query *query,
                                       const struct kith_addr *to)
{
    struct ki_query_in *in = m->in_count < k->cfg.queries_max ? ki_mem_new(&k->mem, sizeof *in) : NULL;
    if (!in) {
        ki_count(k, KI_COUNT_messages_dropped);
        return NULL;
    }
    int64_t timeout_ns = query->timeout_ns < 0 ? 0 : query->timeout_ns;
    if (timeout_ns > ANSWER_TIMEOUT_MAX_NS)
        timeout_ns = ANSWER_TIMEOUT_MAX_NS;
    *in = (struct ki_query_in){.next = m->in,
                               .handle = ++m->last_handle,
                               .ltime = query->ltime,
                               .id = query->id,
                               .to = *to,
                               .relay_factor = query->relay_factor,
                               .deadline_us = k->now.mono_us + (uint64_t)timeout_ns / 1000,
                               .source_len = (uint8_t)query->source_node.len};
    memcpy(in->source, query->source_node.ptr, query->source_node.len);
    m->in = in;
    m->in_count++;
    return in;
}

static void answer_tell(struct kith *k, const struct ki_serf_query *query, struct ki_query_in *in)
{
    struct kith_event event = {
        .kind = KITH_EVENT_QUERY,
        .message = {.origin = {(const char *)query->source_node.ptr, query->source_node.len},
                    .name = {(const char *)query->name.ptr, query->name.len},
                    .payload = {(const char *)query->payload.ptr, query->payload.len},
                    .ltime = query->ltime,
                    .query = in->handle,
                    .until_us = in->deadline_us}};
    if (ki_message_put(k, &event) != 0)
        ki_query_in_free(k, in); /* nobody will answer it */
}

static void answer_heed(struct kith *k, struct ki_messages *m, const struct ki_serf_query *query)
{
    struct kith_addr to;
    if (!answer_is_for_us(k, query) || !answer_to(k, query, &to))
        return;
    ki_count(k, KI_COUNT_queries_in);
    struct ki_query_in *in = answer_note(k, m, query, &to);
    if (!in)
        return;
    if (query->flags & ANSWER_ACK)
        (void)ki_query_answer(k, in, ANSWER_ACK, ki_span(NULL, 0));
    if (ki_query_is_own(query->name))
        ki_query_own(k, query, in);
    else
        answer_tell(k, query, in);
}

static bool answer_query_fine(const struct ki_serf_query *query)
{
    return query->ltime != UINT64_MAX && query->source_node.len <= KITH_NAME_MAX && ki_filters_fine(query->filters) &&
           !(query->payload.len == 0 && ki_query_changes_key(query->name)); /* stock agents would choke on what is not */
}

static enum ki_seen_result answer_note_query(struct kith *k, struct ki_messages *m, const struct ki_serf_query *query)
{
    ki_clock_witness(&k->query_clock, query->ltime);
    return ki_messages_note(k, &m->queries, k->query_clock.time, query->ltime, query->id);
}

void ki_query_heard_own(struct kith *k, struct ki_messages *m, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    struct ki_serf_query query;
    bool fine = ki_decode_serf_query(&r, &query);
    KI_ASSERT(fine);
    if (answer_note_query(k, m, &query) != KI_SEEN_BEFORE) /* a large one is an event of ours, and was heard as such */
        answer_heed(k, m, &query);
}

int ki_handle_query(struct kith *k, struct ki_span message, bool passes_on)
{
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    struct ki_serf_query query;
    if (!ki_decode_serf_query(&r, &query) || !answer_query_fine(&query)) {
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    struct ki_messages *m = ki_messages(k);
    if (!m)
        return KITH_ERR_NOMEM;
    if (query.ltime < k->query_min)
        return 0;
    enum ki_seen_result seen = answer_note_query(k, m, &query);
    if (seen == KI_SEEN_FULL || seen == KI_SEEN_NOMEM)
        ki_count(k, KI_COUNT_messages_dropped);
    if (seen != KI_SEEN_NEW)
        return 0;
    answer_heed(k, m, &query);
    if (!passes_on || (query.flags & ANSWER_NO_BROADCAST))
        return 0;
    ki_count(k, KI_COUNT_queries_forwarded);
    return ki_spread(k, m, KI_QUEUE_QUERIES, message, false, false);
}

/* The asker has not heard that we have it: the acknowledgement was lost, or the query. */
int ki_query_again(struct kith *k, uint32_t id, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr + (message.len > 0), message.len - (message.len > 0));
    struct ki_serf_query query;
    struct kith_addr to;
    if (message.len == 0 || message.ptr[0] != KI_SERF_QUERY || !ki_decode_serf_query(&r, &query) ||
        !answer_query_fine(&query))
        return KITH_ERR_MALFORMED;
    struct ki_messages *m = ki_messages(k);
    bool known = m && m->queries &&
                 ki_seen_look(m->queries, k->query_clock.time, query.ltime, query.id) == KI_SEEN_BEFORE;
    if (!known)
        return ki_handle_query(k, message, true);
    if (!(query.flags & ANSWER_ACK) || !answer_to(k, &query, &to) || ki_table_find(&k->table, query.source_node) != id ||
        !answer_is_for_us(k, &query))
        return 0;
    struct ki_query_in in = {
        .ltime = query.ltime, .id = query.id, .to = to, .source_len = (uint8_t)query.source_node.len};
    memcpy(in.source, query.source_node.ptr, query.source_node.len);
    (void)ki_query_answer(k, &in, ANSWER_ACK, ki_span(NULL, 0));
    return 0;
}

/* ---- relays ---- */

/* Only to a member that we know, where we know it to be. */
int ki_handle_relay(struct kith *k, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_serf_relay relay;
    struct ki_span message;
    struct kith_addr to, known;
    if (!ki_decode_serf_relay(&r, &relay, &message)) {
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    uint32_t id = KI_NO_MEMBER;
    if (ki_addr_from_span(relay.ip, relay.port, &to))
        id = relay.name.len > 0 ? ki_table_find(&k->table, relay.name) : ki_find_addr(k, &to);
    if (id != KI_NO_MEMBER)
        known = ki_addr_of(ki_table_at(&k->table, id));
    if (id == KI_NO_MEMBER || id == k->self || !kith_addr_equal(&known, &to) ||
        message.ptr[0] != KI_SERF_QUERY_RESPONSE) {
        ki_count(k, KI_COUNT_relays_refused);
        return 0;
    }
    ki_count(k, KI_COUNT_answers_relayed);
    return ki_write_to(k, message, &known, id) ? 0 : KITH_ERR_FULL;
}
