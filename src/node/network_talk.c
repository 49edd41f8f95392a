/* What neighbours say to each other about an aggregate that is computed in the network.
 *
 *   REQUEST  -->   flow, estimate; what the other lacks of our shortlist; how much of its own has come
 *            <--   REPLY: the same, of the other side
 *   CLAIMS   -->   more of the shortlist, before either; or that an aggregate is wanted, to who may not know it
 *
 * An exchange carries as many claims as fit its datagram, and up to four datagrams of them before it.  Each says which
 * changes it has, so the receiver knows whether something before them is missing, and confirms what it has with what it
 * says next.  Where two tables still differ though neither side has anything to tell, something is missing that both
 * believe to be known: a claim that one side had no room for and now has.  Then all is told once more; likewise to who
 * has forgotten what it has confirmed, since it took us for dead.
 *
 * A question is short and its answer is long, and whoever has heard one on its way can say it again in the name of who
 * asked.  So what a member is answered in a time has a limit; beyond it there are no claims in the answer.
 *
 * Invariants: nothing of a malformed message is heeded; one message costs at most TALK_MORE + 1 datagrams, all to its
 * sender, or one to each neighbour if an aggregate was unknown.
 * Deliberately not here: what flows and estimates mean (aggregate/flow.c), which claims belong (aggregate/shortlist.c). */
#include "node/aggregate.h"

#include "node/messages.h"

#define TALK_MORE 4
#define TALK_DIFFERS 3        /* exchanges; 8 ticks or so, by when news is everywhere */
#define TALK_RATE_MS 128      /* bytes a millisecond to one member, */
#define TALK_BURST (256u << 10) /* and so many at once */
#define TALK_BUF KI_AGGREGATE_DATAGRAM

/* ---- out ---- */

static void talk_send(struct kith *k, uint32_t id, const struct ki_writer *w)
{
    const struct ki_member *member = ki_table_at(&k->table, id);
    KI_ASSERT(!w->full);
    if (!member)
        return;
    struct kith_addr to = ki_addr_of(member);
    if (ki_write_to(k, ki_span(w->start, w->len), &to, id))
        ki_count(k, KI_COUNT_flows_out);
}

static struct ki_network_front talk_front(const struct kith *k, const struct ki_network_run *run,
                                          const struct ki_network_row *row)
{
    struct ki_network_front front = {.id = run->schema->id,
                                     .run = run->number,
                                     .lease_s = ki_network_lease_s(k, run),
                                     .base = row->told,
                                     .upto = row->told,
                                     .heard_run = row->run,
                                     .heard = row->had,
                                     .digest = run->list.digest};
    if (row->run == 0)
        front.schema = ki_span(run->schema->bytes, run->schema->len);
    return front;
}

/* Writes claims that the neighbour lacks, as many as fit, and moves front->upto.  True: these are all. */
static bool talk_fill(const struct kith *k, const struct ki_network_run *run, uint32_t row, struct ki_network_front *front,
                      struct ki_writer *w)
{
    const struct ki_short_entry *entry = ki_shortlist_newer(&run->list, front->base, row);
    for (; entry; entry = ki_shortlist_next(&run->list, entry, row)) {
        struct ki_writer before = *w;
        struct ki_network_claim claim = {.name = ki_member_name(ki_table_at(&k->table, entry->claim.owner)),
                                         .generation = entry->claim.generation,
                                         .version = entry->claim.version,
                                         .value = entry->claim.value,
                                         .cleared = entry->claim.cleared};
        ki_encode_network_claim(w, &claim);
        if (w->full) {
            *w = before;
            return false;
        }
        front->upto = entry->taken;
    }
    front->upto = run->list.taken;
    return true;
}

/* Says it, after up to `more` datagrams of claims alone.  more < 0: and no claims at all. */
static void talk_say(struct kith *k, struct ki_network_run *run, uint32_t row, enum ki_network_kind kind,
                     const struct ki_flow_message *flow, int more)
{
    uint8_t claims[TALK_BUF], buf[TALK_BUF];
    uint32_t id = run->flows[row].peer;
    struct ki_network_front front = talk_front(k, run, &run->rows[row]);
    size_t room = ki_min_size(TALK_BUF, ki_message_room(k) - 1) - KI_NETWORK_FRONT_MAX;
    front.seq = flow->seq;
    memcpy(front.flow, flow->flow, sizeof front.flow);
    memcpy(front.estimate, flow->estimate, sizeof front.estimate);
    for (bool is_last = false; !is_last; more--) {
        struct ki_writer list = ki_writer(claims, more < 0 ? 0 : room), w = ki_writer(buf, sizeof buf);
        front.base = front.upto;
        is_last = talk_fill(k, run, row, &front, &list) || more <= 0;
        ki_encode_network_front(&w, is_last ? kind : KI_NETWORK_CLAIMS, &front);
        ki_put(&w, claims, list.len);
        talk_send(k, id, &w);
    }
}

void ki_network_ask(struct kith *k, struct ki_network_run *run, uint32_t row, bool again)
{
    struct ki_flow flow = ki_network_flow(run);
    struct ki_flow_message message =
        again ? ki_flow_ask_again(&flow, &run->flows[row]) : ki_flow_ask(&flow, &run->flows[row], run->seq++);
    talk_say(k, run, row, KI_NETWORK_REQUEST, &message, again ? 0 : TALK_MORE);
}

void ki_network_announce(struct kith *k, const struct ki_network *n, struct ki_network_run *run)
{
    run->is_new = false;
    for (uint32_t i = 0; i < n->neighbour_count; i++) {
        uint8_t buf[KI_NETWORK_FRONT_MAX];
        struct ki_writer w = ki_writer(buf, sizeof buf);
        uint32_t row = ki_network_row(run, n->neighbours[i].member);
        if (row == KI_NETWORK_ROWS || run->rows[row].run != 0)
            continue; /* it has told us */
        struct ki_network_front front = talk_front(k, run, &run->rows[row]);
        ki_encode_network_front(&w, KI_NETWORK_CLAIMS, &front);
        talk_send(k, n->neighbours[i].member, &w);
    }
}

/* ---- in ---- */

/* The run that a message is about: one that is not computed here yet begins with it. */
static struct ki_network_run *talk_run(struct kith *k, struct ki_aggregates *a, const struct ki_network_front *front)
{
    const struct ki_schemas *schemas = &a->contributions.schemas;
    struct ki_network_run *run = ki_network_find(&a->network, front->id);
    const struct ki_schema *known = run ? run->schema : ki_schemas_find(schemas, front->id);
    struct ki_meaning meaning;
    if (front->lease_s == 0 && !run)
        return NULL;
    if (known)
        return ki_network_want(k, a, &known->meaning, front->lease_s);
    if (!ki_schema_decode(front->schema, &meaning) || ki_schema_id(front->schema) != front->id)
        return NULL; /* it will be told, once we have been silent for long enough */
    if (schemas->count - a->open_count < k->cfg.aggregates_max) /* those open here are counted apart */
        return ki_network_want(k, a, &meaning, front->lease_s);
    ki_count(k, KI_COUNT_flows_refused);
    return NULL;
}

/* The neighbour's run is another than before: what either has is to be told anew. */
static void talk_meet(struct kith *k, struct ki_network_run *run, uint32_t row, const struct ki_network_front *front)
{
    struct ki_network_row *r = &run->rows[row];
    r->heard_us = k->now.mono_us;
    if (r->run != front->run) {
        *r = (struct ki_network_row){.heard_us = r->heard_us, .run = front->run};
        ki_shortlist_unknown(&run->list, row);
    }
    if (front->heard_run == run->number && front->heard > r->told && front->heard <= run->list.taken) {
        ki_shortlist_told(&run->list, r->told, front->heard, row);
        r->told = front->heard;
    }
}

/* One claim.  False: memory is out, and it is to be told again. */
static bool talk_claim(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run, unsigned from,
                       const struct ki_network_claim *told)
{
    uint32_t id = ki_table_find(&k->table, told->name);
    if (!ki_aggregates_lives(k, id))
        return true; /* others may see it otherwise for a while */
    if (told->generation >> 32 > ki_table_at(&k->table, id)->incarnation || told->version > INT64_MAX ||
        (!told->cleared && !ki_meaning_allows(&run->schema->meaning, told->value))) {
        ki_count(k, KI_COUNT_claims_refused);
        return true;
    }
    struct ki_short_claim claim = {.hash = ki_shortlist_hash(told->name),
                                   .generation = told->generation,
                                   .version = told->version,
                                   .value = told->value,
                                   .owner = id,
                                   .cleared = told->cleared};
    enum ki_short_result result = ki_shortlist_offer(&run->list, k->now.mono_us, &claim, from);
    if (result == KI_SHORT_TAKEN) {
        ki_count(k, KI_COUNT_claims_in);
        run->schema->changed_us = k->now.mono_us;
    }
    if (id == k->self)
        ki_network_heard_own(k, a, run, &claim);
    if (result == KI_SHORT_NOMEM)
        ki_count(k, KI_COUNT_out_of_memory);
    return result != KI_SHORT_NOMEM;
}

static bool talk_claims_fine(struct ki_reader r)
{
    struct ki_network_claim claim;
    while (r.left > 0) {
        if (!ki_decode_network_claim(&r, &claim))
            return false;
    }
    return true;
}

/* Takes claims in.  row: KI_NETWORK_ROWS for a sender without one. */
static void talk_claims(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run, uint32_t row,
                        const struct ki_network_front *front, struct ki_reader *r)
{
    struct ki_network_claim claim;
    bool all = true;
    while (r->left > 0) {
        bool fine = ki_decode_network_claim(r, &claim); /* it has been looked at before */
        KI_ASSERT(fine);
        all = talk_claim(k, a, run, row, &claim) && all;
    }
    if (row < KI_NETWORK_ROWS && all && front->base <= run->rows[row].had)
        run->rows[row].had = ki_max_u64(run->rows[row].had, front->upto);
}

/* If neither has anything to tell, the tables should be the same.  And what it has confirmed it should still have: else it
 * has given us up meanwhile, and confirms nothing until it has been told all. */
static void talk_compare(struct ki_network_run *run, uint32_t row, const struct ki_network_front *front, bool has_claims)
{
    struct ki_network_row *r = &run->rows[row];
    bool has_forgotten = (front->heard_run == run->number ? front->heard : 0) < r->told;
    r->is_same = front->digest == run->list.digest;
    r->forgot = has_forgotten ? r->forgot + 1 : 0;
    if (!has_claims && !ki_shortlist_newer(&run->list, r->told, row))
        r->differs = r->is_same ? 0 : r->differs + 1;
    if (r->differs < TALK_DIFFERS && r->forgot < TALK_DIFFERS)
        return;
    ki_shortlist_unknown(&run->list, row);
    r->told = 0;
    r->differs = r->forgot = 0;
}

static void talk_reply(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run, uint32_t row,
                       const struct ki_flow_message *reply, bool again)
{
    struct ki_debt *debt = ki_debts_of(&a->network.debts, run->flows[row].peer, k->now.mono_us);
    bool affords = debt && (debt->until_us - k->now.mono_us) * TALK_RATE_MS / 1000 <= TALK_BURST;
    if (!affords)
        ki_count(k, debt ? KI_COUNT_aggregate_asks_refused : KI_COUNT_out_of_memory);
    size_t before = k->letter_bytes;
    talk_say(k, run, row, KI_NETWORK_REPLY, reply, !affords ? -1 : again ? 0 : TALK_MORE);
    if (debt)
        debt->until_us += (uint64_t)(k->letter_bytes - before) * 1000 / TALK_RATE_MS;
}

static void talk_flow(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run, uint32_t row,
                      enum ki_network_kind kind, const struct ki_network_front *front)
{
    struct ki_flow flow = ki_network_flow(run);
    struct ki_flow_message message = {.seq = front->seq}, reply;
    memcpy(message.flow, front->flow, sizeof message.flow);
    memcpy(message.estimate, front->estimate, sizeof message.estimate);
    enum ki_flow_heard heard = kind == KI_NETWORK_REQUEST ? ki_flow_answer(&flow, &run->flows[row], &message, &reply)
                                                          : ki_flow_take(&flow, &run->flows[row], &message);
    if (heard == KI_FLOW_REFUSED)
        ki_count(k, KI_COUNT_flows_refused);
    else if (kind == KI_NETWORK_REQUEST && heard != KI_FLOW_LATE)
        talk_reply(k, a, run, row, &reply, heard == KI_FLOW_AGAIN);
}

int ki_network_message(struct kith *k, struct ki_aggregates *a, uint32_t id, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    enum ki_network_kind kind = (enum ki_network_kind)message.ptr[0];
    struct ki_network_front front;
    if (kind != KI_NETWORK_REQUEST && kind != KI_NETWORK_REPLY && kind != KI_NETWORK_CLAIMS) {
        ki_count(k, KI_COUNT_unknown_serf_type); /* what later versions add */
        return KITH_ERR_VERSION;
    }
    if (!ki_decode_network_front(&r, kind, &front) || !talk_claims_fine(r)) {
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    ki_count(k, KI_COUNT_flows_in);
    struct ki_network_run *run = talk_run(k, a, &front);
    if (!run)
        return 0;
    bool has_claims = r.left > 0;
    uint32_t row = kind == KI_NETWORK_REQUEST ? ki_network_row_made(k, &a->network, run, id) : ki_network_row(run, id);
    if (row < KI_NETWORK_ROWS)
        talk_meet(k, run, row, &front);
    talk_claims(k, a, run, row, &front, &r);
    if (kind == KI_NETWORK_CLAIMS)
        return 0;
    if (row == KI_NETWORK_ROWS) {
        ki_count(k, KI_COUNT_flows_refused); /* too many ask us who are no neighbours */
        return 0;
    }
    talk_compare(run, row, &front, has_claims);
    talk_flow(k, a, run, row, kind, &front);
    return 0;
}
