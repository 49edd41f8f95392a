/* Events for the application and records for the disk.
 *
 * Both are pulled and both coalesce: a member carries a mask of what has changed since it was last told, so a slow
 * reader costs no memory and sees the latest state once.  The ids of those with a mask are linked in order, each once.
 * A member that is forgotten lives on as a ghost until its last event and record are told; ghosts and other events
 * are bounded by events_max, beyond which the oldest is dropped and counted. */
#include "node/aggregate.h"
#include "node/messages.h"

void ki_standing_set(struct kith *k, uint32_t id, struct ki_standing standing)
{
    struct ki_standing *known = &ki_about(k, id)->standing;
    k->by_status[known->status]--;
    k->by_status[standing.status]++;
    *known = standing;
}

void ki_changed(struct kith *k, uint32_t id, uint8_t bits)
{
    struct ki_about *about = ki_about(k, id);
    about->changed |= bits;
    if (about->queued)
        return;
    about->queued = true;
    about->changed_next = KI_NO_MEMBER;
    *(k->changed_first == KI_NO_MEMBER ? &k->changed_first : &ki_about(k, k->changed_last)->changed_next) = id;
    k->changed_last = id;
}

/* ---- ghosts ---- */

static void event_ghost_free(struct kith *k, struct ki_ghost *ghost)
{
    ki_list_remove(&ghost->link);
    k->ghost_count--;
    ki_member_free(&k->mem, &ghost->member);
    ki_mem_free(&k->mem, ghost);
}

/* Its id may be given to another member before a claim of its name is told. */
static void event_unclaim(struct kith *k, uint32_t id)
{
    for (uint32_t i = 0; i < k->done_count; i++) {
        struct ki_done *done = &k->dones[(k->done_head + i) % k->cfg.events_max];
        if (done->kind == KITH_EVENT_CONFLICT && done->id == id)
            done->id = KI_NO_MEMBER;
    }
}

void ki_ghost_make(struct kith *k, uint32_t id)
{
    struct ki_about *about = ki_about(k, id);
    struct ki_ghost last = {.changed = about->changed | KITH_CHANGED_REAPED,
                            .status = (enum ki_status)about->standing.status,
                            .status_ltime = about->standing.ltime,
                            .event_due = true,
                            .record_due = about->recorded_alive};
    struct ki_ghost *ghost = ki_mem_new(&k->mem, sizeof *ghost);
    event_unclaim(k, id);
    k->records_due -= about->record_due;
    ki_standing_set(k, id, (struct ki_standing){.status = KI_STATUS_NONE});
    about->changed = 0; /* where it waits in the queue of events stays, for whoever has the id then */
    about->recorded_alive = about->record_due = false;
    ki_table_take(&k->table, id, &last.member);
    if (!ghost) {
        ki_member_free(&k->mem, &last.member);
        ki_count(k, KI_COUNT_events_dropped);
        return;
    }
    if (k->ghost_count >= k->cfg.events_max) {
        struct ki_ghost *oldest = KI_CONTAINER(k->ghosts.next, struct ki_ghost, link);
        if (k->shown == oldest)
            k->shown = NULL;
        event_ghost_free(k, oldest);
        ki_count(k, KI_COUNT_events_dropped);
    }
    *ghost = last;
    ki_list_push(&k->ghosts, &ghost->link);
    k->ghost_count++;
}

/* ---- events ---- */

bool ki_dones_reserve(struct kith *k)
{
    return k->dones || (k->dones = ki_mem_resize(&k->mem, NULL, k->cfg.events_max * sizeof *k->dones));
}

/* Drops the oldest claim of a name, if there is one: anybody can send those, so they must not push out the end of an
 * ask. */
static bool event_make_room(struct kith *k)
{
    uint32_t max = k->cfg.events_max;
    uint32_t at = 0;
    while (at < k->done_count && k->dones[(k->done_head + at) % max].kind != KITH_EVENT_CONFLICT)
        at++;
    if (at == k->done_count)
        return false;
    for (; at > 0; at--) /* those before it move up */
        k->dones[(k->done_head + at) % max] = k->dones[(k->done_head + at - 1) % max];
    k->done_head = (k->done_head + 1) % max;
    k->done_count--;
    return true;
}

void ki_done_event(struct kith *k, const struct ki_done *done)
{
    if (!ki_dones_reserve(k)) {
        ki_count(k, KI_COUNT_out_of_memory);
        return;
    }
    if (k->done_count == k->cfg.events_max) {
        ki_count(k, KI_COUNT_events_dropped);
        if (!event_make_room(k) && done->kind == KITH_EVENT_CONFLICT)
            return;
    }
    if (k->done_count == k->cfg.events_max) {
        k->done_head = (k->done_head + 1) % k->cfg.events_max;
        k->done_count--;
    }
    k->dones[(k->done_head + k->done_count++) % k->cfg.events_max] = *done;
}

/* The ghost whose strings the caller has borrowed so far is let go when nothing more is due of it. */
static void event_release_shown(struct kith *k)
{
    if (k->shown && !k->shown->event_due && !k->shown->record_due)
        event_ghost_free(k, k->shown);
    k->shown = NULL;
}

static bool event_poll_ghost(struct kith *k, struct kith_event *out)
{
    for (struct ki_list *at = k->ghosts.next; at != &k->ghosts; at = at->next) {
        struct ki_ghost *ghost = KI_CONTAINER(at, struct ki_ghost, link);
        if (!ghost->event_due)
            continue;
        struct ki_standing standing = {.ltime = ghost->status_ltime, .status = (uint8_t)ghost->status};
        *out = (struct kith_event){.kind = KITH_EVENT_MEMBER, .changed = ghost->changed};
        ki_view(k, &ghost->member, &standing, KI_NO_MEMBER, &out->member);
        ghost->event_due = false;
        k->shown = ghost;
        return true;
    }
    return false;
}

static bool event_poll_changed(struct kith *k, struct kith_event *out)
{
    while (k->changed_first != KI_NO_MEMBER) {
        uint32_t id = k->changed_first;
        struct ki_about *about = ki_about(k, id);
        uint8_t changed = about->changed;
        k->changed_first = about->changed_next;
        about->changed = 0;
        about->queued = false;
        if (changed == 0)
            continue; /* it was forgotten, and its ghost has told so */
        *out = (struct kith_event){.kind = KITH_EVENT_MEMBER, .changed = changed};
        ki_view(k, ki_table_at(&k->table, id), &about->standing, id, &out->member);
        return true;
    }
    return false;
}

static bool event_poll_done(struct kith *k, struct kith_event *out)
{
    while (k->done_count > 0) {
        struct ki_done done = k->dones[k->done_head];
        k->done_head = (k->done_head + 1) % k->cfg.events_max;
        k->done_count--;
        *out = (struct kith_event){.kind = done.kind,
                                   .other = done.other,
                                   .ticket = done.ticket,
                                   .result = done.result,
                                   .count = done.count};
        if (done.kind == KITH_EVENT_DONE)
            return true;
        const struct ki_member *m = ki_table_at(&k->table, done.id);
        if (!m)
            continue; /* forgotten meanwhile: nobody's name is contested */
        ki_view(k, m, &ki_about(k, done.id)->standing, done.id, &out->member);
        return true;
    }
    return false;
}

bool kith_poll_event(struct kith *k, struct kith_event *out)
{
    event_release_shown(k);
    if (event_poll_ghost(k, out)) /* first: a member of the same name that lives now came after it */
        return true;
    return event_poll_changed(k, out) || ki_message_poll(k, out) || event_poll_done(k, out) || ki_watches_poll(k, out);
}

/* ---- records ---- */

/* Notes that what the disk says of a member is no longer so.  Serf's snapshot holds who is alive. */
void ki_record_status(struct kith *k, uint32_t id)
{
    struct ki_about *about = ki_about(k, id);
    bool alive = about->standing.status == KI_STATUS_ALIVE || about->standing.status == KI_STATUS_LEAVING;
    bool due = alive != about->recorded_alive && id != k->self;
    if (due != about->record_due)
        k->records_due += due ? 1 : UINT32_MAX; /* plus or minus one */
    about->record_due = due;
    if (due && id < k->record_cursor)
        k->record_cursor = id;
}

static bool event_record_ghost(struct kith *k, struct kith_record *out)
{
    for (struct ki_list *at = k->ghosts.next; at != &k->ghosts; at = at->next) {
        struct ki_ghost *ghost = KI_CONTAINER(at, struct ki_ghost, link);
        if (!ghost->record_due)
            continue;
        struct ki_span name = ki_member_name(&ghost->member);
        *out = (struct kith_record){.kind = KITH_RECORD_GONE, .name = {(const char *)name.ptr, name.len}};
        ghost->record_due = false;
        k->shown = ghost;
        return true;
    }
    return false;
}

static bool event_record_member(struct kith *k, struct kith_record *out)
{
    for (; k->records_due > 0 && k->record_cursor < k->table.used; k->record_cursor++) {
        struct ki_about *about = ki_about(k, k->record_cursor);
        const struct ki_member *m = ki_table_at(&k->table, k->record_cursor);
        if (!m || !about->record_due)
            continue;
        struct ki_span name = ki_member_name(m);
        about->record_due = false;
        about->recorded_alive = !about->recorded_alive;
        k->records_due--;
        *out = (struct kith_record){.kind = about->recorded_alive ? KITH_RECORD_MEMBER : KITH_RECORD_GONE,
                                    .name = {(const char *)name.ptr, name.len},
                                    .addr = ki_addr_of(m)};
        return true;
    }
    k->record_cursor = 0;
    return false;
}

static bool event_record_number(struct kith_record *out, enum kith_record_kind kind, uint64_t value, uint64_t *last)
{
    if (value == *last)
        return false;
    *last = value;
    *out = (struct kith_record){.kind = kind, .value = value};
    return true;
}

static bool event_record_numbers(struct kith *k, struct kith_record *out)
{
    uint64_t incarnation = k->recorded_incarnation;
    if (event_record_number(out, KITH_RECORD_INCARNATION, k->incarnation, &incarnation)) {
        k->recorded_incarnation = (uint32_t)incarnation;
        return true;
    }
    return event_record_number(out, KITH_RECORD_CLOCK, k->clock.time - 1, &k->recorded_clock) ||
           event_record_number(out, KITH_RECORD_EVENT_CLOCK, k->event_clock.time - 1, &k->recorded_event_clock) ||
           event_record_number(out, KITH_RECORD_QUERY_CLOCK, k->query_clock.time - 1, &k->recorded_query_clock);
}

bool kith_poll_record(struct kith *k, struct kith_record *out)
{
    event_release_shown(k);
    if (k->life == KI_LIFE_LOADING)
        return false;
    bool any = event_record_ghost(k, out) || event_record_member(k, out) || event_record_numbers(k, out);
    if (!any && k->left_record_due) {
        k->left_record_due = false;
        *out = (struct kith_record){.kind = KITH_RECORD_LEFT};
        any = true;
    }
    if (any) {
        k->record_group_open = true;
        return true;
    }
    if (!k->record_group_open)
        return false;
    k->record_group_open = false;
    *out = (struct kith_record){.kind = KITH_RECORD_COMMIT, .value = ++k->record_seq};
    return true;
}

void kith_durable(struct kith *k, struct kith_time now, uint64_t seq, int error)
{
    ki_input(k, now);
    (void)seq; /* groups are idempotent: nothing waits for one of them */
    if (!error)
        return;
    k->recorded_clock = k->recorded_event_clock = k->recorded_query_clock = 0;
    k->recorded_incarnation = 0;
    k->left_record_due = k->life == KI_LIFE_LEFT;
    for (uint32_t id = 0; id < k->table.used; id++) {
        if (!ki_table_at(&k->table, id))
            continue;
        /* as if the disk said the opposite: what is gone may stand there as alive */
        uint8_t status = ki_about(k, id)->standing.status;
        ki_about(k, id)->recorded_alive = status != KI_STATUS_ALIVE && status != KI_STATUS_LEAVING;
        ki_record_status(k, id);
    }
}

void ki_events_free(struct kith *k)
{
    while (!ki_list_empty(&k->ghosts))
        event_ghost_free(k, KI_CONTAINER(k->ghosts.next, struct ki_ghost, link));
    ki_mem_free(&k->mem, k->dones);
    ki_chunks_free(&k->about, &k->mem);
}
