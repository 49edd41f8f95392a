/* How a repair finds what differs: the responder decodes the initiator's coded cells, asks for more while they are too few,
 * and names what it found; or decides that a list of all dots is cheaper.
 *
 * The store keeps a prefix of its coded cells.  A difference that needs a longer one is decoded from a prefix that both
 * sides make of their snapshots, in slices.  The length of it is chosen once, by the estimate; what does not decode from it
 * ends in lists, over a stream, which never fail.
 *
 * What a sketch costs: 1.4 coded cells of 21 bytes and half a name of 16 for each differing item, about 37 bytes; what lists
 * cost: some 3 bytes for each live cell of both sides, when their numbers are scattered, and next to nothing when they are
 * not.  So lists are chosen when the difference is a tenth of all there is.
 *
 * Invariant: an item that the peer has said to be ours alone was in our snapshot; one said to be its alone was not.
 * Deliberately not here: what follows from the difference (session_runs.c).
 */
#include "store/repair_parts.h"

enum {
    FIND_LIST_SHARE = 10,  /* a difference of one in so many is a list */
    FIND_SKETCH_PRICE = 3, /* budget that an item costs in a longer prefix */
    FIND_PEEL_PRICE = 4,   /* and in decoding */
    FIND_PEEL_SLICE = 64   /* cells looked at between two looks at the budget */
};

const struct ki_sketch *ki_repair_prefix(const struct ki_repair *repair, uint32_t cells)
{
    if (cells <= repair->kept.cell_count)
        return &repair->kept;
    return repair->has_longer && !repair->is_building && cells <= repair->longer.cell_count ? &repair->longer : NULL;
}

/* ---- a longer prefix ---- */

void ki_repair_begin_build(struct ki_repair *repair, uint32_t cells)
{
    if (repair->has_longer)
        ki_sketch_free(&repair->longer);
    repair->has_longer = ki_sketch_init(&repair->longer, repair->store->mem, repair->kept.key, cells);
    if (!repair->has_longer) {
        ki_repair_fail(repair, KI_REPAIR_MEMORY);
        return;
    }
    repair->scan = (struct ki_session_scan){0};
    repair->is_building = true;
}

/* The decoder's capacity is that of the prefix. */
static bool find_decoder(struct ki_repair *r, const struct ki_sketch *own, uint32_t cells)
{
    if (r->has_peel)
        ki_peel_free(&r->peel);
    r->has_peel = ki_peel_init(&r->peel, r->store->mem, own, cells, &r->peer_root);
    r->capacity = cells;
    r->asked_from = r->asked_to = 0;
    r->asked_stride = 1;
    if (!r->has_peel)
        ki_repair_fail(r, KI_REPAIR_MEMORY);
    return r->has_peel;
}

bool ki_repair_build(struct ki_repair *repair, size_t *budget)
{
    struct ki_dotted_item cell;
    for (; *budget > 0; *budget -= ki_min_size(*budget, FIND_SKETCH_PRICE)) {
        enum ki_session_scanned scanned = ki_session_scan(&repair->session, &repair->scan, &cell);
        if (scanned == KI_SESSION_CELL)
            ki_sketch_add(&repair->longer, cell.item);
        if (scanned == KI_SESSION_END)
            break;
    }
    if (*budget == 0)
        return false;
    repair->is_building = false;
    const struct ki_root *built = &repair->longer.root, *kept = &repair->kept.root;
    bool is_same = built->count == kept->count && built->sum.first == kept->sum.first &&
                   built->sum.second == kept->sum.second;
    if (!is_same || repair->session.has_failed) {
        ki_repair_fail(repair, KI_REPAIR_MEMORY); /* limbo did not hold all of it */
        return false;
    }
    if (repair->phase != KI_PHASE_BUILD)
        return true;
    repair->phase = KI_PHASE_SEEK;
    return find_decoder(repair, &repair->longer, repair->longer.cell_count);
}

/* ---- the responder decodes ---- */

static uint64_t find_estimate(const struct ki_repair *r)
{
    uint64_t mine = r->kept.root.count, theirs = r->peer_root.count;
    uint64_t least = mine > theirs ? mine - theirs : theirs - mine;
    return r->has_parity ? ki_max_u64(ki_estimate(&r->kept.parity, &r->peer_parity), least) : least;
}

static void find_list(struct ki_repair *r)
{
    r->is_list = true;
    r->scan = (struct ki_session_scan){0};
    r->phase = KI_PHASE_SCAN;
    r->pending |= ki_repair_bit(KI_PIECE_VERDICT) | ki_repair_bit(KI_PIECE_CONTEXT);
    if (r->has_peel)
        ki_peel_free(&r->peel);
    r->has_peel = false;
}

bool ki_repair_prepare(struct ki_repair *repair)
{
    if (repair->phase != KI_PHASE_SEEK || !repair->has_hello || repair->config.role != KI_REPAIR_RESPONDER)
        return false;
    uint64_t cells = ki_min_u64(repair->kept.cell_count, repair->config.coded_max);
    return repair->has_peel || find_decoder(repair, &repair->kept, (uint32_t)cells);
}

/* The number of cells to have next, when so many were too few. */
static uint64_t find_target(const struct ki_repair *r, uint64_t have, uint64_t estimate)
{
    const struct ki_repair_asking *asking = &r->config.asking;
    uint64_t first = estimate * 136 / 100 * asking->first_percent / 100 + asking->first_more;
    return ki_max_u64(first, have + ki_max_u64(have * asking->step_percent / 100, 1));
}

static void find_ask(struct ki_repair *r, uint64_t from, uint64_t to)
{
    size_t room = r->config.message_max - KI_REPAIR_HEAD_LEN - KI_REPAIR_PIECE_HEAD - KI_REPAIR_CODED_FIELDS;
    uint64_t stride = r->config.is_stream ? 1 : (to - from + room / KI_CODED_LEN - 1) / (room / KI_CODED_LEN);
    stride = ki_min_u64(ki_max_u64(stride, 1), KI_REPAIR_CLASSES_MAX);
    r->asked_from = (uint32_t)from;
    r->asked_to = (uint32_t)to;
    r->asked_stride = (uint32_t)stride;
    r->stats.asks++;
    ki_repair_ask_again(r);
}

void ki_repair_ask_again(struct ki_repair *repair)
{
    struct ki_repair *r = repair;
    if (!r->has_peel || r->asked_to == r->asked_from)
        return;
    r->asked = (struct ki_repair_coded){.from = r->asked_from, .to = r->asked_to, .stride = r->asked_stride};
    for (uint32_t i = r->asked_from; i < r->asked_to; i++) {
        if (r->peel.marks[i] == 0)
            r->asked.classes |= (uint64_t)1 << (i - r->asked_from) % r->asked_stride;
    }
    if (r->asked.classes)
        r->pending |= ki_repair_bit(KI_PIECE_ASK_CODED);
}

/* What has come does not decode. */
static void find_more(struct ki_repair *r)
{
    uint64_t have = ki_max_u64(r->asked_to, r->peel.received), estimate = find_estimate(r);
    uint64_t all = r->kept.root.count + r->peer_root.count;
    uint64_t target = find_target(r, have, estimate);
    if (!r->has_parity) {
        r->ask_bits |= KI_ASK_PARITY;
        r->pending |= ki_repair_bit(KI_PIECE_ASK);
        if (have < r->capacity) {
            find_ask(r, have, ki_min_u64(2 * have + 40, r->capacity));
            return;
        }
    }
    if (r->config.is_stream && r->has_parity && estimate >= all / FIND_LIST_SHARE) {
        find_list(r);
        return;
    }
    if (!r->config.is_stream && estimate > r->capacity) {
        ki_repair_fail(r, KI_REPAIR_TOO_LARGE);
        return;
    }
    bool is_likely = ki_max_u64(target, estimate * 3 / 2) <= r->capacity;
    if (is_likely) {
        find_ask(r, have, target);
        return;
    }
    /* Three times what is likely to do, as the estimate may be too small by nearly that; if it does not, there is a list. */
    uint64_t longer = ki_min_u64(ki_max_u64(estimate * 5 / 2 + 100, 2 * (uint64_t)r->capacity), r->config.coded_max);
    if (r->config.is_stream && r->has_parity && longer > r->capacity && !r->has_longer &&
        estimate < r->config.coded_max) {
        ki_repair_begin_build(r, (uint32_t)longer);
        if (r->is_building)
            r->phase = KI_PHASE_BUILD;
    } else if (have < r->capacity) {
        find_ask(r, have, r->capacity);
    } else if (r->config.is_stream) {
        find_list(r);
    } else {
        ki_repair_fail(r, KI_REPAIR_TOO_LARGE);
    }
}

/* Whether everything that was asked for has come. */
static bool find_has_all(const struct ki_repair *r)
{
    for (uint32_t i = r->asked_to; i > r->asked_from; i--) {
        if (r->peel.marks[i - 1] == 0)
            return false;
    }
    return true;
}

bool ki_repair_seek(struct ki_repair *repair, size_t *budget)
{
    struct ki_repair *r = repair;
    if (r->config.role != KI_REPAIR_RESPONDER || !r->has_hello || !ki_repair_prepare(r))
        return false;
    uint32_t slice = (uint32_t)ki_min_size(FIND_PEEL_SLICE, *budget / FIND_PEEL_PRICE + 1);
    uint32_t found = r->peel.found_count;
    enum ki_peel_result result = ki_peel_run(&r->peel, slice);
    size_t price = 1 + (size_t)(r->peel.found_count - found) * FIND_PEEL_PRICE;
    *budget -= ki_min_size(*budget, price);
    switch (result) {
    case KI_PEEL_MORE:
        return true;
    case KI_PEEL_BAD:
        ki_repair_fail(r, KI_REPAIR_PEER_LIES);
        return false;
    case KI_PEEL_STUCK:
        if (find_has_all(r))
            find_more(r);
        return r->phase != KI_PHASE_SEEK;
    case KI_PEEL_DONE:
        break;
    }
    r->stats.coded_received = r->peel.received;
    r->named = ki_mem_resize(r->store->mem, NULL, r->peel.found_count * sizeof *r->named);
    r->session.runs.is_difference = true;
    r->phase = KI_PHASE_NAME;
    if (!r->named)
        ki_repair_fail(r, KI_REPAIR_MEMORY);
    return r->named != NULL;
}

/* ---- names and lists ---- */

void ki_repair_named(struct ki_repair *repair)
{
    struct ki_repair *r = repair;
    size_t room = r->config.message_max - KI_REPAIR_HEAD_LEN - KI_REPAIR_PIECE_HEAD - 1;
    if (!r->config.is_stream && ki_context_encoded_len(&r->session.runs.mine) > room) {
        ki_repair_fail(r, KI_REPAIR_TOO_LARGE);
        return;
    }
    r->phase = KI_PHASE_GIVE;
    r->pending |= ki_repair_bit(KI_PIECE_SET);
}

static bool find_sort(struct ki_repair *r, const struct ki_found *found)
{
    struct ki_dot dot;
    bool is_mine = ki_session_dot(&r->session, found->item, &dot);
    if (is_mine != found->mine) {
        ki_repair_fail(r, r->session.has_failed ? KI_REPAIR_MEMORY : KI_REPAIR_PEER_LIES);
    } else if (!is_mine) {
        r->named[r->named_count++] = found->item;
    } else if (!ki_context_add(&r->session.runs.mine, dot)) {
        ki_repair_fail(r, KI_REPAIR_MEMORY);
    }
    return r->phase == KI_PHASE_NAME;
}

bool ki_repair_name(struct ki_repair *repair, size_t *budget)
{
    struct ki_repair *r = repair;
    const struct ki_found *found = NULL;
    if (r->config.role == KI_REPAIR_INITIATOR) {
        struct ki_run run;
        bool is_whole = r->named_total == 0 ||
                        (ki_context_next(&r->named_came, (struct ki_dot){0, 0}, &run) && run.low == 1 &&
                         run.high == r->named_total);
        if (is_whole)
            ki_repair_named(r);
        return is_whole && r->phase == KI_PHASE_GIVE;
    }
    for (; *budget > 0 && (found = ki_peel_next(&r->peel)); (*budget)--) {
        if (!find_sort(r, found))
            return false;
    }
    if (*budget == 0)
        return false;
    r->stats.only_mine = r->peel.found_count - r->named_count;
    r->stats.only_theirs = r->named_count;
    ki_peel_free(&r->peel);
    r->has_peel = false;
    r->named_to = r->named_count;
    r->pending |= ki_repair_bit(KI_PIECE_VERDICT) | ki_repair_bit(KI_PIECE_CONTEXT);
    if (r->named_count > 0)
        r->pending |= ki_repair_bit(KI_PIECE_NAMED);
    ki_repair_named(r);
    return r->phase == KI_PHASE_GIVE;
}

bool ki_repair_scan(struct ki_repair *repair, size_t *budget)
{
    struct ki_dotted_item cell;
    for (; *budget > 0; (*budget)--) {
        enum ki_session_scanned scanned = ki_session_scan(&repair->session, &repair->scan, &cell);
        if (scanned == KI_SESSION_END)
            break;
        if (scanned == KI_SESSION_CELL && !ki_context_add(&repair->session.runs.mine, cell.dot)) {
            ki_repair_fail(repair, KI_REPAIR_MEMORY);
            return false;
        }
    }
    if (*budget == 0)
        return false;
    if (repair->session.has_failed) {
        ki_repair_fail(repair, KI_REPAIR_MEMORY);
        return false;
    }
    ki_repair_named(repair);
    return repair->phase == KI_PHASE_GIVE;
}
