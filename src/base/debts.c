/* A leaky bucket for each of those who ask, kept as the one time at which it is empty (the virtual scheduling of ITU-T
 * I.371): what is given moves that time on, and whoever has let it pass owes nothing and takes no room.
 *
 * So the table is as long as there are some who ask much, and is looked through each time.  When it is full, the one that
 * owes least is let off: to make room in it costs whoever wants that more than it brings.
 *
 * Invariant: each id is in the list once at most.
 * Deliberately not here: the rate, and how much debt is too much. */
#include "base/debts.h"

struct ki_debt *ki_debts_of(struct ki_debts *d, uint32_t id, uint64_t now_us)
{
    struct ki_debt *least = NULL;
    for (uint32_t i = 0; i < d->count;) {
        struct ki_debt *debt = &d->list[i];
        if (debt->id == id) {
            debt->until_us = ki_max_u64(debt->until_us, now_us);
            return debt;
        }
        if (debt->until_us <= now_us) {
            *debt = d->list[--d->count];
            continue;
        }
        if (!least || debt->until_us < least->until_us)
            least = debt;
        i++;
    }
    if (d->count < KI_DEBTS_MAX) {
        if (!ki_list_room(d->mem, (void **)&d->list, sizeof *d->list, d->count, &d->cap))
            return NULL;
        least = &d->list[d->count++];
    }
    *least = (struct ki_debt){.until_us = now_us, .id = id};
    return least;
}

void ki_debts_forget(struct ki_debts *d, uint32_t id)
{
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->list[i].id == id)
            d->list[i] = d->list[--d->count];
    }
}

void ki_debts_free(struct ki_debts *d)
{
    ki_mem_free(d->mem, d->list);
}
