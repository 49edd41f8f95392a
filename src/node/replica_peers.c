/* Who else holds the store, and what they are known to hold.
 *
 * A replica id is one life of a node's data: what it was known to hold says nothing of the next one.
 *
 * Deliberately not here: how that becomes known.
 */
#include "node/replica.h"

int kith_store_wait(struct kith *k, struct kith_time now, uint32_t members, uint32_t timeout_ms, kith_ticket *ticket)
{
    ki_input(k, now);
    if (!k->replica || !k->replica->is_ready || !ki_active(k))
        return KITH_ERR_STATE;
    struct ki_ask *ask;
    int error = ki_ask_new(k, KI_ASK_WAIT, !ticket, &ask);
    if (error)
        return error;
    ask->deadline_us = timeout_ms ? k->now.mono_us + (uint64_t)timeout_ms * 1000 : KITH_NEVER;
    if (ticket)
        *ticket = ask->ticket;
    if (members == 0)
        ki_ask_end(k, ask, 0, 0);
    return 0;
}

bool kith_next_holder(struct kith *k, struct kith_time now, struct kith_str key, uint64_t *cursor, struct kith_holder *out)
{
    if (*cursor != 0 || kith_type_of(k, now, key) == KITH_TYPE_NONE)
        return false;
    *cursor = 1;
    *out = (struct kith_holder){.replica = k->replica->store.replica, .member = k->cfg.name, .is_self = true};
    return true;
}

bool kith_next_store_peer(const struct kith *k, uint32_t *cursor, struct kith_store_peer *out)
{
    (void)k;
    (void)cursor;
    (void)out;
    return false;
}

int kith_import_row(struct kith *k, struct kith_time now, const struct kith_row *row)
{
    (void)k;
    (void)now;
    (void)row;
    return KITH_ERR_STATE;
}
