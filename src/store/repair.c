/* A repair: its messages, its phases, its time.
 *
 * A message is a head and pieces up to its end; numbers are big-endian, a varint is LEB128 in its shortest form, dots and
 * runs of dots go as contexts do (context_wire.c), cells as in deltas (cell.c):
 *
 *   head:   sender 1 (1 initiator, 2 responder) | session 8 | the responder's snapshot 4, or 0
 *   piece:  kind 1 | len 2 | len bytes
 *
 *    1 HELLO      secret's tag 4 | sum of the items' hashes 16 | count varint        the initiator's root
 *    2 PARITY     24 times 8
 *    3 CODED      first varint | stride varint | coded cells, 21 each: first, first + stride, ...
 *    4 VERDICT    1 found | how many of your items I lack varint | how many of mine you lack varint
 *                 2 list: name all your live dots
 *    5 NAMED      first varint | items, 16 each: those that I lack, by index
 *    6 CONTEXT    1 if it ends here, else 0 | a part of the snapshot's context
 *    7 SET        likewise: dots of my items that differ, or of all my live cells
 *    8 CELLS      cells
 *    9 PART       whole length varint | bytes: of a cell larger than a message; streams only
 *   10 ASK        bits: 1 PARITY, 2 CONTEXT, 4 SET, 8 DONE
 *   11 ASK_CODED  prefix varint | from varint | to varint | stride varint | classes varint
 *                 for each bit j of classes the cells from + j, + stride, ... below to, as of a prefix of so many cells
 *   12 ASK_NAMED  from varint | to varint
 *   13 ASK_CELLS  runs of dots
 *   14 DONE       0 all is here, else the reason why it failed
 *
 *   initiator  HELLO [PARITY] CONTEXT CODED ------------------------------>
 *              <--- ASK_CODED, until it decodes;  then VERDICT NAMED CONTEXT SET CELLS
 *              SET CELLS DONE -------------------------------------------->   <--- DONE
 *
 * Every piece says by itself what it is, and may come twice.  Over datagrams who waits asks again; context and set go in
 * one piece each there, coded cells are dealt out to messages one by one (peel.h says why).  Over a stream nothing is asked
 * for twice, and long things go in parts, in order; a stream that breaks costs what had not come: cells that came are
 * known, so the next repair's difference is what is left.
 *
 * Deliberately not here: when to begin, whom with, what carries the messages, how they are sealed.
 */
#include "store/repair_parts.h"

#include "base/canary.h"
#include "base/hash.h"

/* ---- life ---- */

static void repair_contexts_init(struct ki_repair *r)
{
    ki_context_init(&r->named_came, r->store->mem);
    ki_context_init(&r->wanted, r->store->mem);
    r->context_decoder = (struct ki_context_decoder){.into = &r->session.peer_context,
                                                     .replicas_max = r->config.runs_max,
                                                     .runs_max = r->config.runs_max};
    r->set_decoder = r->context_decoder;
    r->set_decoder.into = &r->session.runs.theirs;
}

bool ki_repair_init(struct ki_repair *repair, struct ki_store *store, const struct ki_repair_config *config)
{
    KI_ASSERT(store->compare && config->message_max >= KI_REPAIR_MESSAGE_MIN &&
              config->message_max <= KI_REPAIR_MESSAGE_MAX && config->coded_max > 0 &&
              config->coded_max <= KI_SKETCH_CELLS_MAX);
    KI_ASSERT((config->role == KI_REPAIR_RESPONDER) == (config->answering != 0));
    *repair = (struct ki_repair){
        .config = *config, .store = store, .answering = config->answering, .sketch_number = store->cells.sketch};
    memcpy(repair->item_key, store->compare->item_key, sizeof repair->item_key);
    if (!ki_sketch_copy(&repair->kept, store->mem, &store->compare->sketch))
        return false;
    if (!ki_session_open(&repair->session, store, &config->session_limits)) {
        ki_sketch_free(&repair->kept);
        return false;
    }
    repair_contexts_init(repair);
    repair->is_open = true;
    return true;
}

void ki_repair_free(struct ki_repair *repair)
{
    if (!repair->is_open)
        return;
    ki_session_close(&repair->session);
    ki_sketch_free(&repair->kept);
    if (repair->has_longer)
        ki_sketch_free(&repair->longer);
    if (repair->has_peel)
        ki_peel_free(&repair->peel);
    ki_context_free(&repair->named_came);
    ki_context_free(&repair->wanted);
    ki_mem_free(repair->store->mem, repair->named);
    ki_mem_free(repair->store->mem, repair->part);
    repair->is_open = false;
}

/* Too few bits to say anything of the key, enough to notice another. */
void ki_repair_tag(const struct ki_repair *repair, uint8_t tag[KI_REPAIR_TAG_LEN])
{
    static const char purpose[] = "the tag of a repair";
    ki_store_be(tag, ki_siphash(repair->item_key, purpose, sizeof purpose - 1), KI_REPAIR_TAG_LEN);
}

void ki_repair_fail(struct ki_repair *repair, enum ki_repair_reason reason)
{
    if (repair->phase == KI_PHASE_FAILED)
        return;
    repair->reason = reason;
    repair->pending = ki_repair_bit(KI_PIECE_DONE);
    if (repair->phase != KI_PHASE_DONE) /* else only the peer has to hear of it: it cannot be served */
        repair->phase = KI_PHASE_FAILED;
}

void ki_repair_fail_by(struct ki_repair *repair, int error)
{
    ki_repair_fail(repair, error == KI_STORE_AHEAD       ? KI_REPAIR_AHEAD
                           : error == KI_STORE_MALFORMED ? KI_REPAIR_PEER_LIES
                                                         : KI_REPAIR_MEMORY);
}

static enum ki_repair_result repair_result(const struct ki_repair *r)
{
    if (r->phase == KI_PHASE_FAILED)
        return KI_REPAIR_FAILED;
    return r->phase == KI_PHASE_DONE ? KI_REPAIR_DONE : KI_REPAIR_RUNNING;
}

static bool repair_fits_datagrams(const struct ki_repair *r)
{
    return r->config.is_stream || ki_context_encoded_len(&r->session.context) <= KI_REPAIR_CONTEXT_MAX;
}

static void repair_hello(struct ki_repair *r)
{
    uint64_t cells = ki_min_u64(ki_max_u64(r->config.first_cells, 1), r->kept.cell_count);
    r->pending |= ki_repair_bit(KI_PIECE_HELLO) | ki_repair_bit(KI_PIECE_CONTEXT) | ki_repair_bit(KI_PIECE_CODED);
    if (r->config.has_parity)
        r->pending |= ki_repair_bit(KI_PIECE_PARITY);
    r->coded = (struct ki_repair_coded){.to = (uint32_t)cells, .stride = 1, .classes = 1};
    r->context_at = (struct ki_context_cursor){0};
}

void ki_repair_start(struct ki_repair *repair, uint64_t now_ms)
{
    const struct ki_repair_config *config = &repair->config;
    KI_ASSERT(!repair->is_started);
    repair->is_started = true;
    repair->retry_after_ms = config->retry_ms;
    repair->retry_at_ms = now_ms + config->retry_ms;
    if (!repair_fits_datagrams(repair)) {
        ki_repair_fail(repair, KI_REPAIR_TOO_LARGE);
        return;
    }
    if (config->role == KI_REPAIR_INITIATOR)
        repair_hello(repair);
}

bool ki_repair_is_over(const struct ki_repair *repair)
{
    bool is_out_of_time = !repair->config.is_stream && repair->tries > repair->config.tries_max;
    if (repair->phase == KI_PHASE_FAILED)
        return repair->pending == 0;
    if (repair->phase != KI_PHASE_DONE)
        return false;
    return is_out_of_time || ((repair->peer_is_done || repair->peer_has_failed) && repair->pending == 0);
}

/* ---- phases that need no sketch ---- */

/* Over datagrams: not more than they are good for. */
static void repair_check_give(struct ki_repair *r)
{
    uint64_t bytes = 0;
    size_t one_max = r->config.is_stream ? SIZE_MAX : r->config.message_max - KI_REPAIR_HEAD_LEN - KI_REPAIR_PIECE_HEAD;
    struct ki_run run;
    if (r->config.cells_max == 0)
        return;
    for (struct ki_dot at = {0, 0}; ki_context_next(&r->session.runs.give, at, &run);
         at = (struct ki_dot){run.replica, run.high + 1}) {
        for (uint64_t n = run.low; n <= run.high; n++) {
            struct ki_cell_image image;
            if (!ki_session_image(&r->session, (struct ki_dot){run.replica, n}, &image)) {
                ki_repair_fail(r, KI_REPAIR_MEMORY);
                return;
            }
            size_t size = ki_cell_size(&image);
            bytes += size;
            if (bytes > r->config.cells_max || size > one_max) {
                ki_repair_fail(r, KI_REPAIR_TOO_LARGE);
                return;
            }
        }
    }
}

static bool repair_give(struct ki_repair *r, size_t *budget)
{
    if (!r->has_context)
        return false;
    int error = ki_session_give(&r->session, budget);
    if (error < 0)
        ki_repair_fail_by(r, error);
    if (error == 0) {
        r->phase = KI_PHASE_LEARN;
        r->pending |= ki_repair_bit(KI_PIECE_CELLS);
        repair_check_give(r);
    }
    return error == 0;
}

static bool repair_learn(struct ki_repair *r, size_t *budget)
{
    if (!r->has_set)
        return false;
    int error = ki_session_sort(&r->session, budget);
    if (error < 0)
        ki_repair_fail_by(r, error);
    if (error != 0)
        return false;
    r->phase = KI_PHASE_FETCH;
    r->lacking_at = (struct ki_dot){0, 0};
    if (r->session.runs.twins.run_count > 0)
        r->pending |= ki_repair_bit(KI_PIECE_CELLS);
    r->cell_at = r->session.runs.twins.run_count > 0 ? (struct ki_dot){0, 0} : r->cell_at;
    return true;
}

static bool repair_fetch(struct ki_repair *r, size_t *budget)
{
    struct ki_run run;
    if (r->session.has_failed) {
        ki_repair_fail(r, KI_REPAIR_MEMORY);
        return false;
    }
    struct ki_dot at = r->lacking_at; /* what is known once stays known */
    switch (ki_session_lacking(&r->session, &at, budget, &run)) {
    case KI_MISSING_RUN:
        if (KI_CANARY(EAGER))
            break;
        if (!ki_session_is_twin(&r->session, (struct ki_dot){run.replica, run.low}))
            r->lacking_at = (struct ki_dot){run.replica, run.low};
        return false;
    case KI_MISSING_MORE:
        r->lacking_at = at;
        return false;
    case KI_MISSING_END:
        break;
    }
    r->phase = KI_PHASE_END;
    return true;
}

static bool repair_end(struct ki_repair *r, size_t *budget)
{
    uint64_t cells = r->store->cells.cell_count;
    int error = ki_session_end(&r->session, budget);
    r->stats.drops += cells - r->store->cells.cell_count;
    if (error < 0)
        ki_repair_fail_by(r, error);
    if (error != 0)
        return false;
    r->phase = KI_PHASE_DONE;
    r->pending |= ki_repair_bit(KI_PIECE_DONE);
    return true;
}

static bool repair_phase(struct ki_repair *r, size_t *budget)
{
    switch (r->phase) {
    case KI_PHASE_SEEK:
        return ki_repair_seek(r, budget);
    case KI_PHASE_BUILD:
        return ki_repair_build(r, budget);
    case KI_PHASE_SCAN:
        return ki_repair_scan(r, budget);
    case KI_PHASE_NAME:
        return ki_repair_name(r, budget);
    case KI_PHASE_GIVE:
        return repair_give(r, budget);
    case KI_PHASE_LEARN:
        return repair_learn(r, budget);
    case KI_PHASE_FETCH:
        return repair_fetch(r, budget);
    case KI_PHASE_END:
        return repair_end(r, budget);
    case KI_PHASE_DONE:
    case KI_PHASE_FAILED:
        break;
    }
    return false;
}

/* ---- time ---- */

/* Asks again for what this phase waits for.  Each phase's asking names all that it knows to be lacking. */
static void repair_ask(struct ki_repair *r)
{
    r->stats.retries++;
    switch (r->phase) {
    case KI_PHASE_SEEK:
        if (r->config.role == KI_REPAIR_RESPONDER)
            ki_repair_ask_again(r);
        else
            repair_hello(r);
        return;
    case KI_PHASE_NAME:
        r->pending |= ki_repair_bit(KI_PIECE_ASK_NAMED);
        break;
    case KI_PHASE_FETCH:
        r->pending |= ki_repair_bit(KI_PIECE_ASK_CELLS);
        break;
    case KI_PHASE_DONE:
        r->ask_bits |= KI_ASK_DONE;
        r->pending |= ki_repair_bit(KI_PIECE_DONE);
        break;
    case KI_PHASE_BUILD:
    case KI_PHASE_SCAN:
    case KI_PHASE_GIVE:
    case KI_PHASE_LEARN:
    case KI_PHASE_END:
    case KI_PHASE_FAILED:
        break;
    }
    r->ask_bits |= (r->has_context ? 0 : KI_ASK_CONTEXT) | (r->has_set ? 0 : KI_ASK_SET);
    if (r->ask_bits)
        r->pending |= ki_repair_bit(KI_PIECE_ASK);
}

static void repair_tick(struct ki_repair *r, uint64_t now_ms)
{
    if (now_ms < ki_repair_deadline_ms(r))
        return;
    if (r->tries++ >= r->config.tries_max) {
        if (r->phase != KI_PHASE_DONE)
            ki_repair_fail(r, KI_REPAIR_TIMEOUT);
        r->tries = r->config.tries_max + 1;
        return;
    }
    r->retry_after_ms *= 2;
    r->retry_at_ms = now_ms + r->retry_after_ms;
    repair_ask(r);
}

uint64_t ki_repair_deadline_ms(const struct ki_repair *repair)
{
    bool is_waiting = repair->is_started && !repair->config.is_stream && repair->phase != KI_PHASE_FAILED &&
                      !ki_repair_is_over(repair);
    return is_waiting ? repair->retry_at_ms : UINT64_MAX;
}

enum ki_repair_result ki_repair_step(struct ki_repair *repair, uint64_t now_ms, size_t *budget)
{
    struct ki_repair *r = repair;
    KI_ASSERT(r->is_started);
    if (r->sketch_number != r->store->cells.sketch && r->phase < KI_PHASE_GIVE)
        ki_repair_fail(r, KI_REPAIR_SECRET);
    if (r->has_progress) {
        r->has_progress = false;
        r->tries = 0;
        r->retry_after_ms = r->config.retry_ms;
        r->retry_at_ms = now_ms + r->retry_after_ms;
    }
    if (r->is_building && r->phase != KI_PHASE_FAILED)
        (void)ki_repair_build(r, budget);
    while (*budget > 0 && repair_phase(r, budget)) {
    }
    if (*budget > 0)
        repair_tick(r, now_ms);
    return repair_result(r);
}
