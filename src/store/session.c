/* Sessions: how two replicas come to know what both knew, without tombstones (R16 to R21).  Here is the snapshot.
 *
 * What a side sends and claims is one past state of its replica, the snapshot.  It costs a copy of the context, and no copy
 * of the cells: a dot of that context whose cell is live was live then, since nothing dead comes back.  What the snapshot
 * had and the store has retired or replaced since lies in limbo, a copy each, until the session ends; when it is known what
 * the peer needs, no more than that is kept.
 *
 * The store tells each open session what becomes live and what is about to go.
 *
 * Invariant: a session that has not failed can give each cell of its snapshot; once it has sorted, each that the peer lacks.
 * Deliberately not here: what follows from the difference (session_runs.c), how that is found, what travels, when a session
 * begins.
 */
#include "store/session.h"

#include "base/hash.h"
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

enum { SESSION_CONTEXTS = 10 };

static void session_contexts(struct ki_session *s, struct ki_context *all[SESSION_CONTEXTS])
{
    struct ki_session_runs *runs = &s->runs;
    struct ki_context *const each[SESSION_CONTEXTS] = {&s->context, &s->peer_context, &s->late,  &runs->mine,
                                                       &runs->theirs, &runs->give,    &runs->gone, &runs->expected,
                                                       &runs->twins,  &runs->twins_came};
    memcpy(all, each, sizeof each);
}

bool ki_session_open(struct ki_session *session, struct ki_store *store, const struct ki_session_limits *limits)
{
    *session = (struct ki_session){.store = store, .limits = *limits};
    struct ki_context *all[SESSION_CONTEXTS];
    session_contexts(session, all);
    for (size_t i = 0; i < KI_COUNT(all); i++)
        ki_context_init(all[i], store->mem);
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
    struct ki_context *all[SESSION_CONTEXTS];
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    for (uint32_t i = 0; i < session->limbo_count; i++)
        ki_mem_free(mem, session->limbo[i]);
    ki_mem_free(mem, session->limbo);
    ki_map_free(&session->limbo_by_dot);
    ki_map_free(&session->limbo_by_item);
    session_contexts(session, all);
    for (size_t i = 0; i < KI_COUNT(all); i++)
        ki_context_free(all[i]);
    *session = (struct ki_session){.has_failed = true};
}

/* ---- asking ---- */

bool ki_session_dot(const struct ki_session *session, struct ki_item item, struct ki_dot *dot)
{
    uint32_t id = ki_cells_by_item(&session->store->cells, item);
    if (id != KI_NO_CELL) {
        *dot = ki_cells_dot(&session->store->cells, id);
        return ki_context_has(&session->context, *dot) && !session_limbo(session, *dot); /* else it is a twin that came */
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

/* ---- walking ---- */

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
