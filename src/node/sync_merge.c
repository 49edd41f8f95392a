/* Members, told and taken in: a message of them is a state of its own, and is taken in like one (intake.h).
 *
 * It is read twice: the first time to see whether it is whole, whether its versions go together with ours, and whether it
 * accuses us; the second time it is merged.  It is no longer than a slice.
 *
 * Who tells of many at once tells what all others will find missing, too: that is not passed on by gossip, which would carry
 * it to each member a dozen times.
 *
 * Deliberately not here: which members are told (sync.c).
 */
#include "node/sync.h"

#define MERGE_NEWS_MAX 16 /* of so many at once, each is worth passing on */

size_t ki_sync_put_clocks(const struct kith *k, uint8_t *buf, size_t cap)
{
    struct ki_writer w = ki_writer(buf, cap);
    ki_encode_sync_clocks(&w, &(struct ki_sync_clocks){.ltime = k->clock.time,
                                                       .event_ltime = k->event_clock.time,
                                                       .query_ltime = k->query_clock.time});
    KI_ASSERT(!w.full);
    return w.len;
}

size_t ki_sync_put_member(const struct kith *k, uint32_t id, uint8_t *buf, size_t cap)
{
    struct ki_sync_member member = {.node = ki_node_state_of(ki_table_member(&k->table, id))};
    ki_state_told(k, id, &member.ltime, &member.has_left);
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_sync_member(&p, &member);
    return p.w.full ? 0 : p.w.len;
}

/* What the whole message says, before any of it is merged. */
struct merge_scan {
    struct ki_versions versions;
    uint32_t count;
    uint32_t accused; /* the incarnation of ours that is accused, if */
    bool accuses;
};

static bool merge_scan(struct kith *k, struct ki_reader r, struct merge_scan *scan)
{
    struct ki_sync_member member;
    *scan = (struct merge_scan){.versions = ki_versions_none()};
    while (r.left > 0) {
        if (!ki_decode_sync_member(&r, &member))
            return false;
        ki_versions_note(&scan->versions, &member.node);
        scan->count++;
        if (!ki_intake_accuses_us(k, &member.node))
            continue;
        scan->accuses = true;
        scan->accused = member.node.incarnation;
    }
    ki_versions_note_ours(&scan->versions, k);
    return true;
}

static void merge_one(struct kith *k, struct ki_sync_link *data, const struct ki_sync_member *member)
{
    struct ki_teller teller = {.addr = NULL, .id = data->link->member_id};
    uint32_t id = ki_table_find_near(&k->table, member->node.name, &data->near), near = id;
    ki_intake_member(k, &teller, &member->node, &near);
    if (id == KI_NO_MEMBER)
        id = ki_table_find_near(&k->table, member->node.name, &near); /* it is new */
    if (member->node.name.len <= KITH_NAME_MAX)
        ki_state_take(k, id, member->node.name, member->ltime, member->has_left, &data->unknown);
}

void ki_sync_take_time(struct kith *k, struct ki_sync_link *data, const struct ki_sync_run *run,
                       const struct ki_sync_seen *seen, uint32_t time)
{
    if (ki_sync_is_same(k, seen, &run->salt))
        ki_state_take(k, seen->id, ki_member_name(ki_table_member(&k->table, seen->id)), time, false, &data->unknown);
}

bool ki_sync_members_received(struct kith *k, struct ki_sync_link *data, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr, message.len);
    struct ki_sync_clocks clocks;
    struct ki_sync_member member;
    struct merge_scan scan;
    if (!ki_decode_sync_clocks(&r, &clocks) || !merge_scan(k, r, &scan))
        return false;
    if (!ki_versions_fine(&scan.versions)) {
        ki_count(k, KI_COUNT_version_mismatch);
        return true;
    }
    if (scan.accuses && scan.accused >= k->incarnation && k->life == KI_LIFE_LIVE)
        ki_refute(k, scan.accused, NULL);
    data->runs[KI_SYNC_ANSWERS].tells_self = data->runs[KI_SYNC_ANSWERS].tells_self || scan.accuses;
    ki_state_clocks(k, clocks.ltime, clocks.event_ltime, clocks.query_ltime);
    uint32_t epoch = k->table.epoch, count = k->table.count;
    while (r.left > 0 && ki_decode_sync_member(&r, &member)) {
        k->known_there = scan.count > MERGE_NEWS_MAX;
        merge_one(k, data, &member);
        k->known_there = false;
    }
    data->learned = data->learned || epoch != k->table.epoch || count != k->table.count;
    return true;
}
