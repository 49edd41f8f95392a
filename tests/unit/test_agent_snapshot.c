/* The snapshot: what a file means, what is written, and that a failing disk is survived. */
#include "agent/snapshot.h"

#include "net/net.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    char dir[40], path[64];
    struct ki_log *log;
    uv_loop_t loop;
    struct ki_snapshot *snapshot;
    kith *k;
    uint64_t durable;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->dir, sizeof world->dir, "/tmp/kith-snapshot-XXXXXX");
    *state = world;
    world->log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "n");
    if (!world->log || uv_loop_init(&world->loop) != 0 || !mkdtemp(world->dir))
        return -1;
    snprintf(world->path, sizeof world->path, "%s/snapshot", world->dir);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static int teardown(void **state)
{
    struct world *world = *state;
    int result = nftw(world->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    ki_log_free(world->log);
    kith_free(world->k);
    result |= uv_loop_close(&world->loop);
    free(world);
    return result;
}

static void put(const struct world *world, const char *text)
{
    FILE *file = fopen(world->path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static char *slurp(const struct world *world)
{
    static char text[1 << 20];
    FILE *file = fopen(world->path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void test_read(void **state)
{
    static const struct {
        const char *text;
        bool rejoin;
        const char *peers; /* "name=addr " each */
        uint64_t clock, event, query;
        uint32_t incarnation;
        size_t skipped;
        bool left;
    } rows[] = {
        {"", false, "", 0, 0, 0, 0, 0, false},
        {"alive: a 1.2.3.4:5\nalive: b c [::1]:6\nclock: 7\nevent-clock: 8\nquery-clock: 9\n# incarnation: 10\n", false,
         "a=1.2.3.4:5 b c=[::1]:6 ", 7, 8, 9, 10, 0, false},
        {"alive: a 1.2.3.4:5\nnot-alive: a\n", false, "", 0, 0, 0, 0, 0, false},
        {"not-alive: a\nalive: a 1.2.3.4:5\nalive: a 1.2.3.4:6\n", false, "a=1.2.3.4:6 ", 0, 0, 0, 0, 0, false},
        {"alive: a 1.2.3.4:5\nclock: 3\n# incarnation: 9\nleave\n", false, "", 0, 0, 0, 9, 0, true},
        {"alive: a 1.2.3.4:5\nclock: 3\nleave\n", true, "a=1.2.3.4:5 ", 3, 0, 0, 0, 0, false},
        {"alive: a 1.2.3.4:5\nleave\nclock: 4\nalive: b 1.2.3.4:6\n", false, "b=1.2.3.4:6 ", 4, 0, 0, 0, 0, true},
        {"# a comment\ncoordinate: {\"Vec\":[0]}\n\nclock: 1\n", false, "", 1, 0, 0, 0, 0, false},
        {"alive: a\nalive: 1.2.3.4:5\nalive: a 1.2.3.4\nalive: a b:5\nclock: x\nclock: -1\nnonsense\nclock: 2\nclock: 5",
         false, "", 2, 0, 0, 0, 8, false}, /* the last line is torn */
        {"clock: 18446744073709551616\n# incarnation: 4294967296\nnot-alive: \n", false, "", 0, 0, 0, 0, 3, false},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ki_snapshot_state read;
        char peers[256] = "";
        put(world, rows[i].text);
        assert_int_equal(ki_snapshot_read(&read, world->path, rows[i].rejoin, world->log), 0);
        for (size_t j = 0; j < read.count; j++) {
            char addr[KI_ADDR_TEXT];
            ki_addr_format(&read.peers[j].addr, addr);
            snprintf(peers + strlen(peers), sizeof peers - strlen(peers), "%s=%s ", read.peers[j].name, addr);
        }
        if (strcmp(peers, rows[i].peers) != 0 || read.skipped != rows[i].skipped || read.left != rows[i].left)
            fail_msg("row %zu: peers \"%s\", %zu skipped, left %d", i, peers, read.skipped, read.left);
        assert_int_equal(read.clock, rows[i].clock);
        assert_int_equal(read.event_clock, rows[i].event);
        assert_int_equal(read.query_clock, rows[i].query);
        assert_int_equal(read.incarnation, rows[i].incarnation);
        ki_snapshot_state_free(&read);
    }
    struct ki_snapshot_state none;
    assert_int_equal(ki_snapshot_read(&none, "/does/not/exist", false, world->log), 0);
    assert_int_equal(none.count, 0);
    assert_int_equal(ki_snapshot_read(&none, world->dir, false, world->log), -1); /* a directory */
}

/* ---- writing ---- */

static void on_durable(void *arg, uint64_t seq)
{
    struct world *world = arg;
    world->durable = seq;
}

static void open_snapshot(struct world *world)
{
    const struct ki_snapshot_config config = {
        .loop = &world->loop, .log = world->log, .path = world->path, .durable = on_durable, .arg = world};
    struct kith_config core;
    kith_config_init(&core, KITH_PROFILE_LAN);
    core.name = (struct kith_str){"self", 4};
    core.addr = (struct kith_addr){.ip = {127, 0, 0, 1}, .ip_len = 4, .port = 7};
    kith_free(world->k);
    assert_int_equal(kith_new(&world->k, &core), 0);
    assert_int_equal(ki_snapshot_open(&world->snapshot, &config), 0);
    assert_int_equal(ki_snapshot_load(world->snapshot, world->k), 0);
    assert_int_equal(kith_ready(world->k, ki_net_now()), 0);
    world->durable = 0;
}

static void close_snapshot(struct world *world)
{
    ki_snapshot_close(world->snapshot, NULL, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
}

static void record(struct world *world, enum kith_record_kind kind, const char *name, uint64_t value)
{
    const struct kith_record record = {.kind = kind,
                                       .name = {name, name ? strlen(name) : 0},
                                       .addr = {.ip = {10, 0, 0, 9}, .ip_len = 4, .port = 7946},
                                       .value = value};
    ki_snapshot_record(world->snapshot, &record);
}

static void test_write(void **state)
{
    struct world *world = *state;
    open_snapshot(world);
    record(world, KITH_RECORD_INCARNATION, NULL, 77);
    record(world, KITH_RECORD_MEMBER, "a b", 0);
    record(world, KITH_RECORD_MEMBER, "bad\nname", 0);
    record(world, KITH_RECORD_CLOCK, NULL, 5);
    record(world, KITH_RECORD_COMMIT, NULL, 1);
    assert_int_equal(world->durable, 1); /* the first group is written at once */
    assert_string_equal(slurp(world), "# incarnation: 77\nalive: a b 10.0.0.9:7946\nclock: 5\n");

    record(world, KITH_RECORD_GONE, "a b", 0);
    record(world, KITH_RECORD_COMMIT, NULL, 2);
    record(world, KITH_RECORD_EVENT_CLOCK, NULL, 6);
    record(world, KITH_RECORD_COMMIT, NULL, 3);
    assert_int_equal(world->durable, 1); /* the next ones wait for half a second, together */
    uint64_t begin = uv_hrtime();
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_true(uv_hrtime() - begin < 2000000000u);
    assert_int_equal(world->durable, 3);
    assert_non_null(strstr(slurp(world), "not-alive: a b\nevent-clock: 6\n"));

    record(world, KITH_RECORD_LEFT, NULL, 0);
    record(world, KITH_RECORD_COMMIT, NULL, 4);
    assert_int_equal(world->durable, 4); /* a leave does not wait */
    close_snapshot(world);
    struct ki_snapshot_state read;
    assert_int_equal(ki_snapshot_read(&read, world->path, false, world->log), 0);
    assert_true(read.left && read.count == 0 && read.skipped == 0);
    assert_int_equal(read.incarnation, 77);
    ki_snapshot_state_free(&read);
}

/* A file that has outgrown its members is rewritten; old peers that were not rejoined stay in it. */
static void test_compaction(void **state)
{
    struct world *world = *state;
    struct stat info;
    remove(world->path);
    open_snapshot(world);
    close_snapshot(world);
    assert_int_equal(stat(world->path, &info), 0);
    const mode_t mode = info.st_mode;
    put(world, "alive: old 10.1.1.1:1\nclock: 2\ntorn");
    open_snapshot(world);
    record(world, KITH_RECORD_CLOCK, NULL, 9);
    for (int i = 0; i < 6000; i++)
        record(world, KITH_RECORD_MEMBER, "a member that comes and goes", 0);
    record(world, KITH_RECORD_COMMIT, NULL, 1);
    assert_int_equal(stat(world->path, &info), 0);
    assert_true(info.st_size < 1000);
    assert_int_equal(info.st_mode, mode); /* who could read it still can */
    assert_int_equal(world->durable, 1);
    record(world, KITH_RECORD_QUERY_CLOCK, NULL, 3);
    close_snapshot(world); /* what was not committed is written at the end, too */
    struct ki_snapshot_state read;
    assert_int_equal(ki_snapshot_read(&read, world->path, false, world->log), 0);
    assert_int_equal(read.count, 1);
    assert_string_equal(read.peers[0].name, "old");
    assert_int_equal(read.clock, 9);
    assert_int_equal(read.query_clock, 3);
    assert_int_equal(read.skipped, 0);
    ki_snapshot_state_free(&read);
}

/* A torn last line must not swallow the first new one. */
static void test_append_after_torn_line(void **state)
{
    struct world *world = *state;
    put(world, "clock: 2\nalive: a 10.");
    open_snapshot(world);
    record(world, KITH_RECORD_CLOCK, NULL, 4);
    record(world, KITH_RECORD_COMMIT, NULL, 1);
    close_snapshot(world);
    struct ki_snapshot_state read;
    assert_int_equal(ki_snapshot_read(&read, world->path, false, world->log), 0);
    assert_int_equal(read.clock, 4);
    assert_int_equal(read.skipped, 1);
    assert_false(read.torn);
    ki_snapshot_state_free(&read);
    struct stat before, after; /* a damaged line that is whole needs no line end at every start */
    assert_int_equal(stat(world->path, &before), 0);
    open_snapshot(world);
    close_snapshot(world);
    assert_int_equal(stat(world->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
}

/* Nothing is durable while the disk refuses, and all is when it takes again. */
static void test_full_disk(void **state)
{
    struct world *world = *state;
    struct rlimit before;
    open_snapshot(world);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max}; /* no file may grow */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    record(world, KITH_RECORD_CLOCK, NULL, 4);
    record(world, KITH_RECORD_COMMIT, NULL, 1);
    assert_int_equal(world->durable, 0);
    record(world, KITH_RECORD_CLOCK, NULL, 5);
    record(world, KITH_RECORD_COMMIT, NULL, 2);
    assert_int_equal(world->durable, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    close_snapshot(world); /* tries once more, and all of it */
    struct ki_snapshot_state read;
    assert_int_equal(ki_snapshot_read(&read, world->path, false, world->log), 0);
    assert_int_equal(read.clock, 5);
    ki_snapshot_state_free(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_append_after_torn_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
