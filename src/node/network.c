/* Aggregates that are computed in the network: which, for how long, and with whom.
 *
 * An aggregate is computed while somebody wants it: it is open here and meant to be computed so, or has been read within
 * a minute.  For how long still, its lease, is told with every message, and a longer one that is heard holds here too.
 * Told as a second less, for what the way takes, it ends everywhere a minute after it is renewed nowhere.  Whoever hears
 * of an aggregate for the first time tells its neighbours at once, so the whole pool begins within some round trips.
 *
 * Each 500 ms, and 250 at first, there is a tick.  A node then asks one of the neighbours whom it is to ask, each in its
 * turn and all in random order, the same for everything that is computed.  An answer that does not come is asked for
 * twice more, as late as the pool's round trips say.
 *
 * A neighbour that dies, or has not been heard for long, is given up: its row goes, and what had flowed to it is back.  The
 * claims of the dead go with them.
 *
 * Invariants: a run has a row for each of our neighbours; a row's place stands for it in the shortlist; without a run there
 * is no tick.
 * Deliberately not here: what is said (network_talk.c), and what is read from it (network_read.c). */
#include "node/aggregate.h"

#include "base/canary.h"
#include "base/real.h"
#include "swim/round_trip.h"

#define NETWORK_PASS_SLICE 4096     /* members looked at in one call: 0.4 ms */
#define NETWORK_STRANGER_TICKS 5    /* without a word, and a row that is no neighbour's goes */
#define NETWORK_STRANGERS (KI_NETWORK_ROWS - KI_OVERLAY_NEIGHBOURS)
#define NETWORK_TRIES 3             /* of a request, and they fit a tick */
#define NETWORK_ANNOUNCE_TICKS 8    /* after so many, who has not been heard is told again: announcements may be lost */
#define NETWORK_WAY_US 1000000      /* a message may take so long, or leases of long ways would never end */
#define NETWORK_FAST_TICKS 20       /* the first of a run are half as long: it begins far from what it will say */

void ki_network_init(struct kith *k, struct ki_network *n)
{
    *n = (struct ki_network){.tick_us = KITH_NEVER, .again_us = KITH_NEVER, .debts.mem = &k->mem};
}

/* ---- rows ---- */

uint32_t ki_network_row(const struct ki_network_run *run, uint32_t id)
{
    uint32_t row = 0;
    while (row < KI_NETWORK_ROWS && run->flows[row].peer != id)
        row++;
    return row;
}

bool ki_network_is_neighbour(const struct ki_network *n, uint32_t id)
{
    for (uint32_t i = 0; i < n->neighbour_count; i++) {
        if (n->neighbours[i].member == id)
            return true;
    }
    return false;
}

/* Begins a row anew, for this member or for nobody: what has flowed is back here. */
static void network_row_set(struct kith *k, struct ki_network_run *run, uint32_t row, uint32_t id)
{
    if (KI_CANARY(SPILL) && id == KI_NO_MEMBER) {
        run->flows[row].peer = id;
        return;
    }
    run->flows[row] = ki_flow_row(id);
    run->rows[row] = (struct ki_network_row){.heard_us = k->now.mono_us};
    ki_shortlist_unknown(&run->list, row);
}

/* The stranger that has been silent for the longest time makes room. */
static uint32_t network_row_room(const struct ki_network *n, const struct ki_network_run *run)
{
    uint32_t oldest = KI_NETWORK_ROWS;
    for (uint32_t row = 0; row < KI_NETWORK_ROWS; row++) {
        if (run->flows[row].peer == KI_NO_MEMBER)
            return row;
        if (!ki_network_is_neighbour(n, run->flows[row].peer) &&
            (oldest == KI_NETWORK_ROWS || run->rows[row].heard_us < run->rows[oldest].heard_us))
            oldest = row;
    }
    KI_ASSERT(oldest < KI_NETWORK_ROWS);
    return oldest;
}

uint32_t ki_network_row_made(struct kith *k, const struct ki_network *n, struct ki_network_run *run, uint32_t id)
{
    uint32_t row = ki_network_row(run, id), strangers = 0;
    if (row < KI_NETWORK_ROWS)
        return row;
    for (uint32_t i = 0; i < KI_NETWORK_ROWS; i++)
        strangers += run->flows[i].peer != KI_NO_MEMBER && !ki_network_is_neighbour(n, run->flows[i].peer);
    if (strangers >= NETWORK_STRANGERS && !ki_network_is_neighbour(n, id))
        return KI_NETWORK_ROWS;
    row = network_row_room(n, run);
    network_row_set(k, run, row, id);
    return row;
}

/* Gives up what has flowed to the dead and the silent, and the rows of those among them that are no neighbours. */
static void network_rows_check(struct kith *k, const struct ki_network *n, struct ki_network_run *run)
{
    for (uint32_t row = 0; row < KI_NETWORK_ROWS; row++) {
        uint32_t id = run->flows[row].peer;
        uint64_t heard_us = run->rows[row].heard_us, quiet_us = k->now.mono_us - heard_us;
        if (id == KI_NO_MEMBER)
            continue;
        bool lives = ki_aggregates_lives(k, id);
        if (!ki_network_is_neighbour(n, id)) {
            if (!lives || quiet_us > NETWORK_STRANGER_TICKS * KI_NETWORK_TICK_US)
                network_row_set(k, run, row, KI_NO_MEMBER);
        } else if (run->rows[row].run != 0 && (!lives || ki_network_is_silent(k, &run->rows[row]))) {
            network_row_set(k, run, row, id);
            run->rows[row].heard_us = heard_us; /* what was silent still is */
        }
    }
}

/* ---- runs ---- */

struct ki_network_run *ki_network_find(const struct ki_network *n, uint64_t schema_id)
{
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->runs[i]->schema->id == schema_id)
            return n->runs[i];
    }
    return NULL;
}

uint16_t ki_network_lease_s(const struct kith *k, const struct ki_network_run *run)
{
    uint64_t told_us = k->now.mono_us + NETWORK_WAY_US;
    return run->lease_us > told_us ? (uint16_t)((run->lease_us - told_us) / 1000000) : 0;
}

static struct ki_span network_name_of(const void *arg, uint32_t id)
{
    const struct ki_table *table = arg;
    return ki_member_name(ki_table_member(table, id));
}

static const struct ki_aggregate *network_open(const struct ki_aggregates *a, const struct ki_schema *schema)
{
    for (uint32_t i = 0; i < a->open_count; i++) {
        if (a->open[i].schema == schema)
            return &a->open[i];
    }
    return NULL;
}

/* Takes the use of the schema over. */
static struct ki_network_run *network_begin(struct kith *k, struct ki_aggregates *a, struct ki_schema *schema)
{
    struct ki_network *n = &a->network;
    bool room = ki_list_room(&k->mem, (void **)&n->runs, sizeof(struct ki_network_run *), n->count, &n->cap);
    struct ki_network_run *run = room ? ki_mem_new(&k->mem, sizeof *run) : NULL;
    if (!run)
        return NULL;
    run->schema = schema;
    run->number = (uint32_t)ki_rng_below(&a->rng, UINT32_MAX) + 1;
    run->seq = (uint32_t)(k->now.wall_us / (KI_NETWORK_TICK_US / 2)); /* no slower than it will rise: see ki_flow_ask() */
    run->is_new = true;
    ki_flow_range(schema->meaning.min, schema->meaning.max, &run->range);
    ki_shortlist_init(&run->list, &k->mem, (struct ki_short_names){network_name_of, &k->table}, KI_SHORT_ENDS,
                      KI_SHORT_SAMPLE, KI_SHORT_GONE);
    for (uint32_t row = 0; row < KI_NETWORK_ROWS; row++)
        run->flows[row] = ki_flow_row(KI_NO_MEMBER);
    for (uint32_t i = 0; i < n->neighbour_count; i++)
        (void)ki_network_row_made(k, n, run, n->neighbours[i].member);
    n->runs[n->count++] = run;
    ki_network_contribute(k, a, run);
    n->tick_us = ki_min_u64(n->tick_us, k->now.mono_us + ki_rng_below(&a->rng, KI_NETWORK_TICK_US));
    return run;
}

static void network_end(struct kith *k, struct ki_aggregates *a, uint32_t at)
{
    struct ki_network_run *run = a->network.runs[at];
    a->network.runs[at] = a->network.runs[--a->network.count];
    if (a->network.count == 0)
        a->network.pass.is_on = false; /* nobody goes on with it */
    ki_shortlist_free(&run->list);
    ki_schemas_drop(&a->contributions.schemas, run->schema);
    ki_mem_free(&k->mem, run);
}

void ki_network_free(struct kith *k, struct ki_aggregates *a)
{
    while (a->network.count > 0)
        network_end(k, a, a->network.count - 1);
    ki_mem_free(&k->mem, a->network.runs);
    ki_debts_free(&a->network.debts);
}

struct ki_network_run *ki_network_want(struct kith *k, struct ki_aggregates *a, const struct ki_meaning *meaning,
                                       uint32_t lease_s)
{
    struct ki_schemas *schemas = &a->contributions.schemas;
    struct ki_schema *schema = ki_schemas_use(schemas, meaning);
    struct ki_network_run *run = schema ? ki_network_find(&a->network, schema->id) : NULL;
    bool is_new = schema && !run;
    if (is_new)
        run = network_begin(k, a, schema);
    if (schema && !(is_new && run))
        ki_schemas_drop(schemas, schema); /* a run has one use of it */
    if (!run) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    uint64_t lease_us = k->now.mono_us + ki_min_u64(lease_s, KI_NETWORK_LEASE_S) * 1000000;
    run->lease_us = ki_max_u64(run->lease_us, lease_us);
    return run;
}

void ki_network_want_open(struct kith *k, struct ki_aggregates *a)
{
    for (uint32_t i = 0; i < a->open_count; i++) {
        const struct ki_schema *schema = a->open[i].schema;
        if (ki_aggregates_networked(a, schema))
            (void)ki_network_want(k, a, &schema->meaning, KI_NETWORK_LEASE_S); /* for want of memory: with the next tick */
    }
}

/* ---- what we contribute ---- */

static void network_offer_own(struct kith *k, struct ki_network_run *run)
{
    if (run->own.version > 0 &&
        ki_shortlist_offer(&run->list, k->now.mono_us, &run->own, KI_SHORT_NOBODY) == KI_SHORT_NOMEM)
        ki_count(k, KI_COUNT_out_of_memory); /* the next tick tries again */
}

/* Versions are milliseconds of our clock: they rise in a life without being kept for an aggregate that nobody computes. */
static void network_tell(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run, const double *value)
{
    struct ki_short_claim *own = &run->own;
    own->hash = ki_shortlist_hash(ki_name_of(k->cfg.name));
    own->owner = k->self;
    if (own->version >= INT64_MAX) { /* nobody believes a later one: somebody has made it up */
        ki_aggregates_renew(k, a, own->generation);
        own->version = 0;
    }
    own->generation = ki_max_u64(own->generation, ki_max_u64(a->own->generation, a->next_generation));
    own->version = ki_max_u64(own->version + 1, k->now.mono_us / 1000 + 1);
    own->cleared = !value;
    own->value = value ? *value : 0;
    run->told_us = k->now.mono_us;
    network_offer_own(k, run);
}

static bool network_moved(const struct ki_schema *schema, double a, double b)
{
    return (a > b ? a - b : b - a) > schema->meaning.step;
}

/* Others average what is contributed now; what is listed changes by more than a step, and once in an interval. */
void ki_network_contribute(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run)
{
    const struct ki_schema *schema = run->schema;
    const struct ki_aggregate *open = network_open(a, schema);
    bool has = open && open->has_value, had = run->own.version > 0 && !run->own.cleared;
    memset(run->value, 0, sizeof run->value);
    if (has)
        ki_flow_value(&run->range, open->value, run->value);
    bool is_time = k->now.mono_us - run->told_us >= (uint64_t)schema->meaning.interval_ms * 1000;
    if (has ? !had || (is_time && network_moved(schema, open->value, run->own.value)) : had)
        network_tell(k, a, run, has ? &open->value : NULL);
    else
        network_offer_own(k, run); /* there may be room for it now */
}

void ki_network_changed(struct kith *k, struct ki_aggregates *a, const struct ki_schema *schema)
{
    struct ki_network_run *run = ki_network_find(&a->network, schema->id);
    if (run)
        ki_network_contribute(k, a, run);
}

void ki_network_heard_own(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run,
                          const struct ki_short_claim *claim)
{
    const struct ki_aggregate *open = network_open(a, run->schema);
    struct ki_short_claim *own = &run->own;
    bool is_same = claim->generation == own->generation && claim->version == own->version;
    bool is_older = claim->generation < own->generation ||
                    (claim->generation == own->generation && claim->version < own->version);
    bool is_true = is_same && claim->cleared == own->cleared && ki_real_bits(claim->value) == ki_real_bits(own->value);
    if (is_true || is_older) {
        network_offer_own(k, run);
        return;
    }
    own->generation = claim->generation; /* it is no word of this life, or not of ours: we go on beyond it */
    own->version = claim->version;
    network_tell(k, a, run, open && open->has_value ? &open->value : NULL);
}

/* ---- neighbours ---- */

static void network_turns(struct ki_network *n)
{
    n->turn_count = n->turn = 0;
    for (uint32_t i = 0; i < n->neighbour_count; i++) {
        if (n->neighbours[i].initiates)
            n->turns[n->turn_count++] = (uint8_t)i;
    }
}

static bool network_is_as_before(const struct ki_network *n, const struct ki_overlay_neighbour *found, uint32_t count)
{
    bool same = n->has_neighbours && count == n->neighbour_count;
    for (uint32_t i = 0; same && i < count; i++)
        same = found[i].member == n->neighbours[i].member && found[i].initiates == n->neighbours[i].initiates;
    return same;
}

static void network_pass_end(struct kith *k, struct ki_network *n)
{
    struct ki_network_pass *pass = &n->pass;
    struct ki_overlay_neighbour found[KI_OVERLAY_NEIGHBOURS];
    uint32_t count = ki_overlay_end(&pass->overlay, found);
    pass->is_on = false;
    pass->next_us = k->now.mono_us + (uint64_t)KI_NETWORK_TICK_US * (1 + k->table.used / NETWORK_PASS_SLICE);
    if (network_is_as_before(n, found, count))
        return; /* everybody has a turn before anybody has another */
    memcpy(n->neighbours, found, sizeof found);
    n->neighbour_count = count;
    n->has_neighbours = true;
    network_turns(n);
    for (uint32_t i = 0; i < n->count; i++) {
        for (uint32_t at = 0; at < n->neighbour_count; at++)
            (void)ki_network_row_made(k, n, n->runs[i], n->neighbours[at].member);
    }
}

/* Names are borrowed from the table for one call.  False: somebody has gone whom the pass has chosen. */
static bool network_pass_borrow(const struct kith *k, struct ki_overlay *o)
{
    for (uint32_t i = 0; o->any && i < 2 * KI_OVERLAY_RINGS; i++) {
        struct ki_overlay_beside *beside = i < KI_OVERLAY_RINGS ? &o->before[i] : &o->after[i - KI_OVERLAY_RINGS];
        if (!ki_aggregates_lives(k, beside->member))
            return false;
        beside->who.name = ki_member_name(ki_table_at(&k->table, beside->member));
    }
    return true;
}

static void network_pass_begin(struct kith *k, struct ki_network_pass *pass)
{
    struct ki_span self = ki_name_of(k->cfg.name);
    pass->is_on = true;
    pass->at = 0;
    pass->epoch = k->table.epoch;
    pass->members = k->table.count;
    ki_overlay_begin(&pass->overlay, (struct ki_overlay_name){.name = self, .hash = ki_overlay_hash(self)});
}

/* Looks for our neighbours, if members have changed; a part of them in each call. */
static void network_pass(struct kith *k, struct ki_network *n)
{
    struct ki_network_pass *pass = &n->pass;
    bool is_stale = !n->has_neighbours || pass->epoch != k->table.epoch || pass->members != k->table.count;
    if (!pass->is_on && (!is_stale || pass->next_us > k->now.mono_us))
        return;
    if (!pass->is_on || !network_pass_borrow(k, &pass->overlay))
        network_pass_begin(k, pass);
    uint32_t end = (uint32_t)ki_min_u64(k->table.used, (uint64_t)pass->at + NETWORK_PASS_SLICE);
    for (; pass->at < end; pass->at++) {
        if (pass->at == k->self || !ki_aggregates_lives(k, pass->at))
            continue;
        struct ki_span name = ki_member_name(ki_table_at(&k->table, pass->at));
        ki_overlay_offer(&pass->overlay, (struct ki_overlay_name){.name = name, .hash = ki_overlay_hash(name)}, pass->at);
    }
    if (pass->at >= k->table.used)
        network_pass_end(k, n);
    else
        ki_count(k, KI_COUNT_slices);
}

/* The neighbour whose turn it is to be asked, or KI_NO_MEMBER. */
static uint32_t network_turn(struct kith *k, struct ki_aggregates *a)
{
    struct ki_network *n = &a->network;
    for (uint32_t looks = 0; looks < n->turn_count; looks++) {
        uint32_t other = n->turn + (uint32_t)ki_rng_below(&a->rng, n->turn_count - n->turn); /* one that had none yet */
        uint8_t place = n->turns[other];
        n->turns[other] = n->turns[n->turn];
        n->turns[n->turn] = place;
        n->turn = (n->turn + 1) % n->turn_count;
        if (ki_aggregates_lives(k, n->neighbours[place].member))
            return n->neighbours[place].member;
    }
    return KI_NO_MEMBER;
}

/* ---- ticks ---- */

static uint64_t network_interval_us(const struct ki_network *n)
{
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->runs[i]->ticks < NETWORK_FAST_TICKS)
            return KI_NETWORK_TICK_US / 2;
    }
    return KI_NETWORK_TICK_US;
}

static void network_sweep_run(struct kith *k, struct ki_network_run *run)
{
    const struct ki_short_entry *next, *entry = ki_shortlist_newer(&run->list, 0, KI_SHORT_NOBODY);
    for (; entry; entry = next) {
        next = ki_shortlist_next(&run->list, entry, KI_SHORT_NOBODY);
        if (!ki_aggregates_lives(k, entry->claim.owner))
            ki_shortlist_drop(&run->list, entry->claim.owner);
    }
}

void ki_network_sweep(struct kith *k)
{
    struct ki_network *n = &k->aggregates->network;
    for (uint32_t i = 0; i < n->count && n->swept_epoch != k->table.epoch; i++)
        network_sweep_run(k, n->runs[i]);
    n->swept_epoch = k->table.epoch;
}

/* Whether all neighbours that take part agree with us. */
static bool network_agree(const struct kith *k, const struct ki_network *n, struct ki_network_run *run)
{
    double estimate[KI_FLOW_WIDTH];
    struct ki_flow flow = ki_network_flow(run);
    ki_flow_estimate(&flow, estimate);
    struct ki_network_said own = ki_network_said(run, estimate);
    for (uint32_t i = 0; i < n->neighbour_count; i++) {
        uint32_t row = ki_network_row(run, n->neighbours[i].member);
        if (row == KI_NETWORK_ROWS || ki_network_is_silent(k, &run->rows[row]))
            continue;
        struct ki_network_said its = ki_network_said(run, run->flows[row].estimate);
        if (!run->flows[row].is_known || !ki_network_agrees(run, &own, &its))
            return false;
    }
    return n->has_neighbours;
}

static void network_beat_run(struct kith *k, struct ki_aggregates *a, struct ki_network_run *run)
{
    ki_shortlist_tidy(&run->list, k->now.mono_us);
    network_rows_check(k, &a->network, run);
    ki_network_contribute(k, a, run);
    run->ticks++;
    run->is_new = run->is_new || run->ticks % NETWORK_ANNOUNCE_TICKS == 0;
    run->agreed = network_agree(k, &a->network, run) ? run->agreed + 1 : 0;
}

static uint64_t network_wait_us(const struct kith *k, const struct ki_network *n)
{
    return ki_round_trip_wait_us(&k->round_trip, network_interval_us(n) / NETWORK_TRIES);
}

static void network_ask_all(struct kith *k, struct ki_network *n, uint32_t id)
{
    for (uint32_t i = 0; i < n->count; i++) {
        struct ki_network_run *run = n->runs[i];
        uint32_t row = ki_network_row(run, id);
        run->asked = (uint8_t)row;
        if (row < KI_NETWORK_ROWS)
            ki_network_ask(k, run, row, false);
    }
    n->tries = 1;
    n->again_us = k->now.mono_us + network_wait_us(k, n);
}

/* Asks once more those who have not answered in time. */
static void network_ask_again(struct kith *k, struct ki_network *n)
{
    bool waits = false;
    for (uint32_t i = 0; i < n->count; i++) {
        struct ki_network_run *run = n->runs[i];
        if (run->asked >= KI_NETWORK_ROWS || !run->flows[run->asked].is_waiting)
            continue;
        ki_network_ask(k, run, run->asked, true);
        waits = true;
    }
    waits = waits && ++n->tries < NETWORK_TRIES;
    n->again_us = waits ? k->now.mono_us + network_wait_us(k, n) : KITH_NEVER;
}

static void network_beat(struct kith *k, struct ki_aggregates *a)
{
    struct ki_network *n = &a->network;
    ki_network_want_open(k, a);
    for (uint32_t i = n->count; i-- > 0;) {
        if (n->runs[i]->lease_us <= k->now.mono_us)
            network_end(k, a, i);
    }
    n->tick_us = n->count > 0 ? k->now.mono_us + network_interval_us(n) : KITH_NEVER;
    ki_network_sweep(k);
    for (uint32_t i = 0; i < n->count; i++)
        network_beat_run(k, a, n->runs[i]);
    uint32_t id = network_turn(k, a);
    if (id != KI_NO_MEMBER && n->count > 0)
        network_ask_all(k, n, id);
}

void ki_network_tick(struct kith *k, struct ki_aggregates *a)
{
    struct ki_network *n = &a->network;
    if (n->count > 0)
        network_pass(k, n);
    for (uint32_t i = 0; i < n->count && n->has_neighbours; i++) {
        if (n->runs[i]->is_new)
            ki_network_announce(k, n, n->runs[i]);
    }
    if (n->again_us <= k->now.mono_us)
        network_ask_again(k, n);
    if (n->tick_us <= k->now.mono_us)
        network_beat(k, a);
}

uint64_t ki_network_deadline(const struct kith *k, const struct ki_network *n)
{
    bool at_once = n->pass.is_on || (n->count > 0 && !n->has_neighbours);
    for (uint32_t i = 0; i < n->count; i++)
        at_once = at_once || n->runs[i]->is_new;
    return at_once ? k->now.mono_us : ki_min_u64(n->tick_us, n->again_us);
}

void ki_network_forget(struct kith *k, struct ki_aggregates *a, uint32_t id)
{
    struct ki_network *n = &a->network;
    for (uint32_t i = 0; i < n->count; i++) {
        uint32_t row = ki_network_row(n->runs[i], id);
        if (row < KI_NETWORK_ROWS)
            network_row_set(k, n->runs[i], row, KI_NO_MEMBER);
        ki_shortlist_drop(&n->runs[i]->list, id);
    }
    for (uint32_t i = n->neighbour_count; i-- > 0;) {
        if (n->neighbours[i].member == id)
            n->neighbours[i] = n->neighbours[--n->neighbour_count];
    }
    network_turns(n);
    n->pass.is_on = false; /* it may have chosen it; members have changed, so it begins again */
    ki_debts_forget(&n->debts, id);
}

void ki_network_tally(struct kith *k, struct ki_aggregates *a)
{
    ki_network_sweep(k); /* or which schema counts would change with the first look into it */
    for (uint32_t i = 0; i < a->network.count; i++) {
        const struct ki_network_run *run = a->network.runs[i];
        if (run->schema->tally < run->list.live)
            run->schema->tally = run->list.live;
    }
}
