/* Suspicion timeout:  max(min, max - ln(c + 1) / ln(k + 1) * (max - min))  from the start of the suspicion, c the
 * independent confirmations so far and k those needed.
 *
 * A first accusation alone may come from a slow accuser, so it waits long; agreement makes it quick.  Confirmations
 * beyond k change nothing and are not passed on.
 *
 * A process that others are refused by, too, is gone, and waiting for confirmations would say nothing more: two rounds of
 * probes, an interval apart, end it.
 *
 * Invariants: confirmed <= needed <= KI_CONFIRMERS_MAX; the deadline never moves away as confirmations come. */
#include "swim/suspicion.h"

#include "base/ilog.h"

void ki_suspicion_start(struct ki_suspicion *s, uint64_t now_us, uint64_t min_us, uint32_t max_mult, uint32_t mult,
                        uint32_t n, uint64_t accuser_hash)
{
    uint32_t needed = mult > 2 ? mult - 2 : 0;
    if (needed > KI_CONFIRMERS_MAX)
        needed = KI_CONFIRMERS_MAX;
    if (n < 2 || n - 2 < needed)
        needed = 0;
    *s = (struct ki_suspicion){
        .start_us = now_us,
        .min_us = min_us,
        .max_us = min_us * max_mult,
        .again_us = now_us + min_us,
        .refused_us = UINT64_MAX,
        .needed = needed,
        .accuser = accuser_hash,
    };
}

bool ki_suspicion_confirm(struct ki_suspicion *s, uint64_t accuser_hash)
{
    if (s->confirmed >= s->needed || accuser_hash == s->accuser)
        return false;
    for (uint32_t i = 0; i < s->confirmed; i++) {
        if (s->confirmers[i] == accuser_hash)
            return false;
    }
    s->confirmers[s->confirmed++] = accuser_hash;
    return true;
}

bool ki_suspicion_open(struct ki_suspicion *s, uint64_t now_us)
{
    bool open = s->confirmed < s->needed || s->refused_us != UINT64_MAX;
    if (!open || s->again_us > now_us)
        return false;
    s->again_us = now_us + s->min_us;
    return true;
}

void ki_suspicion_refused(struct ki_suspicion *s, uint64_t began_us, uint64_t gap_us)
{
    if (s->refused_us == UINT64_MAX) {
        s->refused_us = began_us;
        s->again_us = began_us + gap_us;
    } else if (began_us >= s->refused_us + gap_us) {
        s->over = true;
    }
}

void ki_suspicion_answered(struct ki_suspicion *s)
{
    s->refused_us = UINT64_MAX;
    s->over = false;
}

uint64_t ki_suspicion_deadline_us(const struct ki_suspicion *s)
{
    if (s->over)
        return s->start_us;
    if (s->needed == 0)
        return s->start_us + s->min_us;
    uint64_t cut_us =
        (s->max_us - s->min_us) / 1000 * ki_ln_micro(s->confirmed + 1) / ki_ln_micro(s->needed + 1) * 1000;
    /* whole milliseconds, as memberlist floors them */
    uint64_t wait_us = (s->max_us - cut_us) / 1000 * 1000;
    return s->start_us + ki_max_u64(s->min_us, wait_us);
}
