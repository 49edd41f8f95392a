/* What a client of the RPC sends, any bytes, cut anywhere: the first byte of the input says whether a key is wanted
 * and how small the pieces are, the rest is the stream.  The requests run against a real core and a stand-in for the
 * agent that reads every byte it is given; an ask that takes time ends when the input asks for more.  After each request
 * the pool says something: members, events, queries, answers to what was asked.
 *
 * Held to: every answer is whole msgpack (a header, and at most one body), is the same when it is packed again, and
 * the same stream cut in other pieces gives the same answers.  No socket: rpc.c is replaced by what is here. */
#include "agent/rpc_conn.h"
#include "scenario/lone.h"
#include "unit/some_aggregates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RPC_INPUT_MAX 4096

struct ki_agent {
    uv_loop_t loop;
    struct ki_log *log;
    kith *core;
    ki_agent_done *done;
    ki_agent_answer *answer;
    void *done_arg;
    struct rpc_query {
        ki_agent_answer *answer;
        ki_agent_done *done;
        void *arg;
    } queries[KI_RPC_QUERIES_MAX];
    size_t query_count;
    uint64_t heard; /* of everything that was asked and answered */
};

static struct ki_agent agent;

uv_loop_t *ki_agent_loop(struct ki_agent *a)
{
    return &a->loop;
}

const kith *ki_agent_kith(const struct ki_agent *a)
{
    return a->core;
}

struct ki_log *ki_agent_log(struct ki_agent *a)
{
    return a->log;
}

static int rpc_keep(ki_agent_done *done, void *arg, size_t refuse)
{
    if (refuse)
        return KITH_ERR_ARG;
    agent.done = done;
    agent.answer = NULL;
    agent.done_arg = arg;
    return 0;
}

static void rpc_hear(struct kith_str text)
{
    LONE_CHECK(text.len == 0 || text.ptr);
    agent.heard = lone_mix(agent.heard, text.ptr, text.len);
}

int ki_agent_join(struct ki_agent *a, const struct kith_str *targets, size_t count, bool replay, ki_agent_done *done,
                  void *arg)
{
    (void)a;
    for (size_t i = 0; i < count; i++)
        rpc_hear(targets[i]);
    return rpc_keep(done, arg, count == 0 || replay);
}

int ki_agent_leave(struct ki_agent *a, ki_agent_done *done, void *arg)
{
    (void)a;
    return rpc_keep(done, arg, 0);
}

int ki_agent_force_leave(struct ki_agent *a, struct kith_str name, bool prune, ki_agent_done *done, void *arg)
{
    (void)a;
    rpc_hear(name);
    return rpc_keep(done, arg, prune);
}

int ki_agent_tags(struct ki_agent *a, const struct kith_tag *set, size_t set_count, const struct kith_str *deleted,
                  size_t deleted_count, ki_agent_done *done, void *arg)
{
    (void)a;
    for (size_t i = 0; i < set_count; i++) {
        rpc_hear(set[i].key);
        rpc_hear(set[i].value);
    }
    for (size_t i = 0; i < deleted_count; i++)
        rpc_hear(deleted[i]);
    return rpc_keep(done, arg, deleted_count);
}

int ki_agent_event(struct ki_agent *a, const struct kith_user_event *event, ki_agent_answer *answer, ki_agent_done *done,
                   void *arg)
{
    rpc_hear(event->name);
    rpc_hear(event->payload);
    if (event->name.len == 0 || event->payload.len > 100)
        return event->name.len == 0 ? KITH_ERR_ARG : KITH_ERR_TOO_LONG;
    if (!done)
        return 0;
    int result = rpc_keep(done, arg, event->coalesce);
    a->answer = answer;
    return result;
}

int ki_agent_query(struct ki_agent *a, const struct kith_query *query, ki_agent_answer *answer, ki_agent_done *done,
                   void *arg)
{
    rpc_hear(query->name);
    rpc_hear(query->payload);
    for (size_t i = 0; i < query->node_count; i++)
        rpc_hear(query->nodes[i]);
    for (size_t i = 0; i < query->tag_count; i++) {
        rpc_hear(query->tags[i].key);
        rpc_hear(query->tags[i].value);
    }
    a->heard = lone_mix_number(a->heard, query->timeout_ms + ((uint64_t)query->relay_factor << 40) + query->ack);
    if (query->name.len == 0)
        return KITH_ERR_ARG;
    if (query->node_count > 2)
        return KITH_ERR_NOT_FOUND;
    LONE_CHECK(a->query_count < KI_RPC_QUERIES_MAX);
    a->queries[a->query_count++] = (struct rpc_query){.answer = answer, .done = done, .arg = arg};
    return 0;
}

int ki_agent_respond(struct ki_agent *a, uint64_t query, struct kith_str payload)
{
    rpc_hear(payload);
    a->heard = lone_mix_number(a->heard, query);
    return payload.len > 100 ? KITH_ERR_TOO_LONG : payload.len == 0 ? KITH_ERR_NOT_FOUND : 0;
}

int ki_agent_change_keys(struct ki_agent *a, enum kith_key_change change, const struct kith_key *key,
                         ki_agent_answer *answer, ki_agent_done *done, void *arg)
{
    LONE_CHECK((change == KITH_KEY_LIST) == (key == NULL));
    if (key && key->len != 16 && key->len != 24 && key->len != 32)
        return KITH_ERR_ARG;
    if (key)
        a->heard = lone_mix(a->heard, key->bytes, key->len);
    int result = rpc_keep(done, arg, 0);
    a->answer = answer;
    return result;
}

int ki_agent_gauge_set(struct ki_agent *a, struct kith_str name, double value, const struct kith_schema *schema)
{
    rpc_hear(name);
    a->heard = lone_mix(a->heard, &value, sizeof value);
    if (schema) {
        LONE_CHECK(schema->size == sizeof *schema && schema->engine <= KITH_ENGINE_NETWORK);
        rpc_hear(schema->unit);
        a->heard = lone_mix(a->heard, &schema->max, sizeof schema->max);
    }
    return name.len == 0 ? KITH_ERR_ARG : !(value < 100) ? KITH_ERR_NUMBER : schema ? KITH_ERR_TYPE : 0;
}

int ki_agent_gauge_clear(struct ki_agent *a, struct kith_str name)
{
    (void)a;
    rpc_hear(name);
    return name.len == 0 ? KITH_ERR_NOT_FOUND : name.len == 1 ? KITH_ERR_REFUSED : 0;
}

struct ki_agent_sizes ki_agent_sizes(const struct ki_agent *a)
{
    (void)a;
    return (struct ki_agent_sizes){.event = 100, .query = 100, .response = 100};
}

void ki_agent_forget(struct ki_agent *a, const void *arg)
{
    if (a->done_arg == arg)
        a->done = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < a->query_count; i++) {
        if (a->queries[i].arg != arg)
            a->queries[kept++] = a->queries[i];
    }
    a->query_count = kept;
}

void ki_agent_stats(const struct ki_agent *a, ki_agent_stat *visit, void *arg)
{
    (void)a;
    visit(arg, "serf", "members", "2");
    visit(arg, "event_handlers", NULL, NULL);
    visit(arg, "counters", "datagrams", "18446744073709551615");
}

const char *ki_member_event_name(enum ki_member_event event)
{
    static const char *const names[] = {"member-join", "member-leave", "member-failed", "member-update", "member-reap"};
    return names[event];
}

/* ---- rpc.c's part ---- */

static size_t rpc_pack(uint8_t *buf, size_t cap, uint64_t seq, const char *error, ki_rpc_pack *pack, const void *arg)
{
    struct ki_pack p = ki_pack(buf, cap, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Error");
    ki_pack_text(&p, error);
    ki_pack_text(&p, "Seq");
    ki_pack_uint(&p, seq);
    if (pack)
        pack(&p, arg);
    LONE_CHECK(!p.w.full);
    return p.w.len;
}

void ki_rpc_reply(struct ki_rpc_conn *conn, uint64_t seq, const char *error, ki_rpc_pack *pack, const void *arg)
{
    static uint8_t answer[65536], again[65536];
    LONE_CHECK(!conn->finishing);
    size_t len = rpc_pack(answer, sizeof answer, seq, error, pack, arg);
    LONE_CHECK(rpc_pack(again, sizeof again, seq, error, pack, arg) == len && memcmp(answer, again, len) == 0);
    struct ki_reader r = ki_reader(answer, len);
    LONE_CHECK(ki_unpack_skip(&r) && (!pack || ki_unpack_skip(&r)) && r.left == 0);
    if (!conn->monitoring) /* lines of the log have the time in them */
        agent.heard = lone_mix(agent.heard, answer, len);
}

bool ki_rpc_congested(const struct ki_rpc_conn *conn)
{
    return (conn->seq & 0xff) == 0xee; /* now and then */
}

void ki_rpc_finish(struct ki_rpc_conn *conn)
{
    conn->finishing = true;
}

void ki_rpc_resume(struct ki_rpc_conn *conn)
{
    LONE_CHECK(!conn->busy);
}

/* ---- what the pool says ---- */

static void rpc_answer(ki_agent_answer *answer, void *arg, uint64_t seq)
{
    struct kith_event event = {.kind = KITH_EVENT_ANSWER,
                               .result = seq & 2 ? KITH_ERR_REFUSED : 0,
                               .message = {.origin = lone_str("other"), .payload = lone_str("text"), .is_ack = seq & 4}};
    if (answer)
        answer(arg, &event);
}

static void rpc_tell(struct ki_rpc *rpc, uint64_t seq)
{
    struct kith_member self;
    kith_self(agent.core, &self);
    ki_rpc_tell_members(rpc, (enum ki_member_event)(seq % KI_MEMBER_EVENT_COUNT), &self, 1);
    struct kith_event event = {.kind = KITH_EVENT_USER,
                               .message = {.origin = lone_str("other"), .name = lone_str("deploy")}};
    ki_rpc_tell_message(rpc, &event);
    event.kind = KITH_EVENT_QUERY;
    event.message.query = seq;
    event.message.until_us = UINT64_MAX;
    ki_rpc_tell_message(rpc, &event);
    event.kind = KITH_EVENT_GAP;
    ki_rpc_tell_message(rpc, &event);
    if (agent.query_count == 0)
        return;
    struct rpc_query query = agent.queries[agent.query_count - 1];
    rpc_answer(query.answer, query.arg, seq);
    if (seq & 1) {
        agent.query_count--;
        query.done(query.arg, 0, 1, NULL);
    }
}

/* ---- the stream ---- */

/* Takes every request that is there.  Returns false when the connection is to be closed. */
static bool rpc_take(struct ki_rpc_conn *conn)
{
    for (;;) {
        enum ki_rpc_step step = ki_rpc_step(conn);
        LONE_CHECK(conn->in_start + conn->in_len <= RPC_INPUT_MAX);
        if (step != KI_RPC_STEP_DONE)
            return step == KI_RPC_STEP_MORE;
        if (conn->busy) {
            LONE_CHECK(agent.done != NULL);
            ki_agent_done *done = agent.done;
            agent.done = NULL;
            bool well = conn->seq & 1;
            rpc_answer(agent.answer, agent.done_arg, conn->seq);
            done(agent.done_arg, well ? 0 : KITH_ERR_TIMEOUT, 1, well ? NULL : "why not");
        }
        if (!conn->command) /* nothing between header and body: where the pieces end must not matter */
            rpc_tell(conn->rpc, conn->seq);
    }
}

static uint64_t rpc_play(const uint8_t *data, size_t size, bool with_key, size_t piece)
{
    static uint8_t in[RPC_INPUT_MAX];
    char owned[] = "key";
    struct ki_rpc rpc = {.agent = &agent, .log = agent.log, .auth_key = with_key ? owned : NULL};
    struct ki_rpc_conn conn = {.rpc = &rpc, .in = in, .in_cap = sizeof in, .authenticated = !with_key};
    agent.heard = 1;
    ki_list_init(&rpc.conns);
    ki_list_push(&rpc.conns, &conn.link);
    LONE_CHECK(ki_rpc_kept_init(&rpc.kept, 8, 4096, 1000));
    ki_rpc_frame_start(&conn.frame, KI_RPC_HEADER_MAX);
    bool open = true;
    for (size_t at = 0; at < size && open; at += piece) {
        size_t len = ki_min_size(piece, size - at);
        memcpy(in + at, data + at, len);
        conn.in_len += len;
        open = rpc_take(&conn);
    }
    ki_rpc_unwatch(&conn);
    ki_rpc_drop_queries(&conn);
    LONE_CHECK(conn.stream_count == 0 && conn.query_count == 0 && agent.query_count == 0 && !conn.monitoring);
    ki_rpc_gather_clear(&conn.gather);
    ki_rpc_kept_free(&rpc.kept);
    return lone_mix_number(agent.heard, open);
}

static void rpc_begin(void)
{
    struct kith_config c;
    struct kith_tag tag = {lone_str("role"), lone_str("db")};
    lone_config(&c);
    c.tags = &tag;
    c.tag_count = 1;
    agent.core = lone_new(&c);
    agent.log = ki_log_new(-1, KI_LOG_INFO, KI_LOG_TEXT, "self");
    LONE_CHECK(agent.log != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > RPC_INPUT_MAX)
        return -1;
    if (!agent.core)
        rpc_begin();
    bool with_key = data[0] & 1;
    uint64_t pieces = rpc_play(data + 1, size - 1, with_key, (size_t)(data[0] >> 1) + 1);
    LONE_CHECK(rpc_play(data + 1, size - 1, with_key, RPC_INPUT_MAX) == pieces);
    return 0;
}
