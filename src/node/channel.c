/* kith's own messages in datagrams: from whom they are heeded, and whose they are.
 *
 * They are heeded from living members that announce _kith, at their known address, and from nobody else.  Each subject that
 * members may talk about (wire/link.h) has 16 kinds of messages.  What is to be said rides on the probes and acks that go to
 * a member anyway, or goes in a datagram of its own (KI_SEND_CHANNEL).
 *
 * Deliberately not here: what is said; links.
 */
#include "node/aggregate.h"
#include "node/folded.h"
#include "node/replica.h"
#include "wire/kith.h"
#include "wire/link.h"

#define CHANNEL_KINDS 16 /* of a subject; the highest bit of a kind is the subject's to use */

static bool channel_heeds(struct kith *k, uint32_t id)
{
    const struct ki_member *m = id == k->self ? NULL : ki_table_at(&k->table, id);
    return m && (m->state == KI_ALIVE || m->state == KI_SUSPECT) && ki_speaks_kith(m);
}

int ki_handle_kith(struct kith *k, const struct kith_addr *from, struct ki_span message)
{
    uint32_t id = ki_find_addr(k, from);
    if (!channel_heeds(k, id) || message.len == 0) {
        ki_count(k, KI_COUNT_kith_refused);
        return 0;
    }
    if ((message.ptr[0] & ~KI_KITH_FLAG) / CHANNEL_KINDS == KI_LINK_STORE)
        return ki_store_message(k, id, message);
    if (message.ptr[0] / CHANNEL_KINDS == KI_LINK_EVENTS && !k->cfg.stock)
        return ki_numbered_message(k, id, message);
    if (message.ptr[0] / CHANNEL_KINDS == KI_KITH_AGGREGATES && !k->cfg.stock)
        return ki_aggregates_message(k, id, message);
    if (message.ptr[0] / CHANNEL_KINDS == KI_KITH_FOLDS && !k->cfg.stock)
        return ki_folded_message(k, id, message);
    ki_count(k, KI_COUNT_unknown_serf_type); /* what later versions add */
    return 0;
}

void ki_channel_part(struct kith *k, uint32_t id, struct ki_writer *w)
{
    if (id != KI_NO_MEMBER && k->replica)
        ki_store_part(k, id, w);
}

void ki_channel_sent(struct kith *k, uint32_t id)
{
    if (id != KI_NO_MEMBER && k->replica)
        ki_store_sent(k, id);
}
