/* The probe round as a pure state machine: the caller knows the target, the sequence number and the helpers, and
 * sends what the step returns.
 *
 *   IDLE --start/ping--> DIRECT --time or refused/ask--> INDIRECT --time/suspect--> IDLE
 *                          '------ ack/alive --------------'-------- ack/alive ---> IDLE
 *                                                           '------ agreed/gone --> IDLE
 *
 * A refusal is not yet a verdict: the process may be restarting, and helpers may reach another address family.  When
 * helpers are refused too, there is nobody left to wait for. */
#include "swim/probe.h"

void ki_probe_init(struct ki_probe *p)
{
    *p = (struct ki_probe){.state = KI_PROBE_IDLE, .deadline_us = UINT64_MAX};
}

static enum ki_probe_act probe_end(struct ki_probe *p, enum ki_probe_act verdict)
{
    p->state = KI_PROBE_IDLE;
    p->deadline_us = UINT64_MAX;
    return verdict;
}

static enum ki_probe_act probe_ask(struct ki_probe *p, uint64_t now_us)
{
    p->state = KI_PROBE_INDIRECT;
    p->deadline_us = ki_max_u64(p->started_us + p->interval_us, now_us + p->help_us);
    return KI_PROBE_ASK;
}

enum ki_probe_act ki_probe_step(struct ki_probe *p, enum ki_probe_input input, uint64_t now_us)
{
    switch (input) {
    case KI_PROBE_START:
        KI_ASSERT(p->state == KI_PROBE_IDLE && p->timeout_us < p->interval_us);
        p->state = KI_PROBE_DIRECT;
        p->started_us = now_us;
        p->deadline_us = now_us + p->timeout_us;
        return KI_PROBE_PING;
    case KI_PROBE_ACK:
        return p->state == KI_PROBE_IDLE ? KI_PROBE_NOTHING : probe_end(p, KI_PROBE_ALIVE);
    case KI_PROBE_REFUSED:
        return p->state == KI_PROBE_DIRECT ? probe_ask(p, now_us) : KI_PROBE_NOTHING;
    case KI_PROBE_AGREED:
        return p->state == KI_PROBE_INDIRECT ? probe_end(p, KI_PROBE_GONE) : KI_PROBE_NOTHING;
    case KI_PROBE_TIME:
        if (now_us < p->deadline_us)
            return KI_PROBE_NOTHING;
        return p->state == KI_PROBE_DIRECT ? probe_ask(p, now_us) : probe_end(p, KI_PROBE_SUSPECT);
    }
    KI_UNREACHABLE();
}
