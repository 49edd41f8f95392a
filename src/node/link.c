/* Links: who may have one, their hellos, and when they end.  What flows through them is in link_flow.c; buffers, turns and
 * timeouts are their stream's (stream.c).
 *
 * A link is there for every subject that both have: an owner whose part is missing in the other's hello is off it, and who
 * refuses the other's part refuses the link.  A link with nobody on it is refused.
 *
 * A hello opens a link if a living member says it that announces _kith, from its own host; whoever dials anew supersedes
 * its old link, which it has lost or which was another life's.  A link lives as long as its member does.  When nothing has
 * been said for a while, it closes; it is dialled again when there is something.  Silence is no fault while nobody waits
 * for anything: not when all that is missing is credit, and not while an owner holds it.
 *
 * Deliberately not here: what is said, and when to dial. */
#include "node/link.h"

#define LINK_RESERVED 8 /* links that others dialled must not keep us from dialling */

/* ---- finding ---- */

static bool link_lives(const struct ki_member *m)
{
    return m && (m->state == KI_ALIVE || m->state == KI_SUSPECT);
}

static uint32_t link_limit(const struct kith *k)
{
    return (uint32_t)ki_min_u64(KI_LINKS_MAX, k->cfg.streams_max / 2);
}

/* A link for this subject with this member that is not about to end, an open one if there is: of either side's dialling. */
static struct ki_link *link_find(const struct kith *k, uint32_t id, enum ki_link_subject subject)
{
    struct ki_link *found = NULL;
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        struct ki_link *link = KI_CONTAINER(at, struct ki_stream, link)->carries;
        bool fits = link && link->member_id == id && !link->closing && !link->aborted && ki_link_in(link->subjects, subject);
        if (fits && (!found || link->is_open))
            found = link;
    }
    return found;
}

/* The member that this link was made for is not there any more.  Asked at each turn: as long as no member has changed, the
 * answer is what it was. */
static bool link_lost(const struct kith *k, const struct ki_link *link)
{
    if (link->epoch == k->table.epoch)
        return false;
    const struct ki_member *m = ki_table_at(&k->table, link->member_id);
    if (!link_lives(m))
        return true;
    struct kith_addr addr = ki_addr_of(m);
    return !kith_addr_equal(&addr, &link->addr);
}

static struct ki_link *link_new(struct kith *k, uint32_t id)
{
    struct ki_link *link = ki_mem_new(&k->mem, sizeof *link);
    if (!link) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    link->member_id = id;
    link->addr = ki_addr_of(ki_table_at(&k->table, id));
    link->epoch = k->table.epoch;
    link->granted = KI_LINK_WINDOW;
    for (unsigned subject = 0; subject < KI_LINK_SUBJECTS; subject++)
        link->subjects |= (uint8_t)((k->link_owners[subject] != NULL) << subject);
    return link;
}

static void link_attach(struct kith *k, struct ki_link *link, struct ki_stream *s)
{
    link->stream = s;
    s->carries = link;
    s->purpose = KI_PURPOSE_LINK;
    s->end_us = KITH_NEVER;
    k->link_count++;
}

/* The owners of these subjects are told that it is over for them. */
static void link_tell_closed(struct kith *k, struct ki_link *link, unsigned subjects, int error)
{
    for (unsigned subject = 0; subject < KI_LINK_SUBJECTS; subject++) {
        if (!ki_link_in(link->told & subjects, subject))
            continue;
        link->told &= (uint8_t)~(1u << subject);
        k->link_owners[subject]->closed(k, link, error);
    }
}

/* ---- what owners ask ---- */

int ki_link_open(struct kith *k, uint32_t member_id, enum ki_link_subject subject, struct ki_link **out)
{
    *out = link_find(k, member_id, subject);
    if (*out) {
        (*out)->told |= (uint8_t)(1u << subject);
        return 0;
    }
    const struct ki_member *m = ki_table_at(&k->table, member_id);
    if (!k->link_owners[subject] || k->bare || k->life != KI_LIFE_LIVE || member_id == k->self || !link_lives(m) ||
        !ki_speaks_kith(m))
        return KITH_ERR_STATE;
    if (k->link_count >= link_limit(k)) {
        ki_count(k, KI_COUNT_links_refused);
        return KITH_ERR_FULL;
    }
    struct ki_link *link = link_new(k, member_id);
    if (!link)
        return KITH_ERR_NOMEM;
    struct ki_stream *s;
    int error = ki_stream_dial_out(k, &link->addr, KI_PURPOSE_LINK, 0, &s);
    if (error) {
        ki_mem_free(&k->mem, link);
        return error;
    }
    link->is_dialler = true;
    link->told = (uint8_t)(1u << subject);
    link_attach(k, link, s);
    ki_crng_fill(&k->crng, link->session, KI_LINK_HALF);
    *out = link;
    return 0;
}

bool ki_link_is_open(const struct ki_link *link, enum ki_link_subject subject)
{
    return link->is_open && !link->closing && !link->aborted && ki_link_in(link->subjects, subject);
}

void ki_link_wake(struct ki_link *link, enum ki_link_subject subject)
{
    link->awake |= (uint8_t)(1u << subject);
}

void ki_link_hold(struct kith *k, struct ki_link *link, enum ki_link_subject subject, bool held)
{
    unsigned others = link->held & ~(1u << subject);
    if (link->held && !others && !held) { /* time stood still meanwhile */
        link->idle_us = k->now.mono_us + KI_LINK_IDLE_US;
        ki_stream_progress(k, link->stream);
    }
    link->held = (uint8_t)(others | (unsigned)held << subject);
}

void ki_link_rest(struct kith *k, struct ki_link *link, enum ki_link_subject subject)
{
    if (!(link->used & ~(1u << subject)))
        link->idle_us = k->now.mono_us;
}

void ki_link_abort(struct ki_link *link)
{
    link->aborted = true;
}

/* ---- hellos ---- */

/* A part for each subject that is to be on this link; the others are off it from now on. */
static void link_put_parts(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    for (unsigned subject = 0; subject < KI_LINK_SUBJECTS; subject++) {
        if (!ki_link_in(link->subjects, subject))
            continue;
        uint8_t bytes[KI_LINK_HELLO_MAX];
        struct ki_writer part = ki_writer(bytes, sizeof bytes);
        if (!k->link_owners[subject]->hello(k, link, &part)) {
            link->subjects &= (uint8_t)~(1u << subject);
            continue;
        }
        KI_ASSERT(!part.full);
        ki_put_u8(w, (uint8_t)subject);
        ki_put_be(w, part.len, 2);
        ki_put(w, bytes, part.len);
    }
    KI_ASSERT(!w->full);
}

static void link_say_hello(struct kith *k, struct ki_stream *s)
{
    struct ki_link *link = s->carries;
    uint8_t payload[KI_LINK_PAYLOAD_MAX];
    struct ki_writer w = ki_writer(payload, sizeof payload);
    link_put_parts(k, link, &w);
    if (!ki_buf_reserve(k, &s->out, KI_LINK_OPENING_MAX)) {
        ki_stream_fail(k, s, KITH_ERR_FULL);
        return;
    }
    struct ki_link_hello hello = {.version_min = KI_LINK_VERSION,
                                  .version_max = KI_LINK_VERSION,
                                  .is_answer = !link->is_dialler,
                                  .credit = link->granted,
                                  .name = ki_name_of(k->cfg.name),
                                  .payload = ki_span(payload, w.len)};
    memcpy(hello.session, link->session, sizeof hello.session);
    struct ki_pack p = ki_pack(s->out.ptr, s->out.cap, false);
    ki_encode_link_opening(&p, &hello);
    KI_ASSERT(!p.w.full);
    link->seals = ki_frame_seals(k);
    s->body = ki_span(p.w.start, p.w.len);
    ki_frame_built(k, s);
}

void ki_link_begin(struct kith *k, struct ki_stream *s)
{
    link_say_hello(k, s);
}

/* Behind their hello the stream is a link's. */
static void link_opened(struct kith *k, struct ki_stream *s, const struct ki_link_hello *hello)
{
    struct ki_link *link = s->carries;
    memcpy(link->session, hello->session, hello->is_answer ? KI_LINK_SESSION : KI_LINK_HALF);
    link->allowed = hello->credit;
    link->peer_seals = s->was_sealed;
    link->idle_us = k->now.mono_us + KI_LINK_IDLE_US;
    link->is_open = true;
    link->awake = link->subjects;
    s->raw_pos = s->raw_used;
    s->rx = KI_RX_LINK;
    s->fed = true;
    ki_count(k, link->is_dialler ? KI_COUNT_links_out : KI_COUNT_links_in);
}

static void link_refuse(struct kith *k, struct ki_stream *s, int error)
{
    if (!s->carries) /* or it is counted as failed */
        ki_count(k, KI_COUNT_links_refused);
    ki_stream_fail(k, s, error);
}

/* Who is on this link is known when all parts of the peer's hello are taken.  false: the link is refused. */
static bool link_take_parts(struct kith *k, struct ki_link *link, struct ki_span payload)
{
    struct ki_span parts[KI_LINK_SUBJECTS];
    if (!ki_decode_link_parts(payload, parts)) {
        ki_count(k, KI_COUNT_malformed);
        return false;
    }
    for (unsigned subject = 0; subject < KI_LINK_SUBJECTS; subject++) {
        if (!parts[subject].ptr)
            link->subjects &= (uint8_t)~(1u << subject);
        if (!ki_link_in(link->subjects, subject))
            continue;
        if (k->link_owners[subject]->hello_received(k, link, parts[subject]) != 0)
            return false;
        link->told |= (uint8_t)(1u << subject);
    }
    link_tell_closed(k, link, ~(unsigned)link->subjects, KITH_ERR_REFUSED);
    return link->subjects != 0;
}

/* The answer to our hello. */
static void link_answered(struct kith *k, struct ki_stream *s, const struct ki_link_hello *hello)
{
    struct ki_link *link = s->carries;
    const struct ki_member *m = ki_table_at(&k->table, link->member_id);
    bool fits = hello->is_answer && memcmp(hello->session, link->session, KI_LINK_HALF) == 0 && m &&
                ki_span_equal(hello->name, ki_member_name(m));
    if (!fits || !link_take_parts(k, link, hello->payload))
        link_refuse(k, s, KITH_ERR_REFUSED);
    else
        link_opened(k, s, hello);
}

/* The member that says this hello; KI_NO_MEMBER: nobody to whom we open.  By its host: its port is another when it dials. */
static uint32_t link_caller(struct kith *k, const struct ki_stream *s, const struct ki_link_hello *hello)
{
    uint32_t id = ki_table_find(&k->table, hello->name);
    const struct ki_member *m = ki_table_at(&k->table, id);
    if (k->life != KI_LIFE_LIVE || id == k->self || !link_lives(m) || !ki_speaks_kith(m) || hello->is_answer)
        return KI_NO_MEMBER;
    struct kith_addr addr = ki_addr_of(m);
    addr.port = s->peer.port;
    return kith_addr_equal(&addr, &s->peer) ? id : KI_NO_MEMBER;
}

/* Whoever dials anew has lost its old link, or was another life of that member. */
static void link_supersede(struct kith *k, uint32_t id)
{
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        struct ki_stream *s = KI_CONTAINER(at, struct ki_stream, link);
        if (s->carries && s->carries->member_id == id && !s->carries->is_dialler && !s->carries->closing)
            ki_stream_fail(k, s, KITH_ERR_UNREACHABLE);
    }
}

static void link_accept(struct kith *k, struct ki_stream *s, const struct ki_link_hello *hello)
{
    uint32_t id = link_caller(k, s, hello);
    if (id == KI_NO_MEMBER) {
        link_refuse(k, s, KITH_ERR_REFUSED);
        return;
    }
    link_supersede(k, id);
    if (k->link_count + ki_min_u64(LINK_RESERVED, link_limit(k) / 2) >= link_limit(k)) {
        link_refuse(k, s, KITH_ERR_FULL);
        return;
    }
    struct ki_link *link = link_new(k, id);
    if (!link) {
        link_refuse(k, s, KITH_ERR_NOMEM);
        return;
    }
    memcpy(link->session, hello->session, KI_LINK_HALF);
    ki_crng_fill(&k->crng, link->session + KI_LINK_HALF, KI_LINK_HALF);
    link->stream = s;
    if (!link_take_parts(k, link, hello->payload)) {
        link_tell_closed(k, link, UINT8_MAX, KITH_ERR_REFUSED);
        ki_mem_free(&k->mem, link);
        link_refuse(k, s, KITH_ERR_REFUSED);
        return;
    }
    link_attach(k, link, s);
    ki_stream_progress(k, s);
    link_opened(k, s, hello);
    link_say_hello(k, s);
}

void ki_link_hello(struct kith *k, struct ki_stream *s, struct ki_span body)
{
    struct ki_reader r = ki_reader(body.ptr, body.len);
    struct ki_link_hello hello;
    if (!ki_decode_link_hello(&r, &hello) || s->raw_used == 0) { /* 0: compressed, as nobody does */
        ki_count(k, KI_COUNT_malformed);
        link_refuse(k, s, KITH_ERR_MALFORMED);
    } else if (hello.version_min > KI_LINK_VERSION || hello.version_max < KI_LINK_VERSION) {
        ki_count(k, KI_COUNT_version_mismatch);
        link_refuse(k, s, KITH_ERR_VERSION);
    } else if (s->carries) {
        link_answered(k, s, &hello);
    } else {
        link_accept(k, s, &hello);
    }
}

/* ---- ends ---- */

/* Somebody waits for somebody: the stream's timeout runs.  Not while all that is missing is credit, or our own consent. */
static bool link_is_waiting(const struct ki_stream *s)
{
    const struct ki_link *link = s->carries;
    return !link->is_open || link->closing || s->tx != KI_TX_LINK || s->raw.len > s->raw_pos ||
           (link->gathering && !link->held);
}

static bool link_is_quiet(const struct ki_stream *s)
{
    const struct ki_link *link = s->carries;
    return !link_is_waiting(s) && !link->awake && !link->sending && !link->held;
}

void ki_link_check(struct kith *k, struct ki_stream *s)
{
    struct ki_link *link = s->carries;
    if (link_lost(k, link)) {
        ki_stream_fail(k, s, KITH_ERR_UNREACHABLE);
        return;
    }
    link->epoch = k->table.epoch;
    if (!link_is_waiting(s) || s->deadline_us > k->now.mono_us) /* or it has waited for memory long enough */
        link->in_blocked = link->out_blocked = false;
    if (link->idle_us <= k->now.mono_us && link_is_quiet(s)) {
        link->closing = true;
        ki_stream_progress(k, s);
    }
}

uint64_t ki_link_due_us(const struct kith *k, const struct ki_stream *s)
{
    if (link_lost(k, s->carries))
        return k->now.mono_us;
    return link_is_waiting(s) ? s->deadline_us : link_is_quiet(s) ? s->carries->idle_us : KITH_NEVER;
}

void ki_link_over(struct kith *k, struct ki_stream *s, int error)
{
    struct ki_link *link = s->carries;
    s->carries = NULL;
    k->link_count--;
    if (error)
        ki_count(k, KI_COUNT_links_failed);
    link_tell_closed(k, link, UINT8_MAX, error);
    ki_mem_free(&k->mem, link);
}

void ki_links_forget(struct kith *k, uint32_t id)
{
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        struct ki_stream *s = KI_CONTAINER(at, struct ki_stream, link);
        if (s->carries && s->carries->member_id == id)
            ki_stream_fail(k, s, KITH_ERR_UNREACHABLE);
    }
}
