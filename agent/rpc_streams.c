/* stream, kith-stream and stop: records of what the agent is told by the pool.
 *
 * A stream sends the events that its filter names, under the number of the request that began it, KI_RPC_STREAMS_MAX at
 * most a connection.  The agent's one watch of the door comes in here; an event is numbered, packed as far as it is
 * the same for all, kept (rpc_kept.c), and told to each stream.
 *
 * A client that reads slowly must not make the agent keep its backlog.  When more than KI_RPC_OUTPUT_MAX bytes are unsent,
 * a stream's records are dropped and counted, as Serf drops them.  A kith-stream only has a place in what is kept: it goes
 * on from there when the client has read, and what is not kept any more is told as one gap.  So coming back, catching up
 * and being told live are one thing, ki_rpc_catch_up().
 *
 * Invariants: filters are valid, so that matching cannot fail; a kith-stream's `next` is never beyond what has a number.
 *
 * Not here: gathering member events that come close together (coalesce.c). */
#include "agent/rpc_conn.h"

#include <stdlib.h>
#include <string.h>

/* ---- filters: words between commas, each "*", a member event, user[:name] or query[:name] ---- */

/* Takes the next word off.  Returns false after the last. */
static bool rpc_streams_next_word(struct ki_span *rest, struct ki_span *word)
{
    if (!rest->ptr)
        return false;
    const uint8_t *comma = memchr(rest->ptr, ',', rest->len);
    size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
    *word = ki_span(rest->ptr, len);
    *rest = comma ? ki_span(comma + 1, rest->len - len - 1) : ki_span(NULL, 0);
    return true;
}

static bool rpc_streams_is(struct ki_span word, const char *text)
{
    return ki_span_equal(word, ki_span(text, strlen(text)));
}

/* Takes the name off a word: "" if it has none. */
static struct ki_span rpc_streams_name(struct ki_span *word)
{
    const uint8_t *colon = word->len ? memchr(word->ptr, ':', word->len) : NULL;
    if (!colon)
        return ki_span("", 0);
    size_t len = (size_t)(colon - word->ptr);
    struct ki_span name = ki_span(colon + 1, word->len - len - 1);
    *word = ki_span(word->ptr, len);
    return name;
}

static bool rpc_streams_valid_word(struct ki_span word)
{
    for (unsigned event = 0; event < KI_MEMBER_EVENT_COUNT; event++) {
        if (rpc_streams_is(word, ki_member_event_name((enum ki_member_event)event)))
            return true;
    }
    if (rpc_streams_is(word, "*"))
        return true;
    (void)rpc_streams_name(&word);
    return rpc_streams_is(word, "user") || rpc_streams_is(word, "query");
}

static bool rpc_streams_valid(struct ki_span filter)
{
    struct ki_span word;
    while (rpc_streams_next_word(&filter, &word)) {
        if (!rpc_streams_valid_word(word))
            return false;
    }
    return true;
}

/* A gap is of interest to whoever wants any user events. */
static bool rpc_streams_wants(const struct ki_rpc_stream *stream, const struct ki_rpc_record *record)
{
    struct ki_span rest = ki_span(stream->filter, stream->filter_len);
    bool is_gap = strcmp(record->event, "gap") == 0;
    struct ki_span name = ki_span(record->message.name.ptr, record->message.name.len);
    struct ki_span word;
    while (rpc_streams_next_word(&rest, &word)) {
        struct ki_span wanted = rpc_streams_name(&word);
        bool named = is_gap || wanted.len == 0 || ki_span_equal(wanted, name);
        if (rpc_streams_is(word, "*") || (named && rpc_streams_is(word, is_gap ? "user" : record->event)))
            return true;
    }
    return false;
}

/* ---- telling ---- */

static void rpc_streams_send(struct ki_rpc_conn *conn, const struct ki_rpc_stream *stream,
                             const struct ki_rpc_record *record)
{
    struct ki_rpc_told told = {.record = record, .indexed = stream->indexed};
    if (strcmp(record->event, "query") == 0)
        told.id = ki_rpc_pend(conn, &record->message);
    ki_rpc_reply(conn, stream->seq, "", ki_rpc_pack_record, &told);
}

/* Tells a kith-stream what comes next.  Returns false when it has been told everything. */
static bool rpc_streams_step(struct ki_rpc_conn *conn, struct ki_rpc_stream *stream)
{
    const struct ki_rpc_kept *kept = &conn->rpc->kept;
    struct ki_rpc_missing missing = {.from = stream->next};
    if (!stream->indexed || stream->next == kept->next)
        return false;
    const struct ki_rpc_record *record = ki_rpc_kept_find(kept, stream->next, &missing.to);
    stream->next = record ? record->index + 1 : missing.to + 1;
    if (!record)
        ki_rpc_reply(conn, stream->seq, "", ki_rpc_pack_missing, &missing);
    else if (rpc_streams_wants(stream, record))
        rpc_streams_send(conn, stream, record);
    return true;
}

void ki_rpc_catch_up(struct ki_rpc_conn *conn)
{
    for (size_t i = 0; i < conn->stream_count; i++) {
        while (i < conn->stream_count && !ki_rpc_congested(conn) && rpc_streams_step(conn, &conn->streams[i])) {
            /* a failing write ends all streams of the connection */
        }
    }
}

static void rpc_streams_tell(struct ki_rpc *rpc, struct ki_rpc_record *record)
{
    if (!ki_rpc_kept_add(&rpc->kept, record))
        rpc->counts[KI_RPC_UNKEPT_EVENTS]++;
    for (struct ki_list *at = rpc->conns.next; at != &rpc->conns; at = at->next) {
        struct ki_rpc_conn *conn = KI_CONTAINER(at, struct ki_rpc_conn, link);
        for (size_t i = 0; i < conn->stream_count; i++) {
            const struct ki_rpc_stream *stream = &conn->streams[i];
            if (stream->indexed || !rpc_streams_wants(stream, record) || strcmp(record->event, "gap") == 0)
                continue;
            if (ki_rpc_congested(conn))
                rpc->counts[KI_RPC_DROPPED_EVENTS]++;
            else
                rpc_streams_send(conn, stream, record);
        }
        ki_rpc_catch_up(conn);
    }
}

void ki_rpc_tell_members(void *arg, enum ki_member_event event, const struct kith_member *members, size_t count)
{
    struct ki_rpc *rpc = arg;
    struct ki_rpc_record record = {.event = ki_member_event_name(event)};
    uint8_t *packed = NULL;
    struct ki_pack p = ki_pack(NULL, 0, true);
    for (size_t cap = 4096; cap <= KI_RPC_ANSWER_MAX; cap *= 4) {
        free(packed);
        packed = malloc(cap);
        if (!packed)
            break;
        p = ki_pack(packed, cap, true);
        ki_rpc_pack_member_array(&p, members, count);
        if (!p.w.full)
            break;
    }
    if (packed && !p.w.full) {
        record.members = ki_span(p.w.start, p.w.len);
        rpc_streams_tell(rpc, &record);
    } else {
        rpc->counts[KI_RPC_UNKEPT_EVENTS]++;
        (void)ki_rpc_kept_add(&rpc->kept, NULL);
    }
    free(packed);
}

void ki_rpc_tell_message(void *arg, const struct kith_event *event)
{
    struct ki_rpc_record record = {.message = event->message};
    record.event = event->kind == KITH_EVENT_USER ? "user" : event->kind == KITH_EVENT_QUERY ? "query" : "gap";
    rpc_streams_tell(arg, &record);
}

/* ---- beginning ---- */

/* Begins a stream.  Returns the error for the answer. */
static const char *rpc_streams_begin(struct ki_rpc_conn *conn, struct ki_span type, struct ki_rpc_stream *out)
{
    struct ki_span filter = type.len > 0 ? type : ki_span("*", 1);
    for (size_t i = 0; i < conn->stream_count; i++) {
        if (conn->streams[i].seq == conn->seq)
            return "Stream with given sequence exists";
    }
    if (!rpc_streams_valid(filter))
        return "Invalid event filter";
    if (conn->stream_count == KI_RPC_STREAMS_MAX || filter.len > KI_RPC_FILTER_MAX) {
        conn->rpc->counts[KI_RPC_REFUSED_ASKS]++;
        return filter.len > KI_RPC_FILTER_MAX ? "Too long an event filter: a stream's has 4096 bytes at most"
                                              : "Too many streams: a connection has 16 at most; stop one, or open another";
    }
    uint8_t *copy = malloc(filter.len);
    if (!copy)
        return "out of memory";
    memcpy(copy, filter.ptr, filter.len);
    *out = (struct ki_rpc_stream){.seq = conn->seq, .filter = copy, .filter_len = filter.len};
    return "";
}

bool ki_rpc_run_stream(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct stream {
        struct ki_span type;
    } request = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct stream, type, "Type", KI_FIELD_STR, 0, false),
    };
    struct ki_rpc_stream stream;
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    const char *error = rpc_streams_begin(conn, request.type, &stream);
    if (error[0] == '\0')
        conn->streams[conn->stream_count++] = stream;
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
    return true;
}

/* Where a kith-stream begins.  0: with what comes.  A number that was never given is one of another life of this agent,
 * whose clock was ahead: all that is of this life is news then. */
static uint64_t rpc_streams_from(const struct ki_rpc_kept *kept, uint64_t from)
{
    return from == 0 ? kept->next : from > kept->next ? kept->begin : from;
}

bool ki_rpc_run_kith_stream(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct stream {
        struct ki_span type;
        uint64_t from;
    } request = {{NULL, 0}, 0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct stream, type, "Type", KI_FIELD_STR, 1, false),
        KI_FIELD(struct stream, from, "From", KI_FIELD_U64, 0, false),
    };
    struct ki_rpc_stream stream;
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    const char *error = rpc_streams_begin(conn, request.type, &stream);
    if (error[0] == '\0') {
        stream.indexed = true;
        stream.next = rpc_streams_from(&conn->rpc->kept, request.from);
        conn->streams[conn->stream_count++] = stream;
    }
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
    ki_rpc_catch_up(conn);
    return true;
}

/* ---- ending ---- */

void ki_rpc_unwatch(struct ki_rpc_conn *conn)
{
    while (conn->stream_count > 0)
        free(conn->streams[--conn->stream_count].filter);
    ki_rpc_end_monitor(conn);
}

bool ki_rpc_run_stop(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct stop {
        uint64_t seq;
    } request = {0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct stop, seq, "Stop", KI_FIELD_U64, 0, false),
    };
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    if (conn->monitoring && conn->monitor_seq == request.seq)
        ki_rpc_end_monitor(conn);
    size_t kept = 0;
    for (size_t i = 0; i < conn->stream_count; i++) {
        if (conn->streams[i].seq != request.seq)
            conn->streams[kept++] = conn->streams[i];
        else
            free(conn->streams[i].filter);
    }
    conn->stream_count = kept;
    ki_rpc_reply(conn, conn->seq, "", NULL, NULL);
    return true;
}
