/* What a repair hears.
 *
 * A message is walked piece by piece; what cannot be read, has come before, is not for this role or comes too early (it was
 * overtaken: who needs it asks again) is left aside.  Only what an honest peer can never say, over a stream also what
 * cannot be read, ends the repair.
 *
 * Bounds: no piece makes us allocate more than a constant times its own length, but for coded cells and longer prefixes,
 * which the configuration bounds; runs are counted against runs_max; a cell in parts against the limits of a cell.
 *
 * Deliberately not here: what follows from it; that is the next step's.
 */
#include "store/repair_parts.h"

#include "base/varint.h"

static void receive_progress(struct ki_repair *r)
{
    r->has_progress = true;
}

static void receive_skip(struct ki_reader *in)
{
    (void)ki_take(in, in->left);
}

/* ---- what the peer is ---- */

static void receive_hello(struct ki_repair *r, struct ki_reader *in)
{
    uint8_t tag[KI_REPAIR_TAG_LEN];
    const uint8_t *theirs = ki_take(in, sizeof tag);
    struct ki_root root;
    root.sum.first = ki_take_be(in, 8);
    root.sum.second = ki_take_be(in, 8);
    root.count = ki_take_varint(in);
    if (in->bad || r->config.role != KI_REPAIR_RESPONDER)
        return;
    if (r->has_hello) { /* it has not heard us */
        bool is_found = r->phase > KI_PHASE_NAME && !r->config.is_stream;
        if (is_found) {
            r->pending |= ki_repair_bit(KI_PIECE_VERDICT) | ki_repair_bit(KI_PIECE_CONTEXT) |
                          ki_repair_bit(KI_PIECE_SET) | (r->named_count ? ki_repair_bit(KI_PIECE_NAMED) : 0);
            r->named_at = 0;
            r->named_to = r->named_count;
            r->context_at = r->set_at = (struct ki_context_cursor){0};
        }
        return;
    }
    ki_repair_tag(r, tag);
    bool is_same_secret = memcmp(tag, theirs, sizeof tag) == 0;
    if (!is_same_secret || root.count > UINT32_MAX) { /* no store has more cells */
        ki_repair_fail(r, is_same_secret ? KI_REPAIR_PEER_LIES : KI_REPAIR_SECRET);
        return;
    }
    r->peer_root = root;
    r->has_hello = true;
    receive_progress(r);
}

static void receive_parity(struct ki_repair *r, struct ki_reader *in)
{
    struct ki_parity parity;
    for (size_t i = 0; i < KI_PARITY_LEVELS; i++)
        parity.level[i] = ki_take_be(in, 8);
    if (in->bad || r->has_parity)
        return;
    r->peer_parity = parity;
    r->has_parity = true;
    receive_progress(r);
}

static void receive_coded(struct ki_repair *r, struct ki_reader *in)
{
    uint64_t first = ki_take_varint(in), stride = ki_take_varint(in);
    if (in->bad || first >= KI_SKETCH_CELLS_MAX || stride == 0 || stride >= KI_SKETCH_CELLS_MAX ||
        !ki_repair_prepare(r)) {
        receive_skip(in);
        return;
    }
    for (uint64_t index = first; in->left >= KI_CODED_LEN && index < r->capacity; index += stride) {
        struct ki_coded cell = ki_coded_read(in);
        if (!ki_peel_cell(&r->peel, (uint32_t)index, &cell))
            continue;
        receive_progress(r);
        if (r->stats.asks == 0) /* unasked ones come from the beginning */
            r->asked_to = r->asked_from = (uint32_t)ki_max_u64(r->asked_to, index + 1);
    }
    receive_skip(in);
}

/* ---- what differs ---- */

static void receive_verdict(struct ki_repair *r, struct ki_reader *in)
{
    uint64_t verdict = ki_take_be(in, 1);
    uint64_t total = verdict == KI_REPAIR_FOUND ? ki_take_varint(in) : 0;
    uint64_t others = verdict == KI_REPAIR_FOUND ? ki_take_varint(in) : 0;
    if (in->bad || r->config.role != KI_REPAIR_INITIATOR || r->has_verdict || r->phase != KI_PHASE_SEEK)
        return;
    if ((verdict != KI_REPAIR_FOUND && verdict != KI_REPAIR_LIST) || total > r->kept.root.count ||
        (verdict == KI_REPAIR_LIST && !r->config.is_stream)) {
        ki_repair_fail(r, KI_REPAIR_PEER_LIES);
        return;
    }
    r->has_verdict = true;
    r->is_list = verdict == KI_REPAIR_LIST;
    r->session.runs.is_difference = !r->is_list;
    r->named_total = r->stats.only_mine = total;
    r->stats.only_theirs = others;
    r->is_building = false;
    r->pending &= ~(ki_repair_bit(KI_PIECE_CODED) | ki_repair_bit(KI_PIECE_HELLO) | ki_repair_bit(KI_PIECE_PARITY));
    r->scan = (struct ki_session_scan){0};
    r->phase = r->is_list ? KI_PHASE_SCAN : KI_PHASE_NAME;
    receive_progress(r);
}

static void receive_name(struct ki_repair *r, uint64_t index, struct ki_item item)
{
    struct ki_dot place = {0, index + 1}, dot;
    if (ki_context_has(&r->named_came, place))
        return;
    if (!ki_session_dot(&r->session, item, &dot)) {
        ki_repair_fail(r, r->session.has_failed ? KI_REPAIR_MEMORY : KI_REPAIR_PEER_LIES);
        return;
    }
    if (!ki_context_add(&r->session.runs.mine, dot) || !ki_context_add(&r->named_came, place))
        ki_repair_fail(r, KI_REPAIR_MEMORY);
    receive_progress(r);
}

static void receive_named(struct ki_repair *r, struct ki_reader *in)
{
    uint64_t first = ki_take_varint(in);
    if (r->phase != KI_PHASE_NAME || r->config.role != KI_REPAIR_INITIATOR ||
        r->sketch_number != r->store->cells.sketch) {
        receive_skip(in);
        return;
    }
    for (uint64_t index = first; in->left > 0 && !in->bad && r->phase == KI_PHASE_NAME; index++) {
        struct ki_item item;
        item.a = ki_take_be(in, 8);
        item.b = ki_take_be(in, 8);
        if (in->bad)
            return;
        if (index >= r->named_total)
            ki_repair_fail(r, KI_REPAIR_PEER_LIES);
        else
            receive_name(r, index, item);
    }
}

/* A part of the context or of the set; the whole of it in a datagram. */
static void receive_context(struct ki_repair *r, struct ki_reader *in, struct ki_context_decoder *decoder, bool *is_whole)
{
    uint64_t is_last = ki_take_be(in, 1);
    if (in->bad || *is_whole) {
        receive_skip(in);
        return;
    }
    if (is_last > 1 || (is_last == 0 && !r->config.is_stream)) {
        in->bad = true;
        return;
    }
    while (in->left > 0) {
        switch (ki_context_decode(decoder, in, SIZE_MAX)) {
        case KI_CONTEXT_FINE:
            break;
        case KI_CONTEXT_MALFORMED:
            ki_repair_fail(r, KI_REPAIR_PEER_LIES);
            return;
        case KI_CONTEXT_TOO_LARGE:
            ki_repair_fail(r, KI_REPAIR_LIMIT);
            return;
        case KI_CONTEXT_NO_MEMORY:
            ki_repair_fail(r, KI_REPAIR_MEMORY);
            return;
        }
    }
    if (is_last && !ki_context_decode_is_whole(decoder))
        ki_repair_fail(r, KI_REPAIR_PEER_LIES);
    *is_whole = is_last;
    receive_progress(r);
}

/* ---- cells ---- */

static void receive_cell(struct ki_repair *r, uint64_t wall_ms, const struct ki_cell_image *image)
{
    bool is_new = !ki_context_has(&r->store->context, image->dot) || ki_session_is_twin(&r->session, image->dot);
    int error = ki_session_take(&r->session, wall_ms, image, r->item_key);
    if (error)
        ki_repair_fail_by(r, error);
    else if (is_new) {
        r->stats.cells_received++;
        receive_progress(r);
    }
}

static bool receive_wants_cells(const struct ki_repair *r)
{
    return r->phase != KI_PHASE_DONE && r->phase != KI_PHASE_FAILED;
}

static void receive_cells(struct ki_repair *r, uint64_t wall_ms, struct ki_reader *in)
{
    while (in->left > 0 && !in->bad && receive_wants_cells(r)) {
        struct ki_cell_image image;
        ki_cell_decode(in, &r->store->config.limits, &image);
        if (!in->bad)
            receive_cell(r, wall_ms, &image);
    }
}

/* Grows with what comes, to no more than a cell can have. */
static void receive_part(struct ki_repair *r, uint64_t wall_ms, struct ki_reader *in)
{
    enum { CELL_HEAD_MAX = 80 };
    const struct ki_cell_limits *limits = &r->store->config.limits;
    uint64_t total = ki_take_varint(in);
    size_t len = in->left;
    const uint8_t *bytes = ki_take(in, len);
    if (in->bad || !r->config.is_stream || !receive_wants_cells(r))
        return;
    if (total > limits->key_max + limits->field_max + limits->value_max + CELL_HEAD_MAX || len == 0 ||
        len > total - r->part_len || (r->part_len > 0 && total != r->part_total)) {
        ki_repair_fail(r, KI_REPAIR_PEER_LIES);
        return;
    }
    if (r->part_len + len > r->part_cap) {
        size_t cap = ki_min_size((size_t)total, 2 * (r->part_len + len));
        uint8_t *part = ki_mem_resize(r->store->mem, r->part, cap);
        if (!part) {
            ki_repair_fail(r, KI_REPAIR_MEMORY);
            return;
        }
        r->part = part;
        r->part_cap = cap;
    }
    memcpy(r->part + r->part_len, bytes, len);
    r->part_len += len;
    r->part_total = (size_t)total;
    if (r->part_len < total)
        return;
    struct ki_reader whole = ki_reader(r->part, r->part_len);
    r->part_len = 0;
    receive_cells(r, wall_ms, &whole);
    in->bad = whole.bad;
}

/* ---- what the peer asks for ---- */

static void receive_ask(struct ki_repair *r, struct ki_reader *in)
{
    uint64_t bits = ki_take_be(in, 1);
    if (in->bad)
        return;
    if (bits & KI_ASK_PARITY)
        r->pending |= ki_repair_bit(KI_PIECE_PARITY);
    if (r->config.is_stream)
        bits &= KI_ASK_PARITY; /* nothing is lost there */
    if (bits & KI_ASK_CONTEXT && r->context_at.ended) {
        r->context_at = (struct ki_context_cursor){0};
        r->pending |= ki_repair_bit(KI_PIECE_CONTEXT);
    }
    if (bits & KI_ASK_SET && r->set_at.ended) {
        r->set_at = (struct ki_context_cursor){0};
        r->pending |= ki_repair_bit(KI_PIECE_SET);
    }
    if (bits & KI_ASK_DONE && r->phase == KI_PHASE_DONE)
        r->pending |= ki_repair_bit(KI_PIECE_DONE);
}

static void receive_ask_coded(struct ki_repair *r, struct ki_reader *in)
{
    uint64_t prefix = ki_take_varint(in), from = ki_take_varint(in), to = ki_take_varint(in);
    uint64_t stride = ki_take_varint(in), classes = ki_take_varint(in);
    if (in->bad || r->config.role != KI_REPAIR_INITIATOR || r->phase != KI_PHASE_SEEK)
        return;
    uint64_t prefix_max = r->config.is_stream ? r->config.coded_max : r->kept.cell_count;
    if (to > prefix || from >= to || stride == 0 || stride > KI_REPAIR_CLASSES_MAX ||
        (stride < KI_REPAIR_CLASSES_MAX && classes >> stride != 0)) {
        ki_repair_fail(r, KI_REPAIR_PEER_LIES);
    } else if (prefix > ki_max_u64(prefix_max, r->kept.cell_count)) {
        ki_repair_fail(r, KI_REPAIR_LIMIT);
    } else {
        r->coded = (struct ki_repair_coded){
            .from = (uint32_t)from, .to = (uint32_t)to, .stride = (uint32_t)stride, .classes = classes};
        r->pending |= ki_repair_bit(KI_PIECE_CODED);
        if (prefix > r->kept.cell_count && !r->has_longer)
            ki_repair_begin_build(r, (uint32_t)prefix);
        else if (prefix > r->kept.cell_count && prefix > r->longer.cell_count)
            ki_repair_fail(r, KI_REPAIR_LIMIT); /* one is made for a repair, and no more */
        receive_progress(r);
    }
}

static void receive_ask_named(struct ki_repair *r, struct ki_reader *in)
{
    uint64_t from = ki_take_varint(in), to = ki_take_varint(in);
    if (in->bad || from >= to || to > r->named_count || r->phase <= KI_PHASE_NAME)
        return;
    r->named_at = (size_t)from;
    r->named_to = (size_t)to;
    r->pending |= ki_repair_bit(KI_PIECE_NAMED);
    receive_progress(r);
}

static void receive_ask_cells(struct ki_repair *r, struct ki_reader *in)
{
    if (!r->session.runs.is_given || r->config.is_stream || r->session.has_failed) {
        receive_skip(in);
        return;
    }
    struct ki_context_decoder decoder = {.into = &r->wanted,
                                         .replicas_max = r->config.runs_max,
                                         .runs_max = r->config.runs_max};
    ki_context_free(&r->wanted);
    while (in->left > 0) {
        if (ki_context_decode(&decoder, in, SIZE_MAX) != KI_CONTEXT_FINE) {
            in->bad = true;
            return;
        }
    }
    r->cell_at = (struct ki_dot){0, 0};
    r->pending |= ki_repair_bit(KI_PIECE_CELLS);
    receive_progress(r);
}

static void receive_done(struct ki_repair *r, struct ki_reader *in)
{
    uint64_t reason = ki_take_be(in, 1);
    if (in->bad)
        return;
    if (reason == KI_REPAIR_NONE) {
        r->peer_is_done = true;
        return;
    }
    r->peer_has_failed = true;
    bool concerns_us = reason == KI_REPAIR_TOO_LARGE || reason == KI_REPAIR_LIMIT || reason == KI_REPAIR_SECRET;
    bool is_served = r->phase == KI_PHASE_END || r->phase == KI_PHASE_DONE;
    if (!is_served)
        ki_repair_fail(r, concerns_us ? (enum ki_repair_reason)reason : KI_REPAIR_PEER_FAILED);
    if (r->phase == KI_PHASE_FAILED)
        r->pending = 0;
}

/* ---- messages ---- */

static void receive_piece(struct ki_repair *r, uint64_t wall_ms, uint64_t kind, struct ki_reader *in)
{
    switch (kind) {
    case KI_PIECE_HELLO:
        receive_hello(r, in);
        break;
    case KI_PIECE_PARITY:
        receive_parity(r, in);
        break;
    case KI_PIECE_CODED:
        receive_coded(r, in);
        break;
    case KI_PIECE_VERDICT:
        receive_verdict(r, in);
        break;
    case KI_PIECE_NAMED:
        receive_named(r, in);
        break;
    case KI_PIECE_CONTEXT:
        receive_context(r, in, &r->context_decoder, &r->has_context);
        break;
    case KI_PIECE_SET:
        receive_context(r, in, &r->set_decoder, &r->has_set);
        break;
    case KI_PIECE_CELLS:
        receive_cells(r, wall_ms, in);
        break;
    case KI_PIECE_PART:
        receive_part(r, wall_ms, in);
        break;
    case KI_PIECE_ASK:
        receive_ask(r, in);
        break;
    case KI_PIECE_ASK_CODED:
        receive_ask_coded(r, in);
        break;
    case KI_PIECE_ASK_NAMED:
        receive_ask_named(r, in);
        break;
    case KI_PIECE_ASK_CELLS:
        receive_ask_cells(r, in);
        break;
    case KI_PIECE_DONE:
        receive_done(r, in);
        break;
    default:
        in->bad = true;
    }
}

bool ki_repair_peek(struct ki_span message, enum ki_repair_role *sender, uint64_t *session, uint32_t *answering)
{
    struct ki_reader r = ki_reader(message.ptr, message.len);
    uint64_t role = ki_take_be(&r, 1);
    *session = ki_take_be(&r, 8);
    *answering = (uint32_t)ki_take_be(&r, 4);
    *sender = role == KI_REPAIR_INITIATOR ? KI_REPAIR_INITIATOR : KI_REPAIR_RESPONDER;
    return !r.bad && (role == KI_REPAIR_INITIATOR || (role == KI_REPAIR_RESPONDER && *answering != 0));
}

/* A responder that has forgotten the session, or its whole life, might take part again with another snapshot.  What has been
 * said of one must not meet what is said of the other: a dot known to the first, in no list of the second, would pass for
 * dead.  So the initiator hears the first that answers, and says whom it means. */
static bool receive_is_ours(struct ki_repair *r, struct ki_span message)
{
    enum ki_repair_role sender;
    uint64_t session;
    uint32_t answering;
    if (!ki_repair_peek(message, &sender, &session, &answering) || sender == r->config.role ||
        session != r->config.session)
        return false;
    if (r->answering == 0)
        r->answering = answering;
    return answering == r->answering || (answering == 0 && sender == KI_REPAIR_INITIATOR);
}

enum ki_repair_result ki_repair_receive(struct ki_repair *repair, uint64_t wall_ms, uint64_t now_ms, struct ki_span message)
{
    struct ki_repair *r = repair;
    size_t nothing = 0;
    KI_ASSERT(r->is_started);
    if (!receive_is_ours(r, message)) {
        r->stats.messages_ignored++;
        return ki_repair_step(r, now_ms, &nothing);
    }
    struct ki_reader in = ki_reader(message.ptr + KI_REPAIR_HEAD_LEN, message.len - KI_REPAIR_HEAD_LEN);
    r->stats.messages_received++;
    r->stats.received[0] += KI_REPAIR_HEAD_LEN;
    while (in.left > 0 && !in.bad && r->phase != KI_PHASE_FAILED) {
        uint64_t kind = ki_take_be(&in, 1);
        size_t len = (size_t)ki_take_be(&in, 2);
        const uint8_t *bytes = ki_take(&in, len);
        struct ki_reader piece = ki_reader(bytes, bytes ? len : 0);
        if (!bytes)
            break;
        receive_piece(r, wall_ms, kind, &piece);
        in.bad = piece.bad || (piece.left > 0 && r->phase != KI_PHASE_FAILED && r->phase != KI_PHASE_DONE);
        if (!in.bad)
            r->stats.received[kind] += KI_REPAIR_PIECE_HEAD + len;
    }
    if (in.bad && r->config.is_stream)
        ki_repair_fail(r, KI_REPAIR_PEER_LIES);
    return ki_repair_step(r, now_ms, &nothing);
}
