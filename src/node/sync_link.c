/* The owner of the links' subject VIEW: messages of comparisons, in and out.
 *
 * Its part of a hello is one byte, the version of what follows.  A link may carry a comparison of either side at once.
 *
 * Deliberately not here: what a message does (sync.c, sync_merge.c).
 */
#include "node/sync.h"

#define LINK_VERSION 3

static size_t link_poll(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more)
{
    struct ki_sync_link *data = link->owner_data[KI_LINK_VIEW];
    for (unsigned i = 0; data && i < KI_SYNC_ROLES; i++) {
        struct ki_sync_run *run = &data->runs[(data->saying + i) % KI_SYNC_ROLES];
        if (run->step != KI_SYNC_SAY)
            continue;
        data->saying = (data->saying + i) % KI_SYNC_ROLES;
        size_t len = ki_min_size(cap, run->out_len - run->out_sent);
        memcpy(buf, run->out + run->out_sent, len);
        *channel = run->channel;
        run->out_sent += len;
        *more = run->out_sent < run->out_len;
        if (*more)
            return len;
        data->saying = (data->saying + 1) % KI_SYNC_ROLES;
        ki_sync_said(k, data, run);
        return len;
    }
    return 0;
}

static void link_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    struct ki_sync_link *data = ki_sync_link_data(k, link);
    bool fine = true;
    if (!data) {
        ki_link_abort(link);
        return;
    }
    switch (channel) {
    case KI_SYNC_SUMS:
        fine = ki_sync_sums_received(k, data, message);
        break;
    case KI_SYNC_ITEMS:
        fine = ki_sync_items_received(k, data, message);
        break;
    case KI_SYNC_MEMBERS:
        fine = ki_sync_members_received(k, data, message);
        break;
    case KI_SYNC_TIMES:
        fine = ki_sync_times_received(k, data, message);
        break;
    case KI_SYNC_WANTED:
        fine = ki_sync_wanted_received(k, data, message);
        break;
    case KI_SYNC_DONE:
        fine = data->runs[KI_SYNC_ASKS].step == KI_SYNC_WAIT;
        if (fine)
            ki_sync_over(k, data);
        break;
    default: /* what later versions add */
        ki_count(k, KI_COUNT_kith_refused);
    }
    if (fine)
        return;
    ki_count(k, KI_COUNT_malformed);
    ki_link_abort(link);
}

static bool link_hello(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    (void)k, (void)link;
    ki_put_u8(w, LINK_VERSION);
    return true;
}

static int link_hello_received(struct kith *k, struct ki_link *link, struct ki_span part)
{
    (void)k, (void)link;
    return part.len >= 1 && part.ptr[0] >= LINK_VERSION ? 0 : KITH_ERR_REFUSED;
}

static void link_closed(struct kith *k, struct ki_link *link, int error)
{
    struct ki_sync_link *data = link->owner_data[KI_LINK_VIEW];
    (void)error;
    link->owner_data[KI_LINK_VIEW] = NULL;
    if (data)
        ki_sync_link_closed(k, data);
}

const struct ki_link_owner ki_sync_link_owner = {.message_max = KI_SYNC_MESSAGE_MAX,
                                                 .poll = link_poll,
                                                 .receive = link_receive,
                                                 .hello = link_hello,
                                                 .hello_received = link_hello_received,
                                                 .closed = link_closed};
