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
#include <sys/socket.h>
#include <unistd.h>

#include "agent/rpc_conn.h"
#include "unit/hex.h"

/* ---- the stand-in ---- */

struct ki_agent {
    uv_loop_t loop;
    struct ki_log *log;
    kith *core;
    ki_agent_done *done; /* of the ask that is on its way */
    void *done_arg;
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

void ki_agent_forget(struct ki_agent *a, const void *arg)
{
    if (a->done_arg == arg)
        a->done = NULL;
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
    uint8_t buf[256];
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

static inline void start(const char *key)
{
    struct kith_config config;
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
    assert_int_equal(kith_new(&agent.core, &config), 0);
    struct kith_time now = {.mono_us = 1000000, .wall_us = 1800000000000000};
    assert_int_equal(kith_ready(agent.core, now), 0);
    import_failed_member();
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &addr), 0);
    assert_int_equal(ki_rpc_start(&rpc, &agent, (struct sockaddr *)&addr, key), 0);
    assert_int_equal(uv_tcp_getsockname(&rpc->listener, (struct sockaddr *)&where, &size), 0);
    stopped = false;
}

static inline int set_up(void **state)
{
    (void)state;
    start(NULL);
    return 0;
}

static inline int set_up_locked(void **state)
{
    (void)state;
    start("open sesame");
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
