/* The status machine.  Whether a member that is down has left or failed, the leave intent decides that came before;
 * or, where Serf would call it failed until the intent arrives, its own death notice.
 *
 *            up                    leave intent            down, gone
 *   NONE ---------> ALIVE  --------------------> LEAVING -------------> LEFT
 *                    | |<----- join intent --------'                    ^ ^
 *                    | '-------------------- gone ----------------------' |
 *                    '------ down ----> FAILED ----- leave intent --------'
 *   and from LEFT or FAILED an `up` leads back to ALIVE.
 *
 * An intent not newer than the newest heeded one changes nothing.  A heeded intent always advances the Lamport time,
 * even when the status stays: otherwise two intents about one member are passed on for ever. */
#include "serf/status.h"

static struct ki_status_result status_up(struct ki_standing *s)
{
    bool back = s->status != KI_STATUS_ALIVE;
    s->status = KI_STATUS_ALIVE;
    s->returning = false;
    s->since_s = 0;
    return (struct ki_status_result){.change = back ? KI_CHANGE_JOINED : KI_CHANGE_NONE};
}

static struct ki_status_result status_down(struct ki_standing *s, bool gone, uint32_t now_s)
{
    struct ki_status_result result = {.change = KI_CHANGE_NONE};
    if (s->status == KI_STATUS_ALIVE && !gone) {
        s->status = KI_STATUS_FAILED;
        result.change = KI_CHANGE_FAILED;
    } else if (s->status == KI_STATUS_LEAVING || s->status == KI_STATUS_ALIVE) {
        s->status = KI_STATUS_LEFT;
        result.change = KI_CHANGE_LEFT;
    } else {
        return result;
    }
    s->since_s = now_s;
    return result;
}

static struct ki_status_result status_leave_intent(struct ki_standing *s, uint32_t now_s)
{
    struct ki_status_result result = {.change = KI_CHANGE_NONE, .heeded = true};
    s->returning = false;
    if (s->status == KI_STATUS_ALIVE) {
        s->status = KI_STATUS_LEAVING;
        s->since_s = now_s;
        result.change = KI_CHANGE_LEAVING;
    } else if (s->status == KI_STATUS_FAILED) {
        s->status = KI_STATUS_LEFT;
        s->since_s = now_s;
        result.change = KI_CHANGE_LEFT;
    }
    return result;
}

/* The change is told: who listens to events has heard that it is leaving, and would hold it so for ever. */
static struct ki_status_result status_join_intent(struct ki_standing *s)
{
    bool stays = s->status == KI_STATUS_LEAVING;
    if (stays)
        s->status = KI_STATUS_ALIVE;
    s->returning = s->status == KI_STATUS_LEFT || s->status == KI_STATUS_FAILED;
    return (struct ki_status_result){.change = stays ? KI_CHANGE_LEAVING : KI_CHANGE_NONE, .heeded = true};
}

struct ki_status_result ki_status_step(struct ki_standing *s, enum ki_status_input input, uint64_t ltime,
                                       uint32_t now_s)
{
    struct ki_status_result none = {.change = KI_CHANGE_NONE};
    bool intent = input == KI_STATUS_JOIN_INTENT || input == KI_STATUS_LEAVE_INTENT;
    if (intent && ltime <= s->ltime)
        return none;
    if (intent)
        s->ltime = ltime;
    switch (input) {
    case KI_STATUS_UP:
        return status_up(s);
    case KI_STATUS_DOWN:
    case KI_STATUS_GONE:
        return status_down(s, input == KI_STATUS_GONE, now_s);
    case KI_STATUS_LEAVE_INTENT:
        return status_leave_intent(s, now_s);
    case KI_STATUS_JOIN_INTENT:
        return status_join_intent(s);
    }
    KI_UNREACHABLE();
}
