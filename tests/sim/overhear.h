/* What members say to each other when they compare their views, as lines of the trace: streams are bytes to the simulator,
 * so whoever wants to tell of a comparison listens at the door of each node.  It hears every message as the node does, after
 * its frames, and passes it on unchanged. */
#ifndef TEST_SIM_OVERHEAR_H
#define TEST_SIM_OVERHEAR_H

#include "node/sync.h"
#include "sim/world.h"

#define OVERHEAR_LINE 512

static struct {
    kith_sim *s; /* one world at a time */
    const struct ki_link_owner *owner;
    struct ki_link_owner spy;
} overhear;

static inline void overhear_items(char *text, struct ki_span message)
{
    struct ki_sync_items items;
    assert_true(ki_decode_sync_items(message, &items));
    snprintf(text, OVERHEAR_LINE, "items %u", (unsigned)items.count);
}

static inline void overhear_members(char *text, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr, message.len);
    struct ki_sync_clocks clocks;
    struct ki_sync_member member;
    static const char *const states[] = {"alive", "suspect", "dead", "left"};
    size_t len = (size_t)snprintf(text, OVERHEAR_LINE, "members");
    assert_true(ki_decode_sync_clocks(&r, &clocks));
    while (r.left > 0 && len < OVERHEAR_LINE) {
        assert_true(ki_decode_sync_member(&r, &member));
        len += (size_t)snprintf(text + len, OVERHEAR_LINE - len, " | %s %.*s inc %u", states[member.node.state],
                                (int)member.node.name.len, (const char *)member.node.name.ptr,
                                (unsigned)member.node.incarnation);
    }
}

static inline void overhear_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    char text[OVERHEAR_LINE] = "done";
    uint32_t node = 0;
    struct ki_span from = ki_member_name(ki_table_member(&k->table, link->member_id));
    while (kith_sim_node(overhear.s, node) != k)
        node++;
    switch ((enum ki_sync_channel)channel) {
    case KI_SYNC_SUMS:
        snprintf(text, sizeof text, "sums, %zu bytes", message.len);
        break;
    case KI_SYNC_ITEMS:
        overhear_items(text, message);
        break;
    case KI_SYNC_MEMBERS:
        overhear_members(text, message);
        break;
    case KI_SYNC_TIMES:
        snprintf(text, sizeof text, "times %zu", message.len / KI_SYNC_TIME_LEN);
        break;
    case KI_SYNC_WANTED:
        snprintf(text, sizeof text, "wanted %zu", (message.len - 1) / 2);
        break;
    case KI_SYNC_DONE:
        break;
    }
    ki_sim_trace(overhear.s, node, "compares with %.*s, hears %s", (int)from.len, (const char *)from.ptr, text);
    overhear.owner->receive(k, link, channel, message);
}

/* From now on, of all nodes there are. */
static inline void overhear_begin(kith_sim *s, uint32_t nodes)
{
    overhear.s = s;
    overhear.owner = kith_sim_node(s, 0)->link_owners[KI_LINK_VIEW];
    overhear.spy = *overhear.owner;
    overhear.spy.receive = overhear_receive;
    for (uint32_t n = 0; n < nodes; n++)
        kith_sim_node(s, n)->link_owners[KI_LINK_VIEW] = &overhear.spy;
}

#endif
