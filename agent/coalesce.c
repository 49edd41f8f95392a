/* Member events as Serf's agent gives them to its users: gathered until it has been quiet for 1 s, 3 s at most, the
 * last event of each member counting, and one that repeats the member's last told event left out (but updates).
 *
 * But what happens after a quiet second is told at once, with all that the same turn of the loop brings, and only what
 * follows is gathered.  Who listens cannot tell this from Serf: its agent, if that first event had happened a second
 * earlier, would have told it by itself at this very time, and gathered the same events after it.
 *
 * Each waiting event is a copy of its member, because the member may be forgotten before it is told; the copies live
 * for those seconds only.  What was told last is one byte a member, indexed by the core's small member id.  A member
 * that is forgotten frees its id, so its byte is cleared.
 *
 * The log has every event at once, in Serf's words.  User events: coalesce_user.c. */
#include "agent/internal.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#define COALESCE_WAITS 0x80 /* an event of this member waits: most have none, and need no search */

struct coalesce_wait {
    struct coalesce_wait *next;
    enum ki_member_event event;
    struct kith_member member; /* its strings point to bytes[] */
    char bytes[];
};

struct ki_coalesce {
    struct ki_agent *agent;
    struct coalesce_wait *first, *last;
    uint64_t since_ms; /* of the first waiting event */
    uint64_t told_ms;  /* when events were told last; 0: never */
    uint8_t *told;     /* by member id: the event told last + 1, 0 for none; and COALESCE_WAITS */
    size_t told_count;
    uv_timer_t timer;
};

static const char *const coalesce_names[] = {"member-join", "member-leave", "member-failed", "member-update",
                                             "member-reap"};
static const char *const coalesce_logged[] = {"EventMemberJoin", "EventMemberLeave", "EventMemberFailed",
                                              "EventMemberUpdate", "EventMemberReap"};

const char *ki_member_event_name(enum ki_member_event event)
{
    return coalesce_names[event];
}

/* ---- telling ---- */

static uint64_t coalesce_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void coalesce_told(struct ki_coalesce *coalesce, uint32_t id, uint8_t value)
{
    if (id >= coalesce->told_count) {
        if (value == 0 || id == UINT32_MAX)
            return;
        size_t count = ki_max_u64(coalesce->told_count * 2, (uint64_t)id + 16);
        uint8_t *more = realloc(coalesce->told, count);
        if (!more)
            return; /* a repeat may be told then */
        memset(more + coalesce->told_count, 0, count - coalesce->told_count);
        coalesce->told = more;
        coalesce->told_count = count;
    }
    coalesce->told[id] = value;
}

static bool coalesce_repeats(const struct ki_coalesce *coalesce, const struct coalesce_wait *wait)
{
    uint32_t id = wait->member.id;
    return wait->event != KI_MEMBER_UPDATE && id < coalesce->told_count &&
           (coalesce->told[id] & ~COALESCE_WAITS) == (int)wait->event + 1;
}

static void coalesce_flush(struct ki_coalesce *coalesce)
{
    struct coalesce_wait *first = coalesce->first;
    size_t count = 0;
    coalesce->first = coalesce->last = NULL;
    uv_timer_stop(&coalesce->timer);
    coalesce->told_ms = coalesce_now_ms();
    for (struct coalesce_wait *wait = first; wait; wait = wait->next)
        count++;
    struct kith_member *members = count ? calloc(count, sizeof *members) : NULL;
    for (unsigned event = 0; event < KI_MEMBER_EVENT_COUNT && members; event++) {
        size_t told = 0;
        for (struct coalesce_wait *wait = first; wait; wait = wait->next) {
            if (wait->event != event)
                continue;
            bool repeats = coalesce_repeats(coalesce, wait);
            coalesce_told(coalesce, wait->member.id, (uint8_t)(event + 1));
            if (!repeats)
                members[told++] = wait->member;
        }
        if (told > 0)
            ki_watch_members(coalesce->agent, (enum ki_member_event)event, members, told);
    }
    free(members);
    while (first) {
        struct coalesce_wait *next = first->next;
        free(first);
        first = next;
    }
}

static void coalesce_due(uv_timer_t *timer)
{
    coalesce_flush(timer->data);
}

/* ---- gathering ---- */

static bool coalesce_same(struct kith_str a, struct kith_str b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* Takes the member's earlier waiting event away. */
static void coalesce_supersede(struct ki_coalesce *coalesce, const struct kith_member *member,
                               enum ki_member_event event)
{
    struct coalesce_wait *before = NULL;
    struct coalesce_wait *wait = coalesce->first;
    if (member->id < coalesce->told_count && !(coalesce->told[member->id] & COALESCE_WAITS))
        return;
    while (wait && !coalesce_same(wait->member.name, member->name)) {
        before = wait;
        wait = wait->next;
    }
    if (!wait)
        return;
    if (event == KI_MEMBER_REAP)
        coalesce_told(coalesce, wait->member.id, 0);
    *(before ? &before->next : &coalesce->first) = wait->next;
    if (coalesce->last == wait)
        coalesce->last = before;
    free(wait);
}

static void coalesce_add(struct ki_coalesce *coalesce, const struct kith_member *member, enum ki_member_event event)
{
    struct coalesce_wait *wait = malloc(sizeof *wait + member->name.len + member->meta.len);
    if (!wait)
        return;
    coalesce_supersede(coalesce, member, event);
    wait->next = NULL;
    wait->event = event;
    wait->member = *member;
    memcpy(wait->bytes, member->name.ptr, member->name.len);
    if (member->meta.len > 0)
        memcpy(wait->bytes + member->name.len, member->meta.ptr, member->meta.len);
    wait->member.name.ptr = wait->bytes;
    wait->member.meta.ptr = wait->bytes + member->name.len;
    uint64_t now_ms = coalesce_now_ms();
    if (!coalesce->first)
        coalesce->since_ms = now_ms;
    *(coalesce->last ? &coalesce->last->next : &coalesce->first) = wait;
    coalesce->last = wait;
    uint8_t told = member->id < coalesce->told_count ? coalesce->told[member->id] : 0;
    coalesce_told(coalesce, member->id, told | COALESCE_WAITS);
    bool prompt = coalesce->since_ms - coalesce->told_ms >= KI_COALESCE_QUIET_MS;
    uint64_t most_ms = coalesce->since_ms + KI_COALESCE_MOST_MS;
    uint64_t left_ms = prompt || most_ms <= now_ms ? 0 : most_ms - now_ms;
    uv_update_time(coalesce->timer.loop);
    uv_timer_start(&coalesce->timer, coalesce_due, ki_min_u64(left_ms, KI_COALESCE_QUIET_MS), 0);
}

static void coalesce_log(struct ki_agent *agent, const struct kith_member *member, enum ki_member_event event)
{
    char ip[KI_ADDR_TEXT];
    ki_addr_format_ip(&member->addr, ip);
    ki_log(agent->log, KI_LOG_INFO, "serf", "%s: %.*s %s", coalesce_logged[event], (int)member->name.len,
           member->name.ptr, ip);
}

void ki_coalesce_event(struct ki_agent *agent, const struct kith_event *event)
{
    static const struct {
        uint32_t bit;
        enum ki_member_event event;
    } steps[] = {{KITH_CHANGED_JOINED, KI_MEMBER_JOIN},
                 {KITH_CHANGED_TAGS, KI_MEMBER_UPDATE},
                 {KITH_CHANGED_FAILED, KI_MEMBER_FAILED},
                 {KITH_CHANGED_LEFT, KI_MEMBER_LEAVE},
                 {KITH_CHANGED_REAPED, KI_MEMBER_REAP}};
    /* The core says what has happened since it was last asked, not in which order.  A member that is alive now came
     * back last. */
    bool alive = event->member.status == KITH_STATUS_ALIVE || event->member.status == KITH_STATUS_LEAVING;
    bool back = alive && (event->changed & KITH_CHANGED_JOINED) &&
                (event->changed & (KITH_CHANGED_FAILED | KITH_CHANGED_LEFT));
    uint32_t changed = back ? event->changed & ~(uint32_t)KITH_CHANGED_JOINED : event->changed;
    for (size_t i = 0; i < KI_COUNT(steps); i++) {
        if (!(changed & steps[i].bit))
            continue;
        if (steps[i].event == KI_MEMBER_UPDATE && (changed & KITH_CHANGED_JOINED))
            continue; /* it came with these tags */
        coalesce_log(agent, &event->member, steps[i].event);
        coalesce_add(agent->coalesce, &event->member, steps[i].event);
    }
    if (back) {
        coalesce_log(agent, &event->member, KI_MEMBER_JOIN);
        coalesce_add(agent->coalesce, &event->member, KI_MEMBER_JOIN);
    }
}

/* ---- life ---- */

int ki_coalesce_init(struct ki_agent *agent)
{
    struct ki_coalesce *coalesce = calloc(1, sizeof *coalesce);
    if (!coalesce)
        return KITH_ERR_NOMEM;
    coalesce->agent = agent;
    coalesce->timer.data = coalesce;
    uv_timer_init(&agent->loop, &coalesce->timer);
    agent->coalesce = coalesce;
    return 0;
}

static void coalesce_closed(uv_handle_t *handle)
{
    struct ki_coalesce *coalesce = handle->data;
    struct ki_agent *agent = coalesce->agent;
    while (coalesce->first) {
        struct coalesce_wait *next = coalesce->first->next;
        free(coalesce->first);
        coalesce->first = next;
    }
    free(coalesce->told);
    free(coalesce);
    ki_agent_part_closed(agent);
}

void ki_coalesce_close(struct ki_agent *agent)
{
    if (!agent->coalesce)
        return;
    agent->closing++;
    uv_close((uv_handle_t *)&agent->coalesce->timer, coalesce_closed);
    agent->coalesce = NULL;
}
