/* Messages that do not fit a datagram, over links (link.h): events that somebody wants, answers to queries.
 *
 *   hello      01
 *   channels   0: a Serf message, type and body
 *
 * What waits for all links together has a limit; beyond it nothing is taken, and whoever wants it asks somebody else, so a
 * large event spreads from everyone who has it.
 *
 * Invariant: what a link sends is one message until its last byte.
 * Deliberately not here: frames, credit, sealing. */
#include "node/link.h"
#include "node/messages.h"

#define EVENT_LINK_VERSION 1
#define EVENT_LINK_WAITING_MAX 4 /* messages, as large as they may be */

struct event_parcel {
    struct event_parcel *next;
    size_t len, sent;
    uint8_t bytes[];
};

struct ki_event_link { /* owner_data; all of them are in a list, which outlives the links */
    struct ki_event_link *others;
    struct event_parcel *first, *last;
};

static struct ki_event_link *event_link_data(struct kith *k, struct ki_link *link)
{
    struct ki_event_link *data = link->owner_data[KI_LINK_EVENTS];
    if (data)
        return data;
    data = ki_mem_new(&k->mem, sizeof *data);
    if (!data)
        return NULL;
    data->others = k->messages->links;
    k->messages->links = data;
    link->owner_data[KI_LINK_EVENTS] = data;
    return data;
}

static void event_link_drop_first(struct kith *k, struct ki_event_link *data)
{
    struct event_parcel *parcel = data->first;
    data->first = parcel->next;
    if (!parcel->next)
        data->last = NULL;
    k->parcel_bytes -= parcel->len;
    ki_mem_free(&k->mem, parcel);
}

static void event_link_free(struct kith *k, struct ki_event_link *data)
{
    struct ki_event_link **at = &k->messages->links;
    while (*at != data)
        at = &(*at)->others;
    *at = data->others;
    while (data->first)
        event_link_drop_first(k, data);
    ki_mem_free(&k->mem, data);
}

void ki_event_links_free(struct kith *k)
{
    while (k->messages->links)
        event_link_free(k, k->messages->links);
}

bool ki_event_link_send(struct kith *k, uint32_t id, struct ki_span message)
{
    struct ki_link *link;
    uint64_t most = EVENT_LINK_WAITING_MAX * (uint64_t)ki_max_u64(k->cfg.event_size_max, k->cfg.response_size_max);
    if (!ki_messages(k) || k->parcel_bytes + message.len > most || ki_link_open(k, id, KI_LINK_EVENTS, &link) != 0) {
        ki_count(k, KI_COUNT_messages_unsent);
        return false;
    }
    struct ki_event_link *data = event_link_data(k, link);
    struct event_parcel *parcel = data ? ki_mem_resize(&k->mem, NULL, sizeof *parcel + message.len) : NULL;
    if (!parcel) {
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    }
    *parcel = (struct event_parcel){.len = message.len};
    memcpy(parcel->bytes, message.ptr, message.len);
    *(data->last ? &data->last->next : &data->first) = parcel;
    data->last = parcel;
    k->parcel_bytes += message.len;
    ki_link_wake(link, KI_LINK_EVENTS);
    return true;
}

static size_t event_link_poll(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more)
{
    struct ki_event_link *data = link->owner_data[KI_LINK_EVENTS];
    struct event_parcel *parcel = data ? data->first : NULL;
    if (!parcel)
        return 0;
    size_t len = ki_min_size(cap, parcel->len - parcel->sent);
    memcpy(buf, parcel->bytes + parcel->sent, len);
    *channel = 0;
    parcel->sent += len;
    *more = parcel->sent < parcel->len;
    if (!*more)
        event_link_drop_first(k, data);
    return len;
}

static void event_link_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    (void)link;
    if (channel == 0)
        (void)ki_handle_serf(k, message); /* counted, if it is malformed */
    else
        ki_count(k, KI_COUNT_unknown_serf_type); /* what later versions add */
}

static bool event_link_hello(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    (void)k, (void)link;
    ki_put_u8(w, EVENT_LINK_VERSION);
    return true;
}

static int event_link_hello_received(struct kith *k, struct ki_link *link, struct ki_span part)
{
    (void)k, (void)link;
    return part.len > 0 && part.ptr[0] >= EVENT_LINK_VERSION ? 0 : KITH_ERR_REFUSED;
}

static void event_link_closed(struct kith *k, struct ki_link *link, int error)
{
    struct ki_event_link *data = link->owner_data[KI_LINK_EVENTS];
    (void)error;
    if (data)
        event_link_free(k, data);
    link->owner_data[KI_LINK_EVENTS] = NULL;
}

/* An event and all that is around it; LIFE_MESSAGE_MAX keeps it below what links may hold. */
const struct ki_link_owner ki_event_link_owner = {.message_max = 17u << 20,
                                                  .poll = event_link_poll,
                                                  .receive = event_link_receive,
                                                  .hello = event_link_hello,
                                                  .hello_received = event_link_hello_received,
                                                  .closed = event_link_closed};
