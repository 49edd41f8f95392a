/* What the tests of the RPC server stand on: a stand-in for the agent, and a client that is but bytes.  It defines what
 * agent.h declares and the server calls, so one program includes it, once. */
#ifndef KI_TEST_RPC_STAND_IN_H
#define KI_TEST_RPC_STAND_IN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/rpc_conn.h"
#include "unit/hex.h"
#include "unit/some_aggregates.h"

/* ---- the stand-in ---- */

struct ki_agent {
    uv_loop_t loop;
    struct ki_log *log;
    kith *core;
    ki_agent_done *done; /* of the ask that is on its way */
    ki_agent_answer *answer;
    void *done_arg;
    unsigned forgotten;
    char asked[256]; /* the last ask as text */
    int refusal;     /* what the next ask returns */
    struct ki_agent_watch *watch;
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

static inline int keep_ask(struct ki_agent *a, ki_agent_done *done, void *arg)
{
    if (a->refusal != 0)
        return a->refusal;
    a->done = done;
    a->answer = NULL;
    a->done_arg = arg;
    return 0;
}

static inline void note(struct ki_agent *a, const char *text, struct kith_str value)
{
    size_t len = strlen(a->asked);
    snprintf(a->asked + len, sizeof a->asked - len, "%s%.*s", text, (int)value.len, value.ptr);
}

int ki_agent_join(struct ki_agent *a, const struct kith_str *targets, size_t count, bool replay,
                  ki_agent_done *done, void *arg)
{
    snprintf(a->asked, sizeof a->asked, "join%s", replay ? " replay" : "");
    for (size_t i = 0; i < count; i++)
        note(a, " ", targets[i]);
    return keep_ask(a, done, arg);
}

int ki_agent_leave(struct ki_agent *a, ki_agent_done *done, void *arg)
{
    snprintf(a->asked, sizeof a->asked, "leave");
    return keep_ask(a, done, arg);
}

int ki_agent_force_leave(struct ki_agent *a, struct kith_str name, bool prune, ki_agent_done *done,
                         void *arg)
{
    snprintf(a->asked, sizeof a->asked, "force-leave%s", prune ? " prune" : "");
    note(a, " ", name);
    return keep_ask(a, done, arg);
}

int ki_agent_tags(struct ki_agent *a, const struct kith_tag *set, size_t set_count,
                  const struct kith_str *deleted, size_t deleted_count, ki_agent_done *done,
                  void *arg)
{
    snprintf(a->asked, sizeof a->asked, "tags");
    for (size_t i = 0; i < set_count; i++) {
        note(a, " ", set[i].key);
        note(a, "=", set[i].value);
    }
    for (size_t i = 0; i < deleted_count; i++)
        note(a, " -", deleted[i]);
    return keep_ask(a, done, arg);
}

static inline int keep_answered(struct ki_agent *a, ki_agent_answer *answer, ki_agent_done *done, void *arg)
{
    int result = keep_ask(a, done, arg);
    if (result == 0)
        a->answer = answer;
    return result;
}

int ki_agent_event(struct ki_agent *a, const struct kith_user_event *event, ki_agent_answer *answer, ki_agent_done *done,
                   void *arg)
{
    snprintf(a->asked, sizeof a->asked, "event%s %u", event->coalesce ? " coalesce" : "", event->confirm_timeout_ms);
    note(a, " ", event->name);
    note(a, "=", event->payload);
    return keep_answered(a, answer, done, arg);
}

int ki_agent_query(struct ki_agent *a, const struct kith_query *query, ki_agent_answer *answer, ki_agent_done *done,
                   void *arg)
{
    if (query->fold)
        snprintf(a->asked, sizeof a->asked, "fold top %u %u ms", query->fold_top, query->timeout_ms);
    else
        snprintf(a->asked, sizeof a->asked, "query%s relay %u %u ms", query->ack ? " ack" : "", query->relay_factor,
                 query->timeout_ms);
    note(a, " ", query->name);
    note(a, "=", query->payload);
    for (size_t i = 0; i < query->node_count; i++)
        note(a, " @", query->nodes[i]);
    for (size_t i = 0; i < query->tag_count; i++) {
        note(a, " ", query->tags[i].key);
        note(a, "~", query->tags[i].value);
    }
    return keep_answered(a, answer, done, arg);
}

int ki_agent_respond(struct ki_agent *a, uint64_t query, struct kith_str payload)
{
    snprintf(a->asked, sizeof a->asked, "respond %llu", (unsigned long long)query);
    note(a, " ", payload);
    return a->refusal;
}

int ki_agent_change_keys(struct ki_agent *a, enum kith_key_change change, const struct kith_key *key,
                         ki_agent_answer *answer, ki_agent_done *done, void *arg)
{
    static const char *const words[] = {"list", "install", "use", "remove"};
    if (key && key->len != 16 && key->len != 24 && key->len != 32)
        return KITH_ERR_ARG;
    snprintf(a->asked, sizeof a->asked, "%s %u", words[change], key ? key->len : 0);
    return keep_answered(a, answer, done, arg);
}

int ki_agent_gauge_set(struct ki_agent *a, struct kith_str name, double value, const struct kith_schema *schema)
{
    snprintf(a->asked, sizeof a->asked, "gauge set %g", value);
    note(a, " ", name);
    if (schema) {
        size_t len = strlen(a->asked);
        snprintf(a->asked + len, sizeof a->asked - len, " %g to %g step %g each %u engine %d", schema->min, schema->max,
                 schema->step, (unsigned)schema->interval_ms, (int)schema->engine);
        note(a, " ", schema->unit);
    }
    return a->refusal;
}

int ki_agent_gauge_clear(struct ki_agent *a, struct kith_str name)
{
    snprintf(a->asked, sizeof a->asked, "gauge clear");
    note(a, " ", name);
    return a->refusal;
}

struct ki_agent_sizes ki_agent_sizes(const struct ki_agent *a)
{
    (void)a;
    return (struct ki_agent_sizes){.event = 1000, .query = 2000, .response = 3000};
}

void ki_agent_forget(struct ki_agent *a, const void *arg)
{
    a->forgotten++;
    if (a->done_arg == arg) {
        a->done = NULL;
        a->answer = NULL;
    }
}

void ki_agent_stats(const struct ki_agent *a, ki_agent_stat *visit, void *arg)
{
    (void)a;
    visit(arg, "agent", "name", "self");
    visit(arg, "serf", "members", "2");
    visit(arg, "serf", "encrypted", "false");
    visit(arg, "event_handlers", NULL, NULL);
    visit(arg, "counters", "datagrams", "18446744073709551615");
    visit(arg, "kith", "leaving", "true");
    visit(arg, "kith", "version", "0.1.0");
}

const char *ki_member_event_name(enum ki_member_event event)
{
    static const char *const names[] = {"member-join", "member-leave", "member-failed",
                                        "member-update", "member-reap"};
    return names[event];
}

void ki_agent_watch(struct ki_agent *a, struct ki_agent_watch *watch)
{
    watch->next = a->watch;
    a->watch = watch;
}

void ki_agent_unwatch(struct ki_agent *a, struct ki_agent_watch *watch)
{
    for (struct ki_agent_watch **at = &a->watch; *at; at = &(*at)->next) {
        if (*at == watch) {
            *at = watch->next;
            return;
        }
    }
}

/* ---- a client ---- */

struct peer {
    int fd;
    uint8_t in[1 << 20];
    size_t len;
    bool closed;
};

static struct ki_rpc *rpc;
static struct sockaddr_storage where;
static bool stopped;

static inline void turn(void)
{
    for (int i = 0; i < 4; i++)
        uv_run(&agent.loop, UV_RUN_NOWAIT);
}

static inline struct peer *dial(void)
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(peer->fd, (struct sockaddr *)&where, sizeof(struct sockaddr_in)), 0);
    assert_int_equal(fcntl(peer->fd, F_SETFL, O_NONBLOCK), 0);
    int yes = 1; /* header and body are two sends */
    assert_int_equal(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), 0);
    turn();
    return peer;
}

static inline void hang_up(struct peer *peer)
{
    close(peer->fd);
    free(peer);
    turn();
}

static inline void read_some(struct peer *peer)
{
    ssize_t got = recv(peer->fd, peer->in + peer->len, sizeof peer->in - peer->len, 0);
    if (got > 0)
        peer->len += (size_t)got;
    else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        peer->closed = true;
}

/* Runs both sides until nothing more comes, for a moment. */
static inline void settle(struct peer *peer)
{
    for (int quiet = 0; quiet < 5;) {
        size_t before = peer->len;
        turn();
        read_some(peer);
        quiet = peer->len == before ? quiet + 1 : 0;
        if (quiet > 0)
            usleep(500);
    }
}

static inline void send_bytes(struct peer *peer, const void *bytes, size_t len)
{
    assert_int_equal(send(peer->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void send_hex(struct peer *peer, const char *hex)
{
    uint8_t bytes[1024];
    send_bytes(peer, bytes, hex_bytes(hex, bytes, sizeof bytes));
}

/* Sends a header, and the body in hex unless it is NULL. */
static inline void ask(struct peer *peer, const char *command, uint64_t seq, const char *body_hex)
{
    uint8_t buf[256];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Command");
    ki_pack_text(&p, command);
    ki_pack_text(&p, "Seq");
    ki_pack_uint(&p, seq);
    send_bytes(peer, buf, p.w.len);
    if (body_hex)
        send_hex(peer, body_hex);
    settle(peer);
}

/* Sends header and body, the body made of pairs: key, then 's'tring, 'b'ytes, 'n'umber, 't'ruth or a 'l'ist of one string
 * ("" empty), or a 'm'ap of one pair written key=value. */
static inline void ask_with(struct peer *peer, const char *command, uint64_t seq, const char *kinds,
                            const char *const *pairs)
{
    static uint8_t buf[1 << 17];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, strlen(kinds));
    for (size_t i = 0; kinds[i]; i++) {
        const char *value = pairs[2 * i + 1];
        ki_pack_text(&p, pairs[2 * i]);
        if (kinds[i] == 's') {
            ki_pack_text(&p, value);
        } else if (kinds[i] == 'b') {
            ki_pack_bytes(&p, ki_span(value, strlen(value)));
        } else if (kinds[i] == 'n') {
            ki_pack_int(&p, strtoll(value, NULL, 10));
        } else if (kinds[i] == 't') {
            ki_pack_bool(&p, value[0] == 't');
        } else if (kinds[i] == 'l') {
            ki_pack_array(&p, 1);
            ki_pack_text(&p, value);
        } else {
            const char *equals = strchr(value, '=');
            assert_non_null(equals);
            ki_pack_map(&p, 1);
            ki_pack_str(&p, ki_span(value, (size_t)(equals - value)));
            ki_pack_text(&p, equals + 1);
        }
    }
    assert_false(p.w.full);
    uint8_t head[128];
    struct ki_pack h = ki_pack(head, sizeof head, true);
    ki_pack_map(&h, 2);
    ki_pack_text(&h, "Command");
    ki_pack_text(&h, command);
    ki_pack_text(&h, "Seq");
    ki_pack_uint(&h, seq);
    send_bytes(peer, head, h.w.len);
    send_bytes(peer, buf, p.w.len);
    settle(peer);
}
#define ASK(peer, command, seq, kinds, ...) ask_with(peer, command, seq, kinds, (const char *const[]){__VA_ARGS__})

/* Takes the next object that came; its span lives until more is read. */
static inline struct ki_span take(struct peer *peer)
{
    struct ki_reader r = ki_reader(peer->in, peer->len);
    assert_true(ki_unpack_skip(&r));
    static uint8_t object[1 << 16];
    size_t len = peer->len - r.left;
    assert_true(len <= sizeof object);
    memcpy(object, peer->in, len);
    memmove(peer->in, peer->in + len, r.left);
    peer->len = r.left;
    return ki_span(object, len);
}

static inline void expect_hex(struct peer *peer, const char *hex)
{
    uint8_t want[512];
    size_t len = hex_bytes(hex, want, sizeof want);
    assert_true(peer->len >= len);
    assert_memory_equal(peer->in, want, len);
    peer->len -= len;
    memmove(peer->in, peer->in + len, peer->len);
}

/* The next object is the header {Error, Seq}. */
static inline void expect_header(struct peer *peer, uint64_t seq, const char *error)
{
    uint8_t buf[600];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Error");
    ki_pack_text(&p, error);
    ki_pack_text(&p, "Seq");
    ki_pack_uint(&p, seq);
    struct ki_span got = take(peer);
    assert_int_equal(got.len, p.w.len);
    assert_memory_equal(got.ptr, buf, got.len);
}

/* The next object, in hex, is this one, and nothing of it is left out. */
static inline void expect_object(struct peer *peer, const char *hex)
{
    uint8_t want[1024];
    size_t len = hex_bytes(hex, want, sizeof want);
    struct ki_span got = take(peer);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.ptr, want, len);
}

/* True when the bytes of `text` are somewhere in the object. */
static inline bool holds(struct ki_span object, const char *text)
{
    return memmem(object.ptr, object.len, text, strlen(text)) != NULL;
}

#define HANDSHAKE "81a756657273696f6e01"

static inline struct peer *greeted(void)
{
    struct peer *peer = dial();
    ask(peer, "handshake", 0, HANDSHAKE);
    expect_header(peer, 0, "");
    return peer;
}

/* ---- what the pool says ---- */

static inline void end_ask(int result, uint32_t count, const char *why)
{
    ki_agent_done *done = agent.done;
    assert_non_null(done);
    agent.done = NULL;
    done(agent.done_arg, result, count, why);
}

static inline struct kith_str str(const char *text)
{
    return (struct kith_str){text, strlen(text)};
}

static inline void tell(enum ki_member_event event)
{
    struct kith_member members[2];
    size_t count = kith_members(agent.core, members, 2);
    for (struct ki_agent_watch *at = agent.watch; at; at = at->next)
        at->members(at->arg, event, members, count);
}

static inline void tell_message(enum kith_event_kind kind, const struct kith_message *message)
{
    struct kith_event event = {.kind = kind, .message = *message};
    for (struct ki_agent_watch *at = agent.watch; at; at = at->next)
        at->message(at->arg, &event);
}

static inline void tell_user(const char *name, const char *payload)
{
    struct kith_message message = {
        .origin = str("other"), .name = str(name), .payload = str(payload), .ltime = 5, .seq = 3};
    tell_message(KITH_EVENT_USER, &message);
}

static inline void tell_query(uint64_t query, uint64_t until_us)
{
    struct kith_message message = {
        .origin = str("other"), .name = str("load"), .ltime = 6, .query = query, .until_us = until_us};
    tell_message(KITH_EVENT_QUERY, &message);
}

/* ---- set-up ---- */

static inline void import_failed_member(void)
{
    struct kith_member member = {
        .name = {"other", 5},
        .addr = {.ip = {127, 0, 0, 2}, .ip_len = 4, .port = 7946},
        .meta = {"\xff\x81\xa4role\xa3web", 11},
        .status = KITH_STATUS_FAILED,
        .state = KITH_STATE_DEAD,
        .incarnation = 3,
        .versions = {1, 5, 2, 2, 5, 5},
    };
    struct kith_time now = {.mono_us = 2000000, .wall_us = 1800000000000000};
    assert_int_equal(kith_import_members(agent.core, now, &member, 1), 0);
}

/* encrypted: 0 or 1; unix_fd: -1 or a socket that is bound. */
static inline void start(const char *key, size_t encrypted, int unix_fd)
{
    struct kith_config config;
    struct kith_key secret = {.len = 16};
    struct kith_tag tag = {{"role", 4}, {"db", 2}};
    struct sockaddr_in addr;
    int size = sizeof where;
    memset(&agent, 0, sizeof agent);
    assert_int_equal(uv_loop_init(&agent.loop), 0);
    agent.log = ki_log_new(-1, KI_LOG_INFO, KI_LOG_TEXT, "self");
    assert_non_null(agent.log);
    kith_config_init(&config, KITH_PROFILE_LOCAL);
    config.name = (struct kith_str){"self", 4};
    config.addr = (struct kith_addr){.ip = {127, 0, 0, 1}, .ip_len = 4, .port = 7946};
    config.tags = &tag;
    config.tag_count = 1;
    config.keys = &secret;
    config.key_count = encrypted;
    assert_int_equal(kith_new(&agent.core, &config), 0);
    struct kith_time now = {.mono_us = 1000000, .wall_us = 1800000000000000};
    assert_int_equal(kith_ready(agent.core, now), 0);
    import_failed_member();
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &addr), 0);
    const struct ki_rpc_config door = {.agent = &agent,
                                       .addr = (struct sockaddr *)&addr,
                                       .unix_fd = unix_fd,
                                       .auth_key = key,
                                       .kept_max = 8,
                                       .kept_bytes_max = 100000,
                                       .first_index = 1000};
    assert_int_equal(ki_rpc_start(&rpc, &door), 0);
    assert_int_equal(uv_tcp_getsockname(&rpc->listener, (struct sockaddr *)&where, &size), 0);
    stopped = false;
}

static inline int set_up(void **state)
{
    (void)state;
    start(NULL, 0, -1);
    return 0;
}

static inline int set_up_locked(void **state)
{
    (void)state;
    start("open sesame", 0, -1);
    return 0;
}

static inline int set_up_encrypted(void **state)
{
    (void)state;
    start(NULL, 1, -1);
    return 0;
}

static inline void note_stopped(void *arg)
{
    *(bool *)arg = true;
}

static inline int tear_down(void **state)
{
    (void)state;
    if (!stopped)
        ki_rpc_stop(rpc, note_stopped, &stopped);
    uv_run(&agent.loop, UV_RUN_DEFAULT);
    assert_true(stopped);
    assert_int_equal(uv_loop_close(&agent.loop), 0); /* no handle was left behind */
    assert_null(agent.watch);
    kith_free(agent.core);
    ki_log_free(agent.log);
    return 0;
}

#endif
