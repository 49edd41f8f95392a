/* Sessions: how two replicas come to know what both knew, without tombstones (R16 to R21).
 *
 * What a side sends and claims is one past state of its replica, the snapshot; finishing is the join with such a state of
 * the peer's.  The snapshot costs a copy of the context, and no copy of the cells: a dot of that context whose cell is live
 * was live then, since nothing dead comes back.  What the snapshot had and the store has retired or replaced since lies in
 * limbo, a copy each, until the session ends.
 *
 * Until the end nothing of the peer's context joins: whoever claimed a dot whose cell, or whose successor, never came would
 * pass for having known it dead.  At the end these go: what the peer knew as dead at its snapshot, and what came in
 * meanwhile of which the peer knew already that it is dead.
 *
 * Invariant: a session that has not failed can give each cell of its snapshot.
 * Deliberately not here: how the difference is found, what travels, when a session begins.
 */
#include "store/session.h"

#include "base/hash.h"
#include "store/groups.h"
#include "store/sessions.h"

struct ki_limbo {
    struct ki_dot dot;
    struct ki_item item; /* if it was sketched; else zero */
    uint32_t place;      /* where it was in the table */
    size_t len;
    uint8_t bytes[]; /* canonical */
};

/* ---- the store tells of changes ---- */

void ki_sessions_joined(struct ki_store *store, struct ki_dot dot)
{
    for (struct ki_session *s = store->sessions; s; s = s->next) {
        if (!s->has_failed && !ki_context_add(&s->late, dot))
            s->has_failed = true;
    }
}

static uint64_t session_hash(const struct ki_session *s, struct ki_dot dot)
{
    return ki_siphash(s->store->cells.hash_key, &dot, sizeof dot);
}

static bool session_is_limbo(const void *owner, uint32_t index, const void *key)
{
    const struct ki_session *s = owner;
    return ki_dot_compare(s->limbo[index]->dot, *(const struct ki_dot *)key) == 0;
}

static bool session_is_limbo_item(const void *owner, uint32_t index, const void *key)
{
    const struct ki_session *s = owner;
    const struct ki_item *item = key;
    return s->limbo[index]->item.a == item->a && s->limbo[index]->item.b == item->b;
}

/* NULL: it is not there. */
static const struct ki_limbo *session_limbo(const struct ki_session *s, struct ki_dot dot)
{
    uint32_t index = ki_map_get(&s->limbo_by_dot, session_hash(s, dot), session_is_limbo, s, &dot);
    return index != KI_MAP_NONE ? s->limbo[index] : NULL;
}

static bool session_reserve_limbo(struct ki_session *s)
{
    return ki_list_room(s->store->mem, (void **)&s->limbo, sizeof(struct ki_limbo *), s->limbo_count, &s->limbo_cap) &&
           ki_map_reserve(&s->limbo_by_dot, s->limbo_count + 1) && ki_map_reserve(&s->limbo_by_item, s->limbo_count + 1);
}

static bool session_keep(struct ki_session *s, uint32_t id)
{
    struct ki_cell_image image = ki_cells_image(&s->store->cells, id);
    size_t len = ki_cell_size(&image);
    if (session_limbo(s, image.dot))
        return true; /* replaced before: the first is what the snapshot had */
    if (len > s->limits.limbo_bytes_max - s->limbo_bytes || !session_reserve_limbo(s))
        return false;
    struct ki_limbo *limbo = ki_mem_resize(s->store->mem, NULL, sizeof *limbo + len);
    if (!limbo)
        return false;
    struct ki_writer w = ki_writer(limbo->bytes, len);
    ki_cell_encode(&w, &image);
    limbo->dot = image.dot;
    limbo->item = (struct ki_item){0, 0};
    limbo->place = id;
    limbo->len = len;
    bool fits = ki_map_put(&s->limbo_by_dot, session_hash(s, image.dot), s->limbo_count);
    if (ki_cells_is_sketched(&s->store->cells, id)) {
        limbo->item = ki_cells_at(&s->store->cells, id)->item;
        fits = fits && ki_map_put(&s->limbo_by_item, limbo->item.a, s->limbo_count);
    }
    KI_ASSERT(fits);
    s->limbo[s->limbo_count++] = limbo;
    s->limbo_bytes += len;
    return true;
}

void ki_sessions_retire(struct ki_store *store, uint32_t id)
{
    struct ki_dot dot = ki_cells_dot(&store->cells, id);
    for (struct ki_session *s = store->sessions; s; s = s->next) {
        bool is_needed = !s->runs.is_sorted || ki_context_has(&s->runs.give, dot);
        if (!s->has_failed && is_needed && ki_context_has(&s->context, dot) && !session_keep(s, id))
            s->has_failed = true;
    }
}

/* ---- opening and closing ---- */

bool ki_session_open(struct ki_session *session, struct ki_store *store, const struct ki_session_limits *limits)
{
    *session = (struct ki_session){.store = store, .limits = *limits};
    ki_context_init(&session->context, store->mem);
    ki_context_init(&session->late, store->mem);
    ki_context_init(&session->peer_context, store->mem);
    struct ki_context *runs[] = {&session->runs.mine,     &session->runs.theirs, &session->runs.give,
                                 &session->runs.gone,     &session->runs.twins,  &session->runs.twins_came,
                                 &session->runs.expected};
    for (size_t i = 0; i < KI_COUNT(runs); i++)
        ki_context_init(runs[i], store->mem);
    ki_map_init(&session->limbo_by_dot, store->mem);
    ki_map_init(&session->limbo_by_item, store->mem);
    if (!ki_context_copy(&session->context, &store->context))
        return false;
    store->shown_n = store->n;
    session->next = store->sessions;
    store->sessions = session;
    return true;
}

void ki_session_close(struct ki_session *session)
{
    struct ki_session **link = &session->store->sessions;
    struct ki_mem *mem = session->store->mem;
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    for (uint32_t i = 0; i < session->limbo_count; i++)
        ki_mem_free(mem, session->limbo[i]);
    ki_mem_free(mem, session->limbo);
    ki_map_free(&session->limbo_by_dot);
    ki_map_free(&session->limbo_by_item);
    ki_context_free(&session->context);
    ki_context_free(&session->late);
    ki_context_free(&session->peer_context);
    ki_context_free(&session->runs.mine);
    ki_context_free(&session->runs.theirs);
    ki_context_free(&session->runs.give);
    ki_context_free(&session->runs.gone);
    ki_context_free(&session->runs.twins);
    ki_context_free(&session->runs.twins_came);
    ki_context_free(&session->runs.expected);
    ki_mem_free(mem, session->peer_only);
    ki_mem_free(mem, session->is_expected);
    ki_mem_free(mem, session->drops);
    ki_mem_free(mem, session->sends);
    *session = (struct ki_session){.has_failed = true};
}

bool ki_session_dot(const struct ki_session *session, struct ki_item item, struct ki_dot *dot)
{
    uint32_t id = ki_cells_by_item(&session->store->cells, item);
    if (id != KI_NO_CELL) {
        *dot = ki_cells_dot(&session->store->cells, id);
        return ki_context_has(&session->context, *dot);
    }
    uint32_t index = ki_map_get(&session->limbo_by_item, item.a, session_is_limbo_item, session, &item);
    if (index != KI_MAP_NONE)
        *dot = session->limbo[index]->dot;
    return index != KI_MAP_NONE;
}

bool ki_session_image(const struct ki_session *session, struct ki_dot dot, struct ki_cell_image *image)
{
    const struct ki_limbo *limbo = session_limbo(session, dot);
    if (session->has_failed || !ki_context_has(&session->context, dot))
        return false;
    if (limbo) { /* what is live now under this dot would be another content */
        struct ki_reader r = ki_reader(limbo->bytes, limbo->len);
        ki_cell_decode(&r, &session->store->config.limits, image);
        return !r.bad;
    }
    uint32_t id = ki_cells_by_dot(&session->store->cells, dot);
    if (id != KI_NO_CELL)
        *image = ki_cells_image(&session->store->cells, id);
    return id != KI_NO_CELL;
}

/* A cell keeps its place while it lives, and what goes between two calls goes to limbo: from there come those whose place
 * had not been looked at yet.  So each cell of the snapshot is named once, whatever is written in between. */
enum ki_session_scanned ki_session_scan(const struct ki_session *session, struct ki_session_scan *scan,
                                        struct ki_dotted_item *out)
{
    const struct ki_cells *cells = &session->store->cells;
    if (scan->limbo < session->limbo_count) {
        const struct ki_limbo *limbo = session->limbo[scan->limbo++];
        *out = (struct ki_dotted_item){limbo->item, limbo->dot};
        return limbo->place >= scan->place ? KI_SESSION_CELL : KI_SESSION_NO_CELL;
    }
    if (scan->place >= cells->cells_used)
        return KI_SESSION_END;
    const struct ki_cell *cell = ki_cells_at(cells, scan->place);
    uint32_t id = scan->place++;
    if (cell->kind == 0)
        return KI_SESSION_NO_CELL;
    *out = (struct ki_dotted_item){cell->item, ki_cells_dot(cells, id)};
    bool was = ki_context_has(&session->context, out->dot) &&
               (session->limbo_count == 0 || !session_limbo(session, out->dot));
    return was ? KI_SESSION_CELL : KI_SESSION_NO_CELL;
}

/* ---- the difference ---- */

/* The place of a dot among the peer's items; its count: it is not there. */
static size_t session_find(const struct ki_session *session, struct ki_dot dot)
{
    size_t from = 0, to = session->peer_only_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (ki_dot_compare(session->peer_only[middle].dot, dot) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    bool found = from < session->peer_only_count && ki_dot_compare(session->peer_only[from].dot, dot) == 0;
    return found ? from : session->peer_only_count;
}

static bool session_in_order(const struct ki_dotted_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (ki_dot_compare(items[i - 1].dot, items[i].dot) >= 0)
            return false;
    }
    return true;
}

/* Live at the snapshot. */
static bool session_had(const struct ki_session *s, struct ki_dot dot)
{
    return ki_context_has(&s->context, dot) &&
           (ki_cells_by_dot(&s->store->cells, dot) != KI_NO_CELL || session_limbo(s, dot));
}

static bool session_reserve(struct ki_session *session, size_t mine_count, const struct ki_dotted_item *peer_only,
                            size_t peer_count)
{
    struct ki_mem *mem = session->store->mem;
    session->peer_only = ki_mem_copy(mem, peer_only, peer_count * sizeof *peer_only);
    session->is_expected = ki_mem_new(mem, peer_count * sizeof *session->is_expected);
    session->drops = ki_mem_resize(mem, NULL, mine_count * sizeof *session->drops);
    session->sends = ki_mem_resize(mem, NULL, mine_count * sizeof *session->sends);
    session->peer_only_count = peer_count;
    return session->peer_only && session->is_expected && session->drops && session->sends;
}

static int session_sort_mine(struct ki_session *session, const struct ki_dotted_item *mine_only, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct ki_dot dot = mine_only[i].dot;
        size_t twin = session_find(session, dot);
        if (!session_had(session, dot))
            return KI_STORE_MALFORMED; /* not ours */
        if (twin < session->peer_only_count) {
            session->damaged_count++;
            if (ki_item_less(mine_only[i].item, session->peer_only[twin].item))
                session->is_expected[twin] = true;
            else
                session->sends[session->send_count++] = dot;
        } else if (ki_context_has(&session->peer_context, dot)) {
            session->drops[session->drop_count++] = dot;
        } else {
            session->sends[session->send_count++] = dot;
        }
    }
    return 0;
}

static int session_sort_theirs(struct ki_session *session)
{
    for (size_t i = 0; i < session->peer_only_count; i++) {
        struct ki_dot dot = session->peer_only[i].dot;
        if (!ki_context_has(&session->peer_context, dot))
            return KI_STORE_MALFORMED; /* live there, and unknown there */
        session->is_expected[i] = session->is_expected[i] || !ki_context_has(&session->context, dot);
        session->expected_count += session->is_expected[i];
    }
    return 0;
}

int ki_session_learn(struct ki_session *session, const struct ki_dotted_item *mine_only, size_t mine_count,
                     const struct ki_dotted_item *peer_only, size_t peer_count, const struct ki_context *peer_context)
{
    KI_ASSERT(!session->has_learned);
    int error = KI_STORE_MEMORY;
    if (!session->has_failed && session_reserve(session, mine_count, peer_only, peer_count) &&
        ki_context_copy(&session->peer_context, peer_context))
        error = session_in_order(mine_only, mine_count) && session_in_order(peer_only, peer_count) ? 0
                                                                                                   : KI_STORE_MALFORMED;
    if (!error)
        error = session_sort_mine(session, mine_only, mine_count);
    if (!error)
        error = session_sort_theirs(session);
    if (!error) /* whatever the peer has live is in its context */
        ki_store_met(session->store, ki_context_highest(peer_context, session->store->replica));
    session->has_learned = error == 0;
    session->has_failed = session->has_failed || error != 0;
    return error;
}

/* ---- cells ---- */

bool ki_session_cell(const struct ki_session *session, size_t place, struct ki_cell_image *image)
{
    KI_ASSERT(place < session->send_count);
    return ki_session_image(session, session->sends[place], image);
}

int ki_session_receive(struct ki_session *session, uint64_t wall_ms, const struct ki_cell_image *image,
                       struct ki_item item)
{
    size_t place = session_find(session, image->dot);
    if (session->has_failed)
        return KI_STORE_MEMORY;
    if (!session->has_learned || place == session->peer_only_count ||
        !session->is_expected[place] || session->peer_only[place].item.a != item.a ||
        session->peer_only[place].item.b != item.b)
        return KI_STORE_MALFORMED;
    int error = KI_STORE_AHEAD;
    if (ki_hybrid_judge(&session->store->config.bounds, wall_ms, image->stamp) != KI_HYBRID_REFUSED)
        error = ki_context_has(&session->context, image->dot) ? ki_store_replace(session->store, image)
                                                              : ki_store_join(session->store, wall_ms, image);
    if (error) {
        session->has_failed = true; /* R21 */
        return error;
    }
    session->is_expected[place] = false;
    session->expected_count--;
    return 0;
}

/* ---- the end ---- */

bool ki_session_is_complete(const struct ki_session *session)
{
    return session->has_learned && !session->has_failed && session->expected_count == 0;
}

/* Came since the snapshot, and the peer knew it dead already. */
static void session_drop_late(struct ki_session *session)
{
    struct ki_run run;
    for (struct ki_dot at = {0, 0}; ki_context_next(&session->late, at, &run);
         at = (struct ki_dot){run.replica, run.high + 1}) {
        for (uint64_t n = run.low; n <= run.high; n++) {
            struct ki_dot dot = {run.replica, n};
            bool is_dead = ki_context_has(&session->peer_context, dot) &&
                           session_find(session, dot) == session->peer_only_count;
            if (is_dead)
                ki_store_kill(session->store, dot); /* nothing, if it has gone again */
        }
    }
}

int ki_session_finish(struct ki_session *session)
{
    struct ki_store *store = session->store;
    KI_ASSERT(ki_session_is_complete(session));
    if (!ki_context_join(&store->context, &session->peer_context))
        return KI_STORE_MEMORY;
    store->version++;
    for (size_t i = 0; i < session->drop_count; i++)
        ki_store_kill(store, session->drops[i]);
    session_drop_late(session);
    return 0;
}
