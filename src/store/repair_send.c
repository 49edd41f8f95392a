/* What a repair has to say, put into messages: as many pieces as there is room for, the short and urgent ones first.
 *
 * What is pending is a bit for each kind, and where it stands.  Over datagrams context and set go whole or wait for the next
 * message; over a stream they go in parts, and so does a cell that no message holds.
 *
 * Invariant: what polls got is never said again unless it is asked for.
 * Deliberately not here: when something becomes pending.
 */
#include "store/repair_parts.h"

#include "base/varint.h"

/* ---- pieces ---- */

/* Where the piece begins. */
static size_t send_begin(struct ki_writer *w, enum ki_repair_piece piece)
{
    size_t at = w->len;
    ki_put_u8(w, (uint8_t)piece);
    ki_put_be(w, 0, 2);
    return at;
}

/* false: it did not fit, and the message is as it was. */
static bool send_end(struct ki_repair *r, struct ki_writer *w, size_t at)
{
    if (w->full) {
        w->len = at;
        w->full = false;
        return false;
    }
    ki_store_be(w->start + at + 1, w->len - at - KI_REPAIR_PIECE_HEAD, 2);
    r->stats.sent[w->start[at]] += w->len - at;
    return true;
}

static size_t send_room(const struct ki_writer *w)
{
    size_t used = w->len + KI_REPAIR_PIECE_HEAD;
    return used < w->cap ? w->cap - used : 0;
}

/* ---- short ones ---- */

static bool send_hello(struct ki_repair *r, struct ki_writer *w)
{
    uint8_t tag[KI_REPAIR_TAG_LEN];
    size_t at = send_begin(w, KI_PIECE_HELLO);
    ki_repair_tag(r, tag);
    ki_put(w, tag, sizeof tag);
    ki_put_be(w, r->kept.root.sum.first, 8);
    ki_put_be(w, r->kept.root.sum.second, 8);
    ki_put_varint(w, r->kept.root.count);
    return send_end(r, w, at);
}

static bool send_parity(struct ki_repair *r, struct ki_writer *w)
{
    size_t at = send_begin(w, KI_PIECE_PARITY);
    for (size_t i = 0; i < KI_PARITY_LEVELS; i++)
        ki_put_be(w, r->kept.parity.level[i], 8);
    return send_end(r, w, at);
}

static bool send_verdict(struct ki_repair *r, struct ki_writer *w)
{
    size_t at = send_begin(w, KI_PIECE_VERDICT);
    ki_put_u8(w, r->is_list ? KI_REPAIR_LIST : KI_REPAIR_FOUND);
    if (!r->is_list) {
        ki_put_varint(w, r->named_count);
        ki_put_varint(w, r->stats.only_mine);
    }
    return send_end(r, w, at);
}

static bool send_ask(struct ki_repair *r, struct ki_writer *w)
{
    size_t at = send_begin(w, KI_PIECE_ASK);
    ki_put_u8(w, r->ask_bits);
    if (!send_end(r, w, at))
        return false;
    r->ask_bits = 0;
    return true;
}

static bool send_ask_coded(struct ki_repair *r, struct ki_writer *w)
{
    size_t at = send_begin(w, KI_PIECE_ASK_CODED);
    ki_put_varint(w, r->capacity);
    ki_put_varint(w, r->asked.from);
    ki_put_varint(w, r->asked.to);
    ki_put_varint(w, r->asked.stride);
    ki_put_varint(w, r->asked.classes);
    return send_end(r, w, at);
}

/* The first that have not come. */
static bool send_ask_named(struct ki_repair *r, struct ki_writer *w)
{
    struct ki_dot at = {0, 0};
    struct ki_context all;
    struct ki_run run;
    size_t budget = SIZE_MAX;
    ki_context_init(&all, r->store->mem);
    if (r->named_total == 0 || !ki_context_add_run(&all, (struct ki_run){0, 1, r->named_total}))
        return true; /* asked for the next time */
    bool lacks = ki_context_missing(&r->named_came, &all, &at, &budget, &run) == KI_MISSING_RUN;
    ki_context_free(&all);
    if (!lacks)
        return true;
    size_t start = send_begin(w, KI_PIECE_ASK_NAMED);
    ki_put_varint(w, run.low - 1);
    ki_put_varint(w, run.high);
    return send_end(r, w, start);
}

static bool send_ask_cells(struct ki_repair *r, struct ki_writer *w)
{
    struct ki_context lacking;
    struct ki_context_cursor cursor = {0};
    struct ki_dot at = {0, 0};
    struct ki_run run;
    size_t budget = SIZE_MAX, room = send_room(w);
    ki_context_init(&lacking, r->store->mem);
    if (r->phase != KI_PHASE_FETCH || room < KI_CONTEXT_ENTRY_MAX)
        return r->phase != KI_PHASE_FETCH;
    while (ki_session_lacking(&r->session, &at, &budget, &run) == KI_MISSING_RUN) {
        if (ki_context_has(&lacking, (struct ki_dot){run.replica, run.low}) || !ki_context_add_run(&lacking, run))
            break; /* twins are told one at a time; memory: the rest is asked for the next time */
    }
    size_t start = send_begin(w, KI_PIECE_ASK_CELLS);
    (void)ki_reserve(w, ki_context_encode(&lacking, &cursor, w->start + w->len, room));
    ki_context_free(&lacking);
    return send_end(r, w, start);
}

static bool send_done(struct ki_repair *r, struct ki_writer *w)
{
    size_t at = send_begin(w, KI_PIECE_DONE);
    ki_put_u8(w, (uint8_t)r->reason);
    return send_end(r, w, at);
}

/* ---- long ones ---- */

static uint32_t send_lowest(uint64_t classes)
{
    uint32_t class = 0;
    while (!(classes >> class & 1))
        class++;
    return class;
}

/* Some of one class.  Of the first unasked ones a datagram takes what fits, and the rest is not sent. */
static bool send_coded(struct ki_repair *r, struct ki_writer *w)
{
    struct ki_repair_coded *coded = &r->coded;
    const struct ki_sketch *prefix = ki_repair_prefix(r, coded->to);
    while (coded->classes) {
        uint64_t first = coded->from + send_lowest(coded->classes) + (uint64_t)coded->sent * coded->stride;
        size_t room = send_room(w), fit = 0;
        if (room > KI_REPAIR_CODED_FIELDS)
            fit = (room - KI_REPAIR_CODED_FIELDS) / KI_CODED_LEN;
        if (first >= coded->to) {
            coded->classes &= coded->classes - 1;
            coded->sent = 0;
            continue;
        }
        if (!prefix || fit == 0)
            return false;
        size_t at = send_begin(w, KI_PIECE_CODED);
        ki_put_varint(w, first);
        ki_put_varint(w, coded->stride);
        for (; fit > 0 && first < coded->to; fit--, first += coded->stride, coded->sent++)
            ki_coded_write(w, &prefix->cells[first]);
        bool fits = send_end(r, w, at);
        KI_ASSERT(fits);
        if (!r->config.is_stream && coded->from == 0 && coded->stride == 1)
            coded->classes = 0;
    }
    return true;
}

static bool send_named(struct ki_repair *r, struct ki_writer *w)
{
    size_t room = send_room(w);
    size_t fit = room > KI_VARINT_LEN_MAX ? (room - KI_VARINT_LEN_MAX) / sizeof(struct ki_item) : 0;
    if (r->named_at >= r->named_to)
        return true;
    if (fit == 0)
        return false;
    size_t at = send_begin(w, KI_PIECE_NAMED);
    ki_put_varint(w, r->named_at);
    for (; fit > 0 && r->named_at < r->named_to; fit--, r->named_at++) {
        ki_put_be(w, r->named[r->named_at].a, 8);
        ki_put_be(w, r->named[r->named_at].b, 8);
    }
    bool fits = send_end(r, w, at);
    KI_ASSERT(fits);
    return r->named_at == r->named_to;
}

/* Context or set: the rest of it, or a part if this is a stream. */
static bool send_context(struct ki_repair *r, struct ki_writer *w, enum ki_repair_piece piece,
                         const struct ki_context *context, struct ki_context_cursor *cursor)
{
    size_t room = send_room(w);
    if (room <= KI_CONTEXT_ENTRY_MAX && (r->config.is_stream || ki_context_encoded_len(context) + 1 > room))
        return false;
    struct ki_context_cursor after = *cursor;
    size_t at = send_begin(w, piece);
    uint8_t *flag = ki_reserve(w, 1);
    (void)ki_reserve(w, ki_context_encode(context, &after, w->start + w->len, room - 1));
    *flag = after.ended;
    if (!after.ended && !r->config.is_stream) {
        w->len = at; /* in the next message it fits */
        return false;
    }
    bool fits = send_end(r, w, at);
    KI_ASSERT(fits);
    *cursor = after;
    return after.ended;
}

/* ---- cells ---- */

/* The next to be sent from the cursor on. */
static bool send_next_cell(struct ki_repair *r, struct ki_dot *dot)
{
    const struct ki_context *give = &r->session.runs.give;
    struct ki_run run;
    while (ki_context_next(give, r->cell_at, &run)) {
        uint64_t low = run.replica == r->cell_at.replica ? ki_max_u64(run.low, r->cell_at.n) : run.low;
        *dot = (struct ki_dot){run.replica, low};
        r->cell_at = *dot;
        if (r->wanted.run_count == 0 || ki_context_has(&r->wanted, *dot))
            return true;
        r->cell_at.n = low + 1;
    }
    return false;
}

/* A part of a cell that is larger than any message: it is written whole each time, which is dear, and rare. */
static bool send_part(struct ki_repair *r, struct ki_writer *w, const struct ki_cell_image *image, size_t size)
{
    size_t room = send_room(w);
    uint8_t *whole = room > 2 * KI_VARINT_LEN_MAX ? ki_mem_resize(r->store->mem, NULL, size) : NULL;
    if (!whole)
        return false;
    struct ki_writer all = ki_writer(whole, size);
    ki_cell_encode(&all, image);
    size_t len = ki_min_size(size - r->cell_sent, room - KI_VARINT_LEN_MAX);
    size_t at = send_begin(w, KI_PIECE_PART);
    ki_put_varint(w, size);
    ki_put(w, whole + r->cell_sent, len);
    bool fits = send_end(r, w, at);
    KI_ASSERT(fits);
    ki_mem_free(r->store->mem, whole);
    r->cell_sent += len;
    return r->cell_sent == size;
}

static void send_cell_sent(struct ki_repair *r)
{
    r->cell_at.n++;
    r->cell_sent = 0;
    r->stats.cells_sent++;
}

static bool send_cells(struct ki_repair *r, struct ki_writer *w)
{
    size_t largest = r->config.message_max - KI_REPAIR_HEAD_LEN - KI_REPAIR_PIECE_HEAD;
    size_t at = SIZE_MAX;
    bool is_all = true;
    struct ki_dot dot;
    while (send_next_cell(r, &dot)) {
        struct ki_cell_image image;
        if (!ki_session_image(&r->session, dot, &image)) {
            ki_repair_fail(r, KI_REPAIR_MEMORY);
            break;
        }
        size_t size = ki_cell_size(&image);
        if (size > largest) { /* between two pieces of whole ones */
            is_all = at == SIZE_MAX && send_part(r, w, &image, size);
        } else if (size <= (at == SIZE_MAX ? send_room(w) : w->cap - w->len)) {
            at = at == SIZE_MAX ? send_begin(w, KI_PIECE_CELLS) : at;
            ki_cell_encode(w, &image);
        } else {
            is_all = false;
        }
        if (!is_all)
            break;
        send_cell_sent(r);
    }
    if (at != SIZE_MAX) {
        bool fits = send_end(r, w, at);
        KI_ASSERT(fits);
    }
    return is_all;
}

/* ---- messages ---- */

/* Returns whether all of it has been said. */
static bool send_piece(struct ki_repair *r, struct ki_writer *w, enum ki_repair_piece piece)
{
    switch (piece) {
    case KI_PIECE_HELLO:
        return send_hello(r, w);
    case KI_PIECE_PARITY:
        return send_parity(r, w);
    case KI_PIECE_CODED:
        return send_coded(r, w);
    case KI_PIECE_VERDICT:
        return send_verdict(r, w);
    case KI_PIECE_NAMED:
        return send_named(r, w);
    case KI_PIECE_CONTEXT:
        return send_context(r, w, piece, &r->session.context, &r->context_at);
    case KI_PIECE_SET:
        return send_context(r, w, piece, &r->session.runs.mine, &r->set_at);
    case KI_PIECE_CELLS:
        return send_cells(r, w);
    case KI_PIECE_ASK:
        return send_ask(r, w);
    case KI_PIECE_ASK_CODED:
        return send_ask_coded(r, w);
    case KI_PIECE_ASK_NAMED:
        return send_ask_named(r, w);
    case KI_PIECE_ASK_CELLS:
        return send_ask_cells(r, w);
    case KI_PIECE_DONE:
        return send_done(r, w);
    case KI_PIECE_PART:
    case KI_PIECE_END:
        break;
    }
    KI_UNREACHABLE();
}

bool ki_repair_poll(struct ki_repair *repair, void *buf, size_t cap, size_t *len)
{
    static const enum ki_repair_piece order[] = {
        KI_PIECE_HELLO,     KI_PIECE_VERDICT,   KI_PIECE_ASK, KI_PIECE_ASK_CODED, KI_PIECE_ASK_NAMED,
        KI_PIECE_ASK_CELLS, KI_PIECE_PARITY,    KI_PIECE_CONTEXT, KI_PIECE_CODED, KI_PIECE_NAMED,
        KI_PIECE_SET,       KI_PIECE_CELLS,     KI_PIECE_DONE,
    };
    struct ki_repair *r = repair;
    struct ki_writer w = ki_writer(buf, ki_min_size(cap, r->config.message_max));
    if (!r->is_started || r->pending == 0 || w.cap < KI_REPAIR_MESSAGE_MIN)
        return false;
    ki_put_u8(&w, (uint8_t)r->config.role);
    ki_put_be(&w, r->config.session, 8);
    ki_put_be(&w, r->answering, 4);
    for (size_t i = 0; i < KI_COUNT(order); i++) {
        uint32_t bit = ki_repair_bit(order[i]);
        if (!(r->pending & bit))
            continue;
        if (send_piece(r, &w, order[i])) {
            r->pending &= ~bit;
        } else if (order[i] == KI_PIECE_CELLS || (order[i] >= KI_PIECE_NAMED && order[i] <= KI_PIECE_SET &&
                                                  r->config.is_stream)) {
            break; /* what follows would overtake it */
        }
    }
    if (w.len == KI_REPAIR_HEAD_LEN)
        return false;
    r->bytes_sent += w.len;
    r->stats.sent[0] += KI_REPAIR_HEAD_LEN;
    r->stats.messages_sent++;
    if (r->config.send_max > 0 && r->bytes_sent > r->config.send_max)
        ki_repair_fail(r, KI_REPAIR_LIMIT);
    *len = w.len;
    return true;
}
