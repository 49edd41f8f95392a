/* Comparing views.  The first byte chooses:
 *
 *   0..3  a message's bytes, decoded: sums, items, members behind clocks; what decodes is whole and within its limits
 *   *     a living instance in a pool of a few, whose link to a kith member says what the other bytes are: messages, each
 *         a channel, a length in one byte (255: 1,000) and bytes; channel 15: the instance compares with that member, 14:
 *         10 ms pass (64 set in the first byte: memory fails 16 times, from the second byte's allocation on; 32: what is
 *         said as items has names of ours, and is in order)
 *
 * Whatever comes, the view's invariants hold, no run holds more than it may, and all ends with the link. */
#include "fuzz/live.h"
#include "node/sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sync_decode(unsigned what, struct ki_span in)
{
    struct ki_sync_sums sums;
    struct ki_sync_items items;
    struct ki_sync_clocks clocks;
    struct ki_sync_member member;
    struct ki_reader r = ki_reader(in.ptr, in.len);
    if (what == 0 && ki_decode_sync_sums(in, &sums))
        LONE_CHECK(sums.sums + ((size_t)sums.lists << sums.bits) * 8 == in.ptr + in.len && sums.lists >= 1);
    if (what == 1 && ki_decode_sync_items(in, &items)) {
        LONE_CHECK(items.items + (size_t)items.count * KI_SYNC_ITEM_LEN == in.ptr + in.len);
        LONE_CHECK(items.count <= KI_SYNC_ITEMS_MAX);
        for (unsigned i = 0; i < 1u << KI_SYNC_BITS_MAX; i++)
            (void)ki_sync_differs(&items, i % 2, i);
    }
    if (what == 2 && ki_decode_sync_clocks(&r, &clocks)) {
        while (r.left > 0 && ki_decode_sync_member(&r, &member)) {
            uint8_t out[2048];
            struct ki_pack p = ki_pack(out, sizeof out, false);
            ki_encode_sync_member(&p, &member);
            struct ki_sync_member again;
            struct ki_reader back = ki_reader(out, p.w.len);
            LONE_CHECK(p.w.full || (ki_decode_sync_member(&back, &again) && back.left == 0 && again.ltime == member.ltime));
        }
    }
}

static void sync_pump(struct live *l)
{
    uint8_t buf[4096];
    struct kith_stream_action action;
    size_t len;
    for (unsigned turns = 0; turns == 0 || kith_deadline(l->k) <= l->now.mono_us; turns++) {
        LONE_CHECK(turns < 10000);
        kith_tick(l->k, l->now);
        while (kith_poll_stream(l->k, &action)) {
            if (action.kind == KITH_STREAM_OPEN)
                kith_stream_failed(l->k, l->now, action.id, KITH_ERR_REFUSED);
            while (action.kind == KITH_STREAM_WRITE &&
                   kith_stream_write(l->k, l->now, action.id, buf, sizeof buf, &len) == 0 && len > 0)
                LONE_CHECK(len <= sizeof buf);
        }
        live_drain(l);
    }
}

static struct ki_link *sync_link(struct live *l, uint32_t *id)
{
    uint8_t buf[KI_LINK_OPENING_MAX];
    struct kith_addr from = lone_addr(4, 999);
    struct ki_link_hello hello = {.version_min = 1, .version_max = 1, .credit = 1 << 20, .name = lone_span("peer"),
                                  .payload = ki_span("\2\0\1\3", 4)};
    size_t taken;
    if (kith_stream_accept(l->k, l->now, &from, id) != 0)
        return NULL;
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_link_opening(&p, &hello);
    kith_stream_bytes(l->k, l->now, *id, buf, p.w.len, &taken);
    sync_pump(l);
    struct ki_list *first = l->k->streams.next;
    return first == &l->k->streams ? NULL : KI_CONTAINER(first, struct ki_stream, link)->carries;
}

static int sync_order(const void *a, const void *b)
{
    return memcmp(a, b, 4);
}

/* Bytes that stand for names get ones of ours, by the salt of the run that is under way; in order, or all were malformed. */
static void sync_names(const struct live *l, const struct ki_sync_run *run, uint8_t *bytes, size_t len)
{
    for (size_t at = 6; at + KI_SYNC_ITEM_LEN <= len && run->step != KI_SYNC_IDLE; at += KI_SYNC_ITEM_LEN) {
        uint32_t id = bytes[at] % 4;
        if (!(bytes[at] & 0x80) || !ki_table_at(&l->k->table, id))
            continue;
        struct ki_sync_place place = ki_sync_place(l->k, id, &run->salt, run->bits);
        ki_store_be(bytes + at, place.item.name, 4);
        if (bytes[at + 4] & 0x80) /* and all but the time */
            ki_store_be(bytes + at + 4, place.item.content, 4);
    }
    if (len > 6)
        qsort(bytes + 6, (len - 6) / KI_SYNC_ITEM_LEN, KI_SYNC_ITEM_LEN, sync_order);
}

static void sync_live(uint8_t how, uint8_t memory_at, struct ki_reader r)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa3" "1-1";
    struct live l;
    struct kith_member peer = {.name = lone_str("peer"), .addr = lone_addr(4, 7946), .meta = {meta, sizeof meta - 1},
                               .status = KITH_STATUS_ALIVE, .incarnation = 5, .versions = {1, 5, 2, 2, 5, 5}};
    uint32_t id = 0;
    live_new(&l, LIVE_PLAIN);
    LONE_CHECK(kith_import_members(l.k, l.now, &peer, 1) == 0);
    struct ki_link *link = sync_link(&l, &id);
    if (how & 64) {
        l.memory.fail_from = l.memory.calls + memory_at;
        l.memory.fail_to = l.memory.fail_from + 16;
    }
    while (link && r.left > 0) {
        uint8_t channel = (uint8_t)ki_take_be(&r, 1) % 16, bytes[1000];
        if (channel >= 14) {
            l.now = lone_time(l.now.mono_us + 10000);
            if (channel == 15)
                (void)ki_sync_begin(l.k, link->member_id, false);
        } else {
            size_t len = (size_t)ki_take_be(&r, 1);
            len = ki_min_size(len == UINT8_MAX ? sizeof bytes : len, r.left);
            if (len > 0)
                memcpy(bytes, ki_take(&r, len), len);
            struct ki_sync_link *data = link->owner_data[KI_LINK_VIEW];
            if (data && (how & 32) && channel == KI_SYNC_ITEMS)
                sync_names(&l, &data->runs[KI_SYNC_ASKS], bytes, len);
            if (len > 0)
                ki_sync_link_owner.receive(l.k, link, channel, ki_span(bytes, len));
        }
        sync_pump(&l);
        if (l.k->link_count == 0)
            link = NULL;
    }
    kith_stream_failed(l.k, l.now, id, KITH_ERR_UNREACHABLE);
    sync_pump(&l);
    LONE_CHECK(ki_list_empty(&l.k->sync_links) && l.k->link_count == 0);
    live_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536)
        return -1;
    if (data[0] < 4)
        sync_decode(data[0], ki_span(data + 1, size - 1));
    else
        sync_live(data[0], data[1], ki_reader(data + 2, size - 2));
    return 0;
}
