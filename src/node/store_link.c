/* Stores over links: the hello, the secret, large deltas, and the way for repairs.
 *
 * The secret makes digests that no writer can choose, so all that compare need the same one, and nobody else may have it.
 * It goes over links alone, which are sealed when the pool is.  The first two nodes that meet make one; of two secrets the
 * smaller wins, and sketches are made anew.
 *
 *   hello      01 | replica id 8 | 1 with a secret, else 0 | secret 32, if so
 *   channels   0: a delta    1: a message of a repair    2: a secret, 32 bytes    3: a delta, if the one before it was taken
 *
 * A delta that does not fit a datagram is kept once and sent over the links of all that are to have it.
 *
 * Invariant: what a link sends is one message until its last byte, whatever else is waiting.
 * Deliberately not here: frames, credit, sealing (link.h).
 */
#include "node/store_link.h"

#include "store/delta.h"

#define LINK_HELLO_VERSION 1
#define LINK_HELLO_LEN (1 + 8 + 1 + KI_ROW_SECRET_LEN)
#define LINK_SKETCH_CELLS 4096         /* kept up to date with each change: about 2,900 differences */
#define LINK_SECRET_GAP_US 1000000     /* between two tries to get a secret, and as much again at random */
#define LINK_LARGE_MAX (32u << 20)     /* bytes of large deltas waiting; what is larger is found by repairs */
#define LINK_REPAIR_MAX 16384

enum { LINK_DELTA, LINK_REPAIR, LINK_SECRET, LINK_MORE };

/* ---- beside a link ---- */

static struct ki_store_link *link_data(struct kith *k, struct ki_link *link)
{
    struct ki_store_link *data = link->owner_data[KI_LINK_STORE];
    if (data)
        return data;
    data = ki_mem_new(&k->replica->mem, sizeof *data);
    if (!data) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    data->link = link;
    data->others = k->replica->links;
    k->replica->links = data;
    link->owner_data[KI_LINK_STORE] = data;
    return data;
}

static void link_let_go(struct ki_replica *r, struct ki_large *large)
{
    if (--large->uses > 0)
        return;
    r->large_bytes -= large->len;
    ki_mem_free(&r->mem, large);
}

static void link_drop_first(struct ki_replica *r, struct ki_store_link *data)
{
    struct ki_large_place *place = data->first;
    data->first = place->next;
    if (!place->next)
        data->last = NULL;
    link_let_go(r, place->large);
    ki_mem_free(&r->mem, place);
}

static void link_data_free(struct ki_replica *r, struct ki_store_link *data)
{
    struct ki_store_link **at = &r->links;
    while (*at != data)
        at = &(*at)->others;
    *at = data->others;
    while (data->first)
        link_drop_first(r, data);
    ki_mem_free(&r->mem, data->repair);
    ki_mem_free(&r->mem, data);
}

void ki_store_links_free(struct kith *k)
{
    while (k->replica->links)
        link_data_free(k->replica, k->replica->links);
}

static struct ki_peer *link_peer(struct kith *k, const struct ki_link *link)
{
    return link->member_id == KI_NO_MEMBER ? NULL : ki_peer_of(k, link->member_id);
}

/* ---- the secret ---- */

static void link_owe_secret(struct kith *k, struct ki_link *link)
{
    struct ki_store_link *data = link_data(k, link);
    if (!data)
        return;
    data->owes_secret = true;
    ki_link_wake(link, KI_LINK_STORE);
}

/* False: memory is out, and it is as it was. */
static bool secret_use(struct kith *k, const uint8_t secret[KI_ROW_SECRET_LEN])
{
    struct ki_replica *r = k->replica;
    ki_repairs_end(k); /* they compare by the old one */
    if (!ki_compare_begin(&r->store, secret, LINK_SKETCH_CELLS)) {
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    }
    memcpy(r->rows.secret, secret, KI_ROW_SECRET_LEN);
    r->rows.has_secret = true;
    r->has_root = r->shown.has_root = r->coming.has_root = false;
    r->store.version++; /* the disk is to have it, too */
    for (struct ki_store_link *data = r->links; data; data = data->others)
        link_owe_secret(k, data->link);
    return true;
}

bool ki_secret_take(struct kith *k, const uint8_t secret[KI_ROW_SECRET_LEN])
{
    const struct ki_rows *rows = &k->replica->rows;
    if (rows->has_secret && memcmp(rows->secret, secret, KI_ROW_SECRET_LEN) <= 0)
        return true;
    return secret_use(k, secret);
}

bool ki_secret_loaded(struct kith *k)
{
    struct ki_replica *r = k->replica;
    return !r->rows.has_secret || ki_compare_begin(&r->store, r->rows.secret, LINK_SKETCH_CELLS);
}

void ki_secret_tell(struct kith *k, uint32_t id)
{
    struct ki_link *link;
    if (ki_link_open(k, id, KI_LINK_STORE, &link) == 0 && ki_link_is_open(link, KI_LINK_STORE))
        link_owe_secret(k, link); /* else the hello tells it */
}

void ki_secret_tick(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (r->rows.has_secret || r->peer_count == 0 || k->now.mono_us < r->secret_us)
        return;
    struct ki_link *link;
    r->secret_us = k->now.mono_us + LINK_SECRET_GAP_US + ki_rng_below(&k->rng, LINK_SECRET_GAP_US);
    (void)ki_link_open(k, r->peers[ki_rng_below(&k->rng, r->peer_count)]->id, KI_LINK_STORE, &link);
}

uint64_t ki_secret_deadline(const struct kith *k)
{
    const struct ki_replica *r = k->replica;
    return r->rows.has_secret || r->peer_count == 0 ? KITH_NEVER : r->secret_us;
}

/* ---- hello ---- */

/* Nothing for a member that has no store: the secret is not for it. */
static bool link_hello(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    const struct ki_replica *r = k->replica;
    if (!link_peer(k, link))
        return false;
    ki_put_u8(w, LINK_HELLO_VERSION);
    ki_put_be(w, r->store.replica, 8);
    ki_put_u8(w, r->rows.has_secret);
    if (r->rows.has_secret)
        ki_put(w, r->rows.secret, KI_ROW_SECRET_LEN);
    return true;
}

static int link_hello_received(struct kith *k, struct ki_link *link, struct ki_span payload)
{
    struct ki_replica *r = k->replica;
    struct ki_reader reader = ki_reader(payload.ptr, payload.len);
    struct ki_peer *peer = r->is_ready && !r->in_group ? link_peer(k, link) : NULL;
    uint64_t version = ki_take_be(&reader, 1), replica = ki_take_be(&reader, 8), has_secret = ki_take_be(&reader, 1);
    const uint8_t *secret = has_secret ? ki_take(&reader, KI_ROW_SECRET_LEN) : NULL;
    if (!peer || reader.bad || version < LINK_HELLO_VERSION)
        return KITH_ERR_REFUSED;
    ki_peer_is(k, peer, replica);
    if (link->is_dialler && r->store.cells.cell_count == 0)
        peer->ask_us = k->now.mono_us; /* who has nothing need not wait for the next probe */
    uint8_t made[KI_ROW_SECRET_LEN];
    if (!secret && !r->rows.has_secret && !link->is_dialler) { /* who is dialled has to make one */
        ki_crng_fill(&k->crng, made, sizeof made);
        secret = made;
    }
    if (secret && !ki_secret_take(k, secret))
        return KITH_ERR_NOMEM;
    return link_data(k, link) ? 0 : KITH_ERR_NOMEM; /* at the end: a link that we refuse is freed without a word */
}

/* ---- out ---- */

static bool link_next_out(struct kith *k, struct ki_link *link, struct ki_store_link *data, uint8_t *channel)
{
    struct ki_replica *r = k->replica;
    data->out_sent = 0;
    if (data->owes_secret) {
        data->owes_secret = false;
        memcpy(data->secret, r->rows.secret, sizeof data->secret);
        data->out = data->secret;
        data->out_len = sizeof data->secret;
        *channel = LINK_SECRET;
        return r->rows.has_secret;
    }
    if (data->first && data->first->large->seq <= r->rows.durable) {
        data->out = data->first->large->bytes;
        data->out_len = data->first->large->len;
        data->out_is_large = true;
        *channel = data->first->large->is_more ? LINK_MORE : LINK_DELTA;
        return true;
    }
    if (!data->repair && !(data->repair = ki_mem_resize(&r->mem, NULL, LINK_REPAIR_MAX)))
        return false;
    *channel = LINK_REPAIR;
    data->out = data->repair;
    return ki_repair_poll_link(k, link, data->repair, LINK_REPAIR_MAX, &data->out_len);
}

static size_t link_poll(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more)
{
    struct ki_store_link *data = link_data(k, link);
    if (!data)
        return 0;
    if (!data->out && !link_next_out(k, link, data, channel)) {
        data->out = NULL;
        return 0;
    }
    size_t len = ki_min_size(cap, data->out_len - data->out_sent);
    memcpy(buf, data->out + data->out_sent, len);
    data->out_sent += len;
    *more = data->out_sent < data->out_len;
    if (*more)
        return len;
    data->out = NULL;
    if (data->out_is_large)
        link_drop_first(k->replica, data);
    data->out_is_large = false;
    return len;
}

uint32_t ki_large_send(struct kith *k, struct ki_large *large, uint32_t *targets, uint32_t count)
{
    struct ki_replica *r = k->replica;
    uint32_t sent = 0;
    large->uses = 1;
    r->large_bytes += large->len;
    for (uint32_t i = 0; i < count; i++) {
        struct ki_link *link = NULL;
        bool fits = ki_link_open(k, targets[i], KI_LINK_STORE, &link) == 0;
        struct ki_store_link *data = fits ? link_data(k, link) : NULL;
        struct ki_large_place *place = data ? ki_mem_new(&r->mem, sizeof *place) : NULL;
        if (!place) {
            ki_count(k, KI_COUNT_pushes_dropped);
            continue;
        }
        place->large = large;
        large->uses++;
        if (data->last)
            data->last->next = place;
        else
            data->first = place;
        data->last = place;
        ki_link_wake(link, KI_LINK_STORE);
        ki_count(k, KI_COUNT_pushes_out);
        targets[sent++] = targets[i];
    }
    link_let_go(r, large);
    return sent;
}

struct ki_large *ki_large_new(struct kith *k, size_t len)
{
    struct ki_replica *r = k->replica;
    struct ki_large *large =
        r->large_bytes + len <= LINK_LARGE_MAX ? ki_mem_resize(&r->mem, NULL, sizeof *large + len) : NULL;
    if (large)
        *large = (struct ki_large){.len = len};
    else
        ki_count(k, KI_COUNT_pushes_dropped);
    return large;
}

void ki_large_wake(struct kith *k)
{
    for (struct ki_store_link *data = k->replica->links; data; data = data->others) {
        if (data->first)
            ki_link_wake(data->link, KI_LINK_STORE);
    }
}

/* ---- in ---- */

/* Without the cells of a part that we have no room for, say, what they replaced must stay. */
static void link_delta(struct kith *k, struct ki_link *link, struct ki_peer *peer, bool is_more, struct ki_span message)
{
    struct ki_store_link *data = link_data(k, link);
    bool goes_on = !is_more && k->replica->peer_count > KI_PUSH_DIRECT_MAX;
    if (!data || (is_more && !data->took_last)) {
        ki_count(k, KI_COUNT_deltas_refused);
        return;
    }
    data->took_last = peer && ki_push_receive(k, peer, goes_on ? KI_KITH_DELTA_ON : KI_KITH_DELTA, message) == 0;
}

static void link_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    struct ki_peer *peer = k->replica->in_group ? NULL : link_peer(k, link);
    if (channel == LINK_DELTA || channel == LINK_MORE) {
        link_delta(k, link, peer, channel == LINK_MORE, message);
        return;
    }
    if (!peer)
        return;
    switch (channel) {
    case LINK_REPAIR:
        ki_repair_message(k, peer, link, message);
        return;
    case LINK_SECRET:
        if (message.len != KI_ROW_SECRET_LEN)
            ki_count(k, KI_COUNT_malformed);
        else if (ki_secret_take(k, message.ptr) && memcmp(k->replica->rows.secret, message.ptr, message.len) != 0)
            link_owe_secret(k, link); /* ours is smaller */
        return;
    default: /* what later versions add */
        ki_count(k, KI_COUNT_kith_refused);
    }
}

static void link_closed(struct kith *k, struct ki_link *link, int error)
{
    (void)error;
    ki_repairs_link_closed(k, link);
    if (link->owner_data[KI_LINK_STORE])
        link_data_free(k->replica, link->owner_data[KI_LINK_STORE]);
    link->owner_data[KI_LINK_STORE] = NULL;
}

const struct ki_link_owner ki_store_link_owner = {.message_max = LINK_LARGE_MAX,
                                                  .poll = link_poll,
                                                  .receive = link_receive,
                                                  .hello = link_hello,
                                                  .hello_received = link_hello_received,
                                                  .closed = link_closed};
