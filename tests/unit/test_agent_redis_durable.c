/* The Redis door when the disk comes first: an answer leaves when the rows of what it tells are durable, answers keep their
 * order, and who is not told anything new does not wait.  A disk is played by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/redis_server.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    uv_loop_t loop;
    kith *k;
    struct ki_redis *redis;
    int fds[2];
    bool closed;
};

static void on_closed(void *arg)
{
    ((struct world *)arg)->closed = true;
}

static void kick(void *arg)
{
    (void)arg;
}

static void turn(struct world *world)
{
    for (int i = 0; i < 5; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct kith_config config;
    struct kith_store_config store;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    kith_config_init(&config, KITH_PROFILE_LOCAL);
    config.name = (struct kith_str){.ptr = "one", .len = 3};
    assert_true(ki_addr_parse((struct kith_str){.ptr = "127.0.0.1:7946", .len = 14}, 0, &config.addr));
    config.seed[0] = 1;
    assert_int_equal(kith_new(&world->k, &config), 0);
    kith_store_config_init(&store);
    store.withhold = true;
    store.watch = true;
    assert_int_equal(kith_store_open(world->k, &store), 0);
    assert_int_equal(kith_ready(world->k, ki_net_now()), 0);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    addr.sin_port = htons((uint16_t)(20000 + getpid() % 20000));
    const struct ki_redis_config door = {.loop = &world->loop,
                                         .k = world->k,
                                         .clients_max = 10,
                                         .withhold = true,
                                         .now = ki_net_now,
                                         .kick = kick};
    while (ki_redis_start(&world->redis, &door, (const struct sockaddr *)&addr) != 0) {
        turn(world);
        addr.sin_port = htons((uint16_t)(ntohs(addr.sin_port) + 1));
    }
    for (int i = 0; i < 2; i++) {
        world->fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(world->fds[i], (const struct sockaddr *)&addr, sizeof addr), 0);
    }
    turn(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    ki_redis_stop(world->redis, on_closed, world);
    for (int i = 0; i < 30000 && !world->closed; i++)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_true(world->closed);
    close(world->fds[0]);
    close(world->fds[1]);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    kith_free(world->k);
    free(world);
    return 0;
}

static void say(struct world *world, int who, const char *text)
{
    assert_int_equal(send(world->fds[who], text, strlen(text), 0), (ssize_t)strlen(text));
    turn(world);
}

static void hear(struct world *world, int who, const char *want)
{
    char got[500];
    turn(world);
    ssize_t len = recv(world->fds[who], got, sizeof got - 1, MSG_DONTWAIT);
    got[len > 0 ? len : 0] = '\0';
    assert_string_equal(got, want);
}

/* Takes a whole group of rows.  Returns its number, 0: there is none. */
static uint64_t take_rows(struct world *world)
{
    struct kith_row row;
    while (kith_poll_row(world->k, ki_net_now(), &row)) {
        if (row.is_commit)
            return row.seq;
    }
    return 0;
}

static void durable(struct world *world, uint64_t seq)
{
    kith_rows_durable(world->k, ki_net_now(), seq, 0);
    ki_redis_durable(world->redis);
}

static void clean(struct world *world)
{
    uint64_t seq;
    while ((seq = take_rows(world)) != 0)
        durable(world, seq);
}

static void waits_for_its_rows(void **state)
{
    struct world *world = *state;
    clean(world);
    say(world, 0, "SET a 1\r\n");
    hear(world, 0, "");
    uint64_t first = take_rows(world);
    assert_true(first > 0);
    say(world, 0, "SET b 2\r\nGET b\r\n"); /* into the next group */
    hear(world, 0, "");
    say(world, 1, "GET b\r\n"); /* what others read may be lost as well */
    hear(world, 1, "");
    durable(world, first);
    hear(world, 0, "+OK\r\n");
    hear(world, 1, "");
    uint64_t second = take_rows(world);
    assert_true(second > first);
    say(world, 1, "PING\r\n");
    hear(world, 1, "");
    durable(world, second);
    hear(world, 0, "+OK\r\n$1\r\n2\r\n");
    hear(world, 1, "$1\r\n2\r\n+PONG\r\n");
    say(world, 1, "GET a\r\n");
    hear(world, 1, "$1\r\n1\r\n");
}

/* Rows that could not be written are offered again; nobody is told before they are. */
static void waits_for_a_disk_that_fails(void **state)
{
    struct world *world = *state;
    clean(world);
    say(world, 0, "SET a 1\r\n");
    uint64_t seq = take_rows(world);
    assert_true(seq > 0);
    kith_rows_durable(world->k, ki_net_now(), seq, 5);
    ki_redis_durable(world->redis);
    hear(world, 0, "");
    for (int i = 0; i < 10; i++) {
        char line[40];
        snprintf(line, sizeof line, "INCR n\r\n");
        say(world, 0, line);
        if (i % 2 == 0 && (seq = take_rows(world)) != 0)
            kith_rows_durable(world->k, ki_net_now(), seq, 5);
    }
    hear(world, 0, "");
    clean(world);
    hear(world, 0, "+OK\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n");
}

/* Messages to subscribers tell of writes too. */
static void messages_wait(void **state)
{
    struct world *world = *state;
    clean(world);
    say(world, 0, "CONFIG SET notify-keyspace-events KEA\r\nSUBSCRIBE __keyevent@0__:set\r\n");
    hear(world, 0, "+OK\r\n*3\r\n$9\r\nsubscribe\r\n$18\r\n__keyevent@0__:set\r\n:1\r\n");
    say(world, 1, "SET x 1\r\n");
    hear(world, 0, "");
    clean(world);
    hear(world, 0, "*3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@0__:set\r\n$1\r\nx\r\n");
    hear(world, 1, "+OK\r\n");
}

/* A client that is gone while its answer waits. */
static void gone_while_waiting(void **state)
{
    struct world *world = *state;
    clean(world);
    say(world, 0, "SET a 1\r\n");
    shutdown(world->fds[0], SHUT_RDWR);
    turn(world);
    clean(world);
    turn(world);
    say(world, 1, "PING\r\n");
    hear(world, 1, "+PONG\r\n");
    say(world, 1, "SET z 1\r\n"); /* and one that waits at the end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits_for_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_a_disk_that_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(gone_while_waiting, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
