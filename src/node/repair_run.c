/* Repair sessions with peers: when they begin, what carries them, what follows.
 *
 *   WAITS  for a snapshot: the sketch must be whole and, under `withhold`, a group of rows must end
 *   HELD   it is taken, but the group is not durable yet (R16, R22)
 *   GOES   store/repair.h does the rest
 *
 * A small difference is settled over datagrams.  One that proves larger, a context that does not fit one, and an empty store
 * go over a link.  What comes before there is a snapshot waits; over datagrams it is dropped, since it is asked for again.
 *
 * A session that came to nothing makes us rest before the next one with that peer, longer each time.
 *
 * Invariant: a run belongs to a living peer, or is over and about to be freed.
 * Deliberately not here: what is said in a session.
 */
#include "node/store_link.h"

#define REPAIR_OURS_MAX 2     /* sessions that we have begun, at one time, */
#define REPAIR_OURS_DONE 6    /* and others by which we only serve */
#define REPAIR_THEIRS_MAX 6   /* that others have begun with us, */
#define REPAIR_THEIRS_EACH 3  /* and of these of one peer */
#define REPAIR_BUDGET 2500    /* a tick, all sessions together: 0.1 to 0.3 us each */
#define REPAIR_SETTLE 2048    /* cells a tick while the sketch is made whole, */
#define REPAIR_SETTLE_LATE 16384 /* and when it does not come to an end: some ms */
#define REPAIR_PATIENCE_US 1000000
#define REPAIR_SILENCE_US 60000000 /* nothing was said over a link for so long: the peer has none, or forgot it; */
#define REPAIR_QUIET_US 15000000   /* or heard in datagrams, as six tries in a row */
#define REPAIR_SERVED_US 3000000   /* heard of so lately, a side that is done still serves */
#define REPAIR_LIFE_US 600000000   /* whoever goes on for longer keeps others from theirs */
#define REPAIR_BACKLOG_MAX (4u << 20)
#define REPAIR_STREAM_MESSAGE 16384
#define REPAIR_CELLS_FIRST 24
#define REPAIR_CELLS_BYTES_MAX 32768 /* over datagrams */
#define REPAIR_LIMBO_MAX (64u << 20)
#define REPAIR_PACE_US 50000 /* so much may be sent ahead of the rate that is allowed */
#define REPAIR_RUNS_MAX 4000000
#define REPAIR_REST_MAX_US 60000000

/* ---- what there is ---- */

/* Those by which we want something; those by which we only serve. */
static uint32_t repair_count(const struct ki_replica *r, enum ki_repair_role role, bool is_told)
{
    uint32_t count = 0;
    for (const struct ki_repair_run *run = r->runs; run; run = run->next)
        count += run->config.role == role && run->is_told == is_told && !run->is_over;
    return count;
}

static bool repair_ours_full(const struct ki_replica *r)
{
    return repair_count(r, KI_REPAIR_INITIATOR, false) >= REPAIR_OURS_MAX ||
           repair_count(r, KI_REPAIR_INITIATOR, true) >= REPAIR_OURS_DONE;
}

/* Datagrams may be too small for any session. */
static bool repair_fits_datagrams(const struct kith *k)
{
    return ki_message_room(k) >= KI_KITH_REPAIR_FRONT + KI_REPAIR_MESSAGE_MIN;
}

static struct ki_repair_run *repair_find(const struct ki_replica *r, uint32_t id, enum ki_repair_role role, uint64_t session)
{
    struct ki_repair_run *run = r->runs;
    while (run && (run->id != id || run->config.role != role || run->config.session != session))
        run = run->next;
    return run;
}

static void repair_configure(const struct kith *k, const struct ki_peer *peer, struct ki_repair_run *run)
{
    bool is_stream = run->link != NULL;
    size_t room = ki_message_room(k) - KI_KITH_REPAIR_FRONT;
    uint64_t cells = ki_max_u64(REPAIR_CELLS_FIRST, peer->differences * 7 / 2);
    run->config.is_stream = is_stream;
    run->config.message_max = is_stream ? REPAIR_STREAM_MESSAGE : room;
    run->config.first_cells = (uint32_t)ki_min_u64(cells, is_stream ? 512 : 48);
    run->config.has_parity = is_stream || peer->synced_us == 0 || peer->differences > REPAIR_CELLS_FIRST;
    run->config.asking = KI_REPAIR_ASK_ONCE;
    run->config.retry_ms = 200;
    run->config.tries_max = 8;
    run->config.coded_max = is_stream ? 1u << 17 : 1024;
    run->config.runs_max = REPAIR_RUNS_MAX;
    run->config.cells_max = is_stream ? 0 : REPAIR_CELLS_BYTES_MAX;
    run->config.session_limits.limbo_bytes_max = REPAIR_LIMBO_MAX;
}

static struct ki_repair_run *repair_new(struct kith *k, const struct ki_peer *peer, enum ki_repair_role role,
                                        uint64_t session, struct ki_link *link)
{
    struct ki_replica *r = k->replica;
    struct ki_repair_run *run = ki_mem_new(&r->mem, sizeof *run);
    if (!run) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    run->id = peer->id;
    run->link = link;
    run->config.role = role;
    run->config.session = session;
    run->config.answering = role == KI_REPAIR_RESPONDER ? (uint32_t)ki_crng_u64(&k->crng) | 1 : 0;
    run->begun_us = run->spoke_us = k->now.mono_us;
    repair_configure(k, peer, run);
    run->next = r->runs;
    r->runs = run;
    return run;
}

static void repair_drop_backlog(struct ki_replica *r, struct ki_repair_run *run)
{
    while (run->backlog) {
        struct ki_backlog *next = run->backlog->next;
        ki_mem_free(&r->mem, run->backlog);
        run->backlog = next;
    }
    run->backlog_last = NULL;
    run->backlog_bytes = 0;
}

static void repair_free(struct ki_replica *r, struct ki_repair_run *run)
{
    if (run->state != KI_RUN_WAITS)
        ki_repair_free(&run->repair);
    repair_drop_backlog(r, run);
    ki_mem_free(&r->mem, run);
}

void ki_repairs_free(struct kith *k)
{
    struct ki_replica *r = k->replica;
    while (r->runs) {
        struct ki_repair_run *next = r->runs->next;
        repair_free(r, r->runs);
        r->runs = next;
    }
}

/* ---- what became of it ---- */

static void repair_rest(struct kith *k, struct ki_peer *peer)
{
    uint64_t rest_us = 1000000ull << ki_min_u64(peer->failures++, 16);
    peer->rest_us = k->now.mono_us + ki_min_u64(rest_us, REPAIR_REST_MAX_US);
}

static void repair_failed(struct kith *k, struct ki_repair_run *run, struct ki_peer *peer)
{
    enum ki_repair_reason reason = run->repair.reason;
    bool is_ours = run->config.role == KI_REPAIR_INITIATOR;
    k->replica->repairs_failed += reason != KI_REPAIR_TOO_LARGE && reason != KI_REPAIR_SECRET;
    if (reason == KI_REPAIR_AHEAD || reason == KI_REPAIR_MEMORY)
        k->replica->is_partial = true;
    if (!peer)
        return;
    if (reason == KI_REPAIR_SECRET)
        ki_secret_tell(k, peer->id);
    else if (reason == KI_REPAIR_TOO_LARGE && is_ours && !run->link)
        ki_repair_by_link(k, peer);
    else if (is_ours)
        repair_rest(k, peer);
}

static void repair_done(struct kith *k, struct ki_repair_run *run, struct ki_peer *peer)
{
    struct ki_replica *r = k->replica;
    const struct ki_repair_stats *stats = &run->repair.stats;
    uint64_t differences = stats->cells_received + stats->drops;
    r->repairs++;
    r->differences += differences;
    r->is_partial = false;
    if (!peer)
        return;
    peer->differences = ki_max_u64(differences, stats->cells_sent);
    peer->synced_us = k->now.mono_us;
    peer->failures = 0;
    if (run->config.role == KI_REPAIR_INITIATOR)
        peer->ask_us = k->now.mono_us + 1000; /* are we equal now? */
}

static void repair_result(struct kith *k, struct ki_repair_run *run, enum ki_repair_result result)
{
    struct ki_peer *peer = ki_peer_of(k, run->id);
    run->has_out = true;
    if (result != KI_REPAIR_RUNNING && !run->is_told) {
        run->is_told = true;
        if (result == KI_REPAIR_DONE)
            repair_done(k, run, peer);
        else
            repair_failed(k, run, peer);
    }
    if (run->link)
        ki_link_wake(run->link, KI_LINK_STORE);
    else if (peer)
        ki_store_send(k, peer);
}

/* ---- work ---- */

static void repair_receive(struct kith *k, struct ki_repair_run *run, struct ki_span message)
{
    struct ki_replica *r = k->replica;
    r->changes.is_remote = true;
    enum ki_repair_result result =
        ki_repair_receive(&run->repair, ki_wall_ms(k->now), k->now.mono_us / 1000, message);
    ki_replica_step_ends(k);
    r->changes.is_remote = false;
    run->is_busy = true;
    run->spoke_us = k->now.mono_us;
    repair_result(k, run, result);
}

/* It has come to nothing, for a reason that is not in the session. */
static void repair_give_up(struct kith *k, struct ki_repair_run *run)
{
    if (run->is_over)
        return;
    run->is_over = true;
    if (run->is_told)
        return; /* it had what it wanted */
    struct ki_peer *peer = ki_peer_of(k, run->id);
    k->replica->repairs_failed++;
    if (peer && run->config.role == KI_REPAIR_INITIATOR)
        repair_rest(k, peer);
}

static void repair_go(struct kith *k, struct ki_repair_run *run)
{
    run->state = KI_RUN_GOES;
    run->is_busy = true;
    run->spoke_us = k->now.mono_us;
    ki_repair_start(&run->repair, k->now.mono_us / 1000);
}

/* Takes from the backlog what is so many bytes, or a message more. */
static void repair_catch_up(struct kith *k, struct ki_repair_run *run, size_t bytes)
{
    for (size_t done = 0; run->backlog && done < bytes;) {
        struct ki_backlog *backlog = run->backlog;
        run->backlog = backlog->next;
        run->backlog_last = backlog->next ? run->backlog_last : NULL;
        run->backlog_bytes -= backlog->len;
        done += backlog->len;
        repair_receive(k, run, ki_span(backlog->bytes, backlog->len));
        ki_mem_free(&k->replica->mem, backlog);
    }
}

static void repair_no_memory(struct kith *k, struct ki_repair_run *run)
{
    ki_count(k, KI_COUNT_out_of_memory);
    repair_give_up(k, run);
}

/* Whether the sketch is whole, perhaps after so much work. */
static bool repair_settle(struct kith *k, struct ki_repair_run *run, uint32_t budget)
{
    struct ki_replica *r = k->replica;
    enum ki_compare_state state = r->store.compare ? ki_compare_settle(&r->store, budget) : KI_COMPARE_MORE;
    if (state == KI_COMPARE_MEMORY)
        repair_no_memory(k, run);
    return state == KI_COMPARE_WHOLE;
}

/* Takes the snapshot, if the sketch can be made whole within the budget. */
static bool repair_snapshot(struct kith *k, struct ki_repair_run *run, uint32_t budget)
{
    if (!repair_settle(k, run, budget))
        return false;
    if (ki_repair_init(&run->repair, &k->replica->store, &run->config))
        return true;
    repair_no_memory(k, run);
    return false;
}

static bool repair_waits_for_rows(const struct ki_replica *r)
{
    return r->cfg.withhold && ki_rows_due(&r->rows) != r->rows.durable;
}

static uint32_t repair_patience(const struct kith *k, const struct ki_repair_run *run)
{
    return k->now.mono_us - run->begun_us > REPAIR_PATIENCE_US ? REPAIR_SETTLE_LATE : REPAIR_SETTLE;
}

static void repair_wait(struct kith *k, struct ki_repair_run *run)
{
    if (repair_waits_for_rows(k->replica)) { /* ki_repairs_group(), and there is little left to do then */
        (void)repair_settle(k, run, REPAIR_SETTLE);
    } else if (repair_snapshot(k, run, repair_patience(k, run))) {
        repair_go(k, run);
    }
}

void ki_repairs_group(struct kith *k)
{
    struct ki_replica *r = k->replica;
    for (struct ki_repair_run *run = r->runs; run; run = run->next) {
        if (run->state != KI_RUN_WAITS || run->is_over || !repair_snapshot(k, run, repair_patience(k, run)))
            continue;
        run->state = KI_RUN_HELD;
        run->wait_seq = r->rows.seq;
    }
}

void ki_repairs_durable(struct kith *k)
{
    for (struct ki_repair_run *run = k->replica->runs; run; run = run->next) {
        if (run->state == KI_RUN_HELD && run->wait_seq <= k->replica->rows.durable && !run->is_over)
            repair_go(k, run);
    }
}

static void repair_step(struct kith *k, struct ki_repair_run *run, size_t *budget)
{
    struct ki_replica *r = k->replica;
    r->changes.is_remote = true;
    enum ki_repair_result result = ki_repair_step(&run->repair, k->now.mono_us / 1000, budget);
    ki_replica_step_ends(k);
    r->changes.is_remote = false;
    run->is_busy = *budget == 0;
    repair_result(k, run, result);
    run->is_over = run->is_over || ki_repair_is_over(&run->repair);
}

static bool repair_is_due(const struct kith *k, const struct ki_repair_run *run)
{
    return run->is_busy || run->backlog || ki_repair_deadline_ms(&run->repair) <= k->now.mono_us / 1000 ||
           ki_repair_is_over(&run->repair);
}

/* When a paced session may go on. */
static uint64_t repair_pace_us(const struct ki_peer *peer)
{
    return peer->paid_us > REPAIR_PACE_US ? peer->paid_us - REPAIR_PACE_US : 0;
}

/* Those that have waited for long enough have something to say again. */
static void repairs_pace(struct kith *k)
{
    for (struct ki_repair_run *run = k->replica->runs; run; run = run->next) {
        struct ki_peer *peer = run->is_paced && !run->is_over ? ki_peer_of(k, run->id) : NULL;
        if (!peer || repair_pace_us(peer) > k->now.mono_us)
            continue;
        run->is_paced = false;
        if (run->link)
            ki_link_wake(run->link, KI_LINK_STORE);
        else
            ki_store_send(k, peer);
    }
}

static void repairs_reap(struct ki_replica *r)
{
    for (struct ki_repair_run **link = &r->runs; *link;) {
        struct ki_repair_run *run = *link;
        if (!run->is_over) {
            link = &run->next;
            continue;
        }
        *link = run->next;
        r->ended[r->ended_at++ % KI_COUNT(r->ended)] = run->config.session;
        repair_free(r, run);
    }
}

/* When a session is given up; while we wait for our own sketch or disk, the peer does not wait for ever. */
static uint64_t repair_end_us(const struct ki_repair_run *run)
{
    uint64_t silence_us = run->is_busy ? KITH_NEVER : run->spoke_us + (run->link ? REPAIR_SILENCE_US : REPAIR_QUIET_US);
    return ki_min_u64(silence_us, run->begun_us + REPAIR_LIFE_US);
}

void ki_repairs_tick(struct kith *k)
{
    size_t budget = REPAIR_BUDGET;
    for (struct ki_repair_run *run = k->replica->runs; run && budget > 0; run = run->next) {
        if (run->is_over)
            continue;
        if (repair_end_us(run) <= k->now.mono_us)
            repair_give_up(k, run);
        else if (run->state == KI_RUN_WAITS)
            repair_wait(k, run);
        else if (run->state == KI_RUN_GOES && run->backlog)
            repair_catch_up(k, run, REPAIR_STREAM_MESSAGE);
        else if (run->state == KI_RUN_GOES && repair_is_due(k, run))
            repair_step(k, run, &budget);
    }
    repairs_pace(k);
    repairs_reap(k->replica);
}

uint64_t ki_repairs_deadline(const struct kith *k)
{
    const struct ki_replica *r = k->replica;
    uint64_t next_us = KITH_NEVER;
    bool can_settle = r->store.compare && (!repair_waits_for_rows(r) || !ki_compare_is_whole(&r->store));
    for (const struct ki_repair_run *run = r->runs; run; run = run->next) {
        bool works = run->state == KI_RUN_WAITS && can_settle;
        if (run->is_over || works || (run->state == KI_RUN_GOES && repair_is_due(k, run)))
            return k->now.mono_us;
        uint64_t due_ms = run->state == KI_RUN_GOES ? ki_repair_deadline_ms(&run->repair) : UINT64_MAX;
        next_us = ki_min_u64(next_us, due_ms < UINT64_MAX / 1000 ? due_ms * 1000 : KITH_NEVER);
        next_us = ki_min_u64(next_us, repair_end_us(run));
        const struct ki_peer *peer = run->is_paced ? ki_peer_known(r, run->id) : NULL;
        next_us = peer ? ki_min_u64(next_us, repair_pace_us(peer)) : next_us;
    }
    return next_us;
}

/* ---- beginning ---- */

void ki_repair_by_link(struct kith *k, struct ki_peer *peer)
{
    struct ki_link *link;
    if (repair_ours_full(k->replica) || ki_link_open(k, peer->id, KI_LINK_STORE, &link) != 0) {
        repair_rest(k, peer);
        return;
    }
    (void)repair_new(k, peer, KI_REPAIR_INITIATOR, ki_crng_u64(&k->crng), link);
}

void ki_repair_begin(struct kith *k, struct ki_peer *peer)
{
    struct ki_replica *r = k->replica;
    for (struct ki_repair_run *run = r->runs; run; run = run->next) {
        if (run->id != peer->id || run->is_over)
            continue;
        if (!run->is_told || run->spoke_us + REPAIR_SERVED_US > k->now.mono_us)
            return; /* one is under way */
        run->is_over = run->config.role == KI_REPAIR_INITIATOR; /* it must have been forgotten there */
    }
    if (repair_ours_full(r))
        return; /* the next comparison comes */
    if (r->store.cells.cell_count == 0 || ki_context_encoded_len(&r->store.context) > KI_REPAIR_CONTEXT_MAX ||
        !repair_fits_datagrams(k)) {
        ki_repair_by_link(k, peer);
        return;
    }
    (void)repair_new(k, peer, KI_REPAIR_INITIATOR, ki_crng_u64(&k->crng), NULL);
}

/* ---- messages ---- */

static void repair_keep(struct kith *k, struct ki_repair_run *run, struct ki_span message)
{
    struct ki_replica *r = k->replica;
    struct ki_backlog *backlog = NULL;
    if (run->backlog_bytes + message.len <= REPAIR_BACKLOG_MAX)
        backlog = ki_mem_resize(&r->mem, NULL, sizeof *backlog + message.len);
    if (!backlog) { /* a stream cannot do without it */
        run->is_over = run->link != NULL;
        return;
    }
    *backlog = (struct ki_backlog){.len = message.len};
    memcpy(backlog->bytes, message.ptr, message.len);
    if (run->backlog_last)
        run->backlog_last->next = backlog;
    else
        run->backlog = backlog;
    run->backlog_last = backlog;
    run->backlog_bytes += message.len;
}

static bool repair_has_ended(const struct ki_replica *r, uint64_t session)
{
    bool ended = false;
    for (size_t i = 0; i < KI_COUNT(r->ended); i++)
        ended = ended || r->ended[i] == session;
    return ended;
}

static uint32_t repair_theirs(const struct ki_replica *r)
{
    return repair_count(r, KI_REPAIR_RESPONDER, false) + repair_count(r, KI_REPAIR_RESPONDER, true);
}

/* No peer takes all the places. */
static bool repair_may_respond(const struct kith *k, const struct ki_peer *peer, uint64_t session,
                               const struct ki_link *link)
{
    const struct ki_replica *r = k->replica;
    uint32_t count = 0;
    for (const struct ki_repair_run *run = r->runs; run; run = run->next)
        count += run->id == peer->id && run->config.role == KI_REPAIR_RESPONDER && !run->is_over;
    return r->store.compare && (link || repair_fits_datagrams(k)) && count < REPAIR_THEIRS_EACH &&
           repair_theirs(r) < REPAIR_THEIRS_MAX && !repair_has_ended(r, session);
}

void ki_repair_message(struct kith *k, struct ki_peer *peer, struct ki_link *link, struct ki_span message)
{
    struct ki_replica *r = k->replica;
    enum ki_repair_role sender;
    uint64_t session;
    uint32_t answering;
    if (!ki_repair_peek(message, &sender, &session, &answering)) {
        ki_count(k, KI_COUNT_malformed);
        return;
    }
    enum ki_repair_role ours = sender == KI_REPAIR_INITIATOR ? KI_REPAIR_RESPONDER : KI_REPAIR_INITIATOR;
    struct ki_repair_run *run = repair_find(r, peer->id, ours, session);
    if (!run && ours == KI_REPAIR_RESPONDER && answering == 0 && repair_may_respond(k, peer, session, link)) {
        run = repair_new(k, peer, ours, session, link);
        if (run)
            repair_wait(k, run);
    }
    if (!run || run->is_over || run->link != link)
        return;
    if (run->state == KI_RUN_GOES && !run->backlog) {
        repair_receive(k, run, message);
    } else if (link) {
        repair_keep(k, run, message);
        if (run->state == KI_RUN_GOES)
            repair_catch_up(k, run, 2 * message.len); /* it comes to an end, however fast more comes */
    }
}

static bool repair_poll(struct kith *k, struct ki_repair_run *run, void *buf, size_t cap, size_t *len)
{
    uint32_t rate = k->replica->cfg.repair_bytes_per_s;
    struct ki_peer *peer = rate ? ki_peer_of(k, run->id) : NULL;
    if (run->is_over || run->state != KI_RUN_GOES || !run->has_out)
        return false;
    run->is_paced = peer && repair_pace_us(peer) > k->now.mono_us;
    if (run->is_paced)
        return false;
    run->has_out = ki_repair_poll(&run->repair, buf, cap, len);
    if (run->has_out && peer)
        peer->paid_us = ki_max_u64(peer->paid_us, k->now.mono_us) + (uint64_t)*len * 1000000 / rate;
    run->spoke_us = run->has_out && run->link ? k->now.mono_us : run->spoke_us;
    return run->has_out;
}

bool ki_repair_poll_datagram(struct kith *k, const struct ki_peer *peer, struct ki_writer *w)
{
    for (struct ki_repair_run *run = k->replica->runs; run; run = run->next) {
        size_t len, room = w->cap - w->len;
        if (run->id != peer->id || run->link || room < KI_KITH_REPAIR_FRONT - 1 + run->config.message_max)
            continue;
        size_t front = KI_KITH_REPAIR_FRONT - 1; /* memberlist's type is there */
        if (!repair_poll(k, run, w->start + w->len + front, room - front, &len))
            continue;
        ki_encode_kith_front(w, KI_KITH_REPAIR);
        w->len += len;
        return true;
    }
    return false;
}

bool ki_repair_has_datagram(const struct kith *k, const struct ki_peer *peer)
{
    const struct ki_repair_run *run = k->replica->runs;
    while (run && (run->id != peer->id || run->link || run->is_over || run->state != KI_RUN_GOES || !run->has_out ||
                   run->is_paced))
        run = run->next;
    return run != NULL;
}

bool ki_repair_poll_link(struct kith *k, const struct ki_link *link, uint8_t *buf, size_t cap, size_t *len)
{
    for (struct ki_repair_run *run = k->replica->runs; run; run = run->next) {
        if (run->link == link && repair_poll(k, run, buf, cap, len))
            return true;
    }
    return false;
}

/* ---- ends that come from outside ---- */

void ki_repairs_link_closed(struct kith *k, const struct ki_link *link)
{
    for (struct ki_repair_run *run = k->replica->runs; run; run = run->next) {
        if (run->link != link)
            continue;
        run->link = NULL;
        repair_give_up(k, run);
    }
}

void ki_repairs_gone(struct kith *k, uint32_t id)
{
    for (struct ki_repair_run *run = k->replica->runs; run; run = run->next)
        run->is_over = run->is_over || run->id == id;
}

void ki_repairs_end(struct kith *k)
{
    for (struct ki_repair_run *run = k->replica->runs; run; run = run->next)
        run->is_over = true;
    repairs_reap(k->replica);
}
