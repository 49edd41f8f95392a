/* What follows from the difference between two snapshots: what is sent, what has to come, and the end (R17 to R21).
 *
 * Each side names the dots of what the other may lack: of the differing items, when these are known, or of all that was
 * live in its snapshot.  Sets of dots, so that a million cells that differ are a few runs.  With both contexts that says
 * everything:
 *
 *     give      mine less the peer's context
 *     expected  theirs less our context at the snapshot
 *     drops     mine that the peer's context has and theirs lacks
 *     lacking   expected less what the store knows by now: a cell that came otherwise meanwhile, or has been retired
 *               meanwhile, has not to come again
 *
 * Whole sets cannot show one dot with two contents (R19): sketches do that, and a later session by them will.  Among
 * differing items alone such a dot is in both sets; then each side sends its own, and the greater item stays on both.
 *
 * A cell may join whenever it comes, waited for or not, as if by a delta: what joins late, and was dead to the peer, is
 * dropped at the end.  But nothing of the peer's context joins before nothing is lacking: whoever claimed a dot whose cell,
 * or whose successor, never came would pass for having known it dead.
 *
 * The end is the join with a past state of the peer's, and it is cut: first the peer's context joins, run by run, then
 * drops go, likewise in slices.  All that lives at the peer is here by then, so whatever its context claims as dead has its
 * successors here.  A crash between the slices leaves cells that the peer knows as dead, as before the session, and the next
 * one drops them.
 *
 * Invariant: what is in give was live at the snapshot, and can be given until the session is closed or has failed.
 * Deliberately not here: where the sets come from.
 */
#include "store/session.h"

#include "base/canary.h"
#include "base/hash.h"

/* Adds what `theirs` has and `mine` has not to `into`, from runs.cursor on. */
static int runs_subtract(struct ki_session_runs *runs, const struct ki_context *theirs, const struct ki_context *mine,
                         struct ki_context *into, size_t *budget)
{
    struct ki_run run;
    for (;;) {
        switch (ki_context_missing(mine, theirs, &runs->cursor, budget, &run)) {
        case KI_MISSING_RUN:
            if (!ki_context_add_run(into, run)) {
                runs->cursor = (struct ki_dot){run.replica, run.low};
                return KI_STORE_MEMORY;
            }
            break;
        case KI_MISSING_MORE:
            return KI_SESSION_MORE;
        case KI_MISSING_END:
            runs->cursor = (struct ki_dot){0, 0};
            runs->stage++;
            return 0;
        }
    }
}

static int runs_failed(struct ki_session *session, int error)
{
    session->has_failed = session->has_failed || error < 0;
    return error;
}

int ki_session_give(struct ki_session *session, size_t *budget)
{
    struct ki_session_runs *runs = &session->runs;
    KI_ASSERT(!runs->is_given);
    if (session->has_failed)
        return KI_STORE_MEMORY;
    int error = runs_subtract(runs, &runs->mine, &session->peer_context, &runs->give, budget);
    runs->is_given = error == 0;
    runs->stage = 0;
    return runs_failed(session, error);
}

/* Whatever is live there is known there. */
static int runs_check(struct ki_session *session, size_t *budget)
{
    struct ki_session_runs *runs = &session->runs;
    struct ki_run run;
    switch (ki_context_missing(&session->peer_context, &runs->theirs, &runs->cursor, budget, &run)) {
    case KI_MISSING_RUN:
        return KI_STORE_MALFORMED;
    case KI_MISSING_MORE:
        return KI_SESSION_MORE;
    case KI_MISSING_END:
        break;
    }
    runs->cursor = (struct ki_dot){0, 0};
    runs->stage++;
    return 0;
}

static int runs_stage(struct ki_session *session, size_t *budget)
{
    struct ki_session_runs *runs = &session->runs;
    switch (runs->stage) {
    case 0:
        return runs_check(session, budget);
    case 1:
        return runs_subtract(runs, &runs->theirs, &session->context, &runs->expected, budget);
    case 2:
        return runs_subtract(runs, &runs->mine, &runs->theirs, &runs->gone, budget);
    case 3:
        if (!runs->is_difference) {
            runs->stage++;
            return 0;
        }
        return runs_subtract(runs, &runs->mine, &runs->gone, &runs->twins, budget);
    default:
        return ki_context_join(&runs->give, &runs->twins) ? 0 : KI_STORE_MEMORY;
    }
}

int ki_session_sort(struct ki_session *session, size_t *budget)
{
    struct ki_session_runs *runs = &session->runs;
    int error = 0;
    KI_ASSERT(runs->is_given && !runs->is_sorted);
    if (session->has_failed)
        return KI_STORE_MEMORY;
    while (error == 0 && !runs->is_sorted) {
        bool is_last = runs->stage > 3;
        error = runs_stage(session, budget);
        runs->is_sorted = is_last && error == 0;
    }
    if (!error) {
        runs->stage = 0;
        session->damaged_count = (uint32_t)ki_min_u64(ki_context_dots(&runs->twins), UINT32_MAX);
        session->store->damaged += session->damaged_count;
        ki_store_met(session->store, ki_context_highest(&session->peer_context, session->store->replica));
    }
    return runs_failed(session, error);
}

/* ---- cells ---- */

static int runs_take_twin(struct ki_session *session, const struct ki_cell_image *image, const uint8_t item_key[16])
{
    struct ki_store *store = session->store;
    uint32_t id = ki_cells_by_dot(&store->cells, image->dot);
    if (!ki_context_reserve(&session->runs.twins_came, 1))
        return KI_STORE_MEMORY;
    if (id != KI_NO_CELL) {
        struct ki_cell_image own = ki_cells_image(&store->cells, id);
        bool is_greater = ki_item_less(ki_cell_item(&own, item_key), ki_cell_item(image, item_key));
        int error = is_greater ? ki_store_replace(store, image) : 0;
        if (error)
            return error;
    }
    bool fits = ki_context_add(&session->runs.twins_came, image->dot);
    KI_ASSERT(fits);
    return 0;
}

/* It may come before we have sorted. */
bool ki_session_is_twin(const struct ki_session *session, struct ki_dot dot)
{
    const struct ki_session_runs *runs = &session->runs;
    return runs->is_difference && ki_context_has(&runs->mine, dot) && ki_context_has(&runs->theirs, dot);
}

int ki_session_take(struct ki_session *session, uint64_t wall_ms, const struct ki_cell_image *image,
                    const uint8_t item_key[16])
{
    struct ki_store *store = session->store;
    int error = 0;
    if (session->has_failed)
        return KI_STORE_MEMORY;
    bool is_twin = ki_session_is_twin(session, image->dot) && !ki_context_has(&session->runs.twins_came, image->dot);
    if (!is_twin && ki_context_has(&store->context, image->dot))
        return 0;
    enum ki_hybrid_verdict verdict = ki_hybrid_judge(&store->config.bounds, wall_ms, image->stamp);
    store->ahead += verdict != KI_HYBRID_FINE;
    if (verdict == KI_HYBRID_REFUSED)
        error = KI_STORE_AHEAD;
    else if (is_twin)
        error = runs_take_twin(session, image, item_key);
    else
        error = ki_store_join(store, wall_ms, image);
    if (!error && image->dot.replica == store->replica)
        ki_store_met(store, image->dot.n);
    return runs_failed(session, error);
}

enum ki_missing ki_session_lacking(const struct ki_session *session, struct ki_dot *cursor, size_t *budget,
                                   struct ki_run *out)
{
    const struct ki_session_runs *runs = &session->runs;
    struct ki_dot twin = {0, 0};
    KI_ASSERT(runs->is_sorted);
    if (runs->twins.run_count > 0) {
        size_t plenty = SIZE_MAX;
        enum ki_missing missing = ki_context_missing(&runs->twins_came, &runs->twins, &twin, &plenty, out);
        if (missing == KI_MISSING_RUN)
            return missing;
    }
    return ki_context_missing(&session->store->context, &runs->expected, cursor, budget, out);
}

/* ---- the end ---- */

/* Kills the dots of a run as far as the budget goes, but always one, and sets the cursor behind it.  Each was live here at
 * some time, so no run is longer than what the store had. */
static bool runs_kill(struct ki_session *session, struct ki_run run, size_t *budget, const struct ki_context *dead)
{
    for (uint64_t n = run.low; n <= run.high; n++) {
        struct ki_dot dot = {run.replica, n};
        if (!dead || ki_context_has(dead, dot))
            ki_store_kill(session->store, dot);
        session->runs.cursor = (struct ki_dot){run.replica, n + 1};
        *budget -= ki_min_size(*budget, 4); /* a cell that goes costs that much */
        if (*budget == 0)
            return false;
    }
    return true;
}

/* What `all` has and `spared` has not, if it is in `dead`. */
static int runs_kill_all(struct ki_session *session, const struct ki_context *all, const struct ki_context *spared,
                         const struct ki_context *dead, size_t *budget)
{
    struct ki_session_runs *runs = &session->runs;
    struct ki_run run;
    for (;;) {
        switch (ki_context_missing(spared, all, &runs->cursor, budget, &run)) {
        case KI_MISSING_RUN:
            if (!runs_kill(session, run, budget, dead))
                return KI_SESSION_MORE;
            break;
        case KI_MISSING_MORE:
            return KI_SESSION_MORE;
        case KI_MISSING_END:
            runs->cursor = (struct ki_dot){0, 0};
            runs->stage++;
            return 0;
        }
    }
}

int ki_session_end(struct ki_session *session, size_t *budget)
{
    struct ki_session_runs *runs = &session->runs;
    KI_ASSERT(runs->is_sorted);
    if (session->has_failed)
        return KI_STORE_MEMORY;
    struct ki_context *context = &session->store->context;
    int error = 0;
    if (runs->stage == 0) {
        error = runs_subtract(runs, &session->peer_context, context, context, budget); /* the union, piece by piece */
        session->store->version += !KI_CANARY(STALE); /* another root, and rows to write, though no cell has changed */
    }
    if (!error && runs->stage == 1)
        error = runs_kill_all(session, &runs->gone, &runs->give, NULL, budget);
    if (!error && runs->stage == 2)
        error = runs_kill_all(session, &session->late, &runs->theirs, &session->peer_context, budget);
    return error;
}
