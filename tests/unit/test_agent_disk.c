/* The disk: what was written is loaded, what is not ours or not whole is refused, and a disk that fails is survived.  The
 * core is a stand-in with a handful of rows.
 * ctest: TIMEOUT 180 */
#include "agent/disk.h"
#include "agent/disk_internal.h"
#include "sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lmdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS 4000
#ifndef DAMAGE_ROUNDS
#    define DAMAGE_ROUNDS 400 /* of damage done; and of groups that do none */
#endif
#ifndef NO_DAMAGE_ROUNDS
#    define NO_DAMAGE_ROUNDS 200
#endif

struct row {
    char name[33];
    size_t len;
    char *value;
    bool is_gone, is_dirty, is_out;
};

struct world {
    char dir[40], data[64], path[96], error[KI_DISK_ERROR_TEXT];
    struct ki_log *log;
    struct ki_log_watch watch;
    char told[4096];
    uv_loop_t loop;
    struct ki_disk *disk;
    struct ki_disk_config config;
    /* the stand-in */
    struct row rows[ROWS];
    size_t count, cursor;
    uint64_t seq, durable;
    int last_error, load_result;
    unsigned failures, groups;
    struct kith_str pretended; /* one more row, of a length that no memory holds */
    struct row loaded[ROWS];
    size_t loaded_count;
};

/* ---- the stand-in ---- */

static void put(struct world *world, const char *name, const char *value, size_t len)
{
    struct row *row = NULL;
    for (size_t i = 0; i < world->count; i++) {
        if (strcmp(world->rows[i].name, name) == 0)
            row = &world->rows[i];
    }
    if (!row) {
        assert_true(world->count < ROWS);
        row = &world->rows[world->count++];
        snprintf(row->name, sizeof row->name, "%s", name);
    }
    free(row->value);
    row->is_gone = !value;
    row->len = value ? len : 0;
    row->value = malloc(row->len + 1);
    assert_non_null(row->value);
    if (value)
        memcpy(row->value, value, len);
    row->is_dirty = true;
}

static void put_text(struct world *world, const char *name, const char *value)
{
    put(world, name, value, value ? strlen(value) : 0);
}

static void put_many(struct world *world, unsigned count, size_t len)
{
    char *value = malloc(len);
    char name[16];
    assert_non_null(value);
    for (unsigned i = 0; i < count; i++) {
        memset(value, (int)i, len);
        snprintf(name, sizeof name, "%04u", i);
        put(world, name, value, len);
    }
    free(value);
}

static bool core_pending(void *arg)
{
    const struct world *world = arg;
    for (size_t i = 0; i < world->count; i++) {
        if (world->rows[i].is_dirty)
            return true;
    }
    return world->pretended.len > 0;
}

static bool core_poll(void *arg, struct kith_row *out)
{
    struct world *world = arg;
    if (world->cursor == 0 && !core_pending(world))
        return false;
    *out = (struct kith_row){.is_commit = false};
    for (; world->cursor < world->count; world->cursor++) {
        struct row *row = &world->rows[world->cursor];
        if (!row->is_dirty)
            continue;
        row->is_dirty = false;
        row->is_out = true;
        out->name = (struct kith_str){.ptr = row->name, .len = strlen(row->name)};
        out->value = (struct kith_str){.ptr = row->value, .len = row->len};
        out->is_gone = row->is_gone;
        world->cursor++;
        return true;
    }
    if (world->pretended.len > 0) {
        *out = (struct kith_row){.name = {.ptr = "p", .len = 1}, .value = world->pretended};
        world->pretended.len = 0;
        return true;
    }
    world->cursor = 0;
    out->is_commit = true;
    out->seq = ++world->seq;
    return true;
}

static void core_durable(void *arg, uint64_t seq, int error)
{
    struct world *world = arg;
    assert_int_equal(seq, world->seq);
    world->last_error = error;
    world->failures += error != 0;
    world->groups += error == 0;
    if (error == 0)
        world->durable = seq;
    for (size_t i = 0; i < world->count; i++) {
        if (world->rows[i].is_out && error != 0)
            world->rows[i].is_dirty = true;
        world->rows[i].is_out = false;
    }
}

static int core_load(void *arg, struct kith_str name, struct kith_str value)
{
    struct world *world = arg;
    if (world->load_result != 0)
        return world->load_result;
    if (name.len == 0 || name.len > 32 || world->loaded_count == ROWS)
        return KITH_ERR_MALFORMED;
    struct row *row = &world->loaded[world->loaded_count++];
    memcpy(row->name, name.ptr, name.len);
    row->name[name.len] = '\0';
    row->len = value.len;
    row->value = malloc(value.len + 1);
    assert_non_null(row->value);
    memcpy(row->value, value.ptr, value.len);
    return 0;
}

/* ---- the world ---- */

static void forget(struct row *rows, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free(rows[i].value);
    memset(rows, 0, *count * sizeof *rows);
    *count = 0;
}

static void hear(void *arg, const char *line)
{
    struct world *world = arg;
    size_t len = strlen(world->told);
    snprintf(world->told + len, sizeof world->told - len, "%s\n", line);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->dir, sizeof world->dir, "/tmp/kith-disk-XXXXXX");
    *state = world;
    world->log = ki_log_new(-1, KI_LOG_INFO, KI_LOG_TEXT, "n");
    if (!world->log || uv_loop_init(&world->loop) != 0 || !mkdtemp(world->dir))
        return -1;
    snprintf(world->data, sizeof world->data, "%s/data", world->dir);
    snprintf(world->path, sizeof world->path, "%s/store.lmdb", world->data);
    world->watch = (struct ki_log_watch){.line = hear, .arg = world, .level = KI_LOG_INFO};
    ki_log_watch(world->log, &world->watch);
    world->config = (struct ki_disk_config){
        .loop = &world->loop,
        .log = world->log,
        .dir = world->data,
        .fsync = KI_DISK_ALWAYS,
        .size_first = KI_DISK_SIZE_FIRST,
        .size_max = (uint64_t)64 << 30,
        .ops = {.pending = core_pending, .poll = core_poll, .durable = core_durable, .load = core_load},
        .arg = world};
    signal(SIGXFSZ, SIG_IGN);
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
    forget(world->rows, &world->count);
    forget(world->loaded, &world->loaded_count);
    ki_log_unwatch(world->log, &world->watch);
    ki_log_free(world->log);
    result |= uv_loop_close(&world->loop);
    free(world);
    return result;
}

static int open_disk(struct world *world)
{
    forget(world->loaded, &world->loaded_count);
    world->error[0] = '\0';
    return ki_disk_open(&world->disk, &world->config, world->error);
}

static void closed(void *arg)
{
    struct world *world = arg;
    world->disk = NULL;
}

static void close_disk(struct world *world)
{
    ki_disk_close(world->disk, closed, world);
    while (world->disk)
        uv_run(&world->loop, UV_RUN_ONCE);
}

/* Until nothing is pending, or the newest group has failed. */
static void settle(struct world *world)
{
    uint64_t before = world->seq;
    unsigned ends = world->failures + world->groups;
    while (core_pending(world) || world->seq == before || world->failures + world->groups == ends) {
        uv_run(&world->loop, UV_RUN_ONCE);
        if (world->last_error != 0 && world->failures + world->groups != ends)
            return;
    }
}

static void refused(struct world *world, const char *text)
{
    assert_int_equal(open_disk(world), -1);
    assert_null(world->disk);
    if (!strstr(world->error, text))
        fail_msg("\"%s\" does not say \"%s\"", world->error, text);
}

/* ---- what is there again ---- */

static void test_again(void **state)
{
    static const char *const wanted[] = {"a", "ab", "b", "\xff\xfe"};
    struct world *world = *state;
    struct stat info;
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(stat(world->data, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    put_text(world, "b", "2");
    put_text(world, "\xff\xfe", "last");
    put_text(world, "ab", "");
    put_text(world, "c", "gone soon");
    settle(world);
    put_text(world, "a", "first");
    put_text(world, "b", "two");
    put_text(world, "c", NULL);
    put_text(world, "never there", NULL);
    settle(world);
    close_disk(world);
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(world->loaded[i].name, wanted[i]); /* in the order of their bytes */
    assert_int_equal(world->loaded[1].len, 0);
    assert_memory_equal(world->loaded[2].value, "two", 3);
    struct ki_disk_status status;
    ki_disk_status(world->disk, &status);
    assert_int_equal(status.loaded, 4);
    assert_string_equal(status.error, "");
    close_disk(world);
    assert_non_null(strstr(world->told, "loaded: rows 4,"));
}

static void test_growth(void **state)
{
    struct world *world = *state;
    struct ki_disk_status status;
    world->config.size_first = 1 << 20;
    world->config.size_max = 100 << 20;
    assert_int_equal(open_disk(world), 0);
    put_many(world, 2000, 10000); /* twenty times the first map, in one group */
    settle(world);
    put_many(world, 3000, 10000);
    settle(world);
    ki_disk_status(world->disk, &status);
    assert_string_equal(status.error, "");
    assert_int_equal(status.failures, 0);
    assert_int_equal(status.groups, 2);
    assert_int_equal(status.rows, 5000);
    assert_true(status.map_bytes > 30 << 20 && status.map_bytes <= 100 << 20);
    assert_true(status.file_bytes > 30 << 20 && status.file_bytes <= status.map_bytes);
    close_disk(world);
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 3000);
    for (size_t i = 0; i < 3000; i++)
        assert_true(world->loaded[i].len == 10000 && world->loaded[i].value[9999] == (char)i);
    close_disk(world);
}

static void test_last_group(void **state)
{
    struct world *world = *state;
    for (enum ki_disk_fsync fsync = KI_DISK_ALWAYS; fsync <= KI_DISK_NO; fsync++) {
        world->config.fsync = fsync;
        assert_int_equal(open_disk(world), 0);
        put_text(world, "k", "1");
        settle(world);
        put_text(world, "k", "22");
        uv_run(&world->loop, UV_RUN_NOWAIT);
        put_text(world, "k", "333"); /* under everysec and no, not due yet */
        close_disk(world);
        assert_int_equal(open_disk(world), 0);
        assert_int_equal(world->loaded_count, 1);
        assert_int_equal(world->loaded[0].len, 3);
        close_disk(world);
    }
}

static void test_everysec(void **state)
{
    struct world *world = *state;
    world->config.fsync = KI_DISK_EVERYSEC;
    assert_int_equal(open_disk(world), 0);
    put_text(world, "k", "at once");
    settle(world);
    uint64_t began = uv_hrtime();
    for (int i = 0; i < 10; i++) {
        put_text(world, "k", "later");
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    settle(world);
    assert_true(uv_hrtime() - began > 500000000);
    assert_int_equal(world->groups, 2);
    close_disk(world);
}

/* ---- what is refused ---- */

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void test_places(void **state)
{
    struct world *world = *state;
    struct ki_disk *first;
    assert_int_equal(open_disk(world), 0);
    first = world->disk;
    refused(world, "is in use by another kith agent");
    world->disk = first;
    close_disk(world);
    world->config.dir = "/nowhere/at/all";
    refused(world, "cannot be made: No such file or directory");
    world->config.dir = world->path; /* a file */
    refused(world, "cannot be opened: Not a directory");
    world->config.dir = world->data;
    assert_int_equal(unlink(world->path), 0);
    assert_int_equal(mkdir(world->path, 0700), 0);
    refused(world, "is no kith store (it is no regular file)");
}

static void test_read_only(void **state)
{
    struct world *world = *state;
    bool is_root = geteuid() == 0;
    assert_int_equal(mkdir(world->data, 0755), 0);
    assert_int_equal(chmod(world->dir, 0755), 0);
    if (!is_root)
        assert_int_equal(chmod(world->data, 0555), 0);
    else
        assert_int_equal(seteuid(65534), 0);
    refused(world, "cannot be written: Permission denied; the agent needs a -data-dir that it may write to");
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(world->data, 0700), 0);
    assert_int_equal(open_disk(world), 0);
    close_disk(world);
    assert_int_equal(is_root ? chmod(world->data, 0755) : chmod(world->path, 0400), 0);
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    refused(world, "cannot be written: Permission denied");
    if (is_root)
        assert_int_equal(seteuid(0), 0);
}

static void test_foreign(void **state)
{
    struct world *world = *state;
    char bytes[20000];
    assert_int_equal(mkdir(world->data, 0700), 0);
    write_file(world->path, "my notes", 8);
    refused(world, "it is cut off in its header");
    memset(bytes, 'x', sizeof bytes);
    write_file(world->path, bytes, sizeof bytes);
    refused(world, "is no kith store (it is no LMDB file): choose another -data-dir");
    memset(bytes, 0, sizeof bytes);
    write_file(world->path, bytes, sizeof bytes);
    refused(world, "it is no LMDB file");
    write_file(world->path, "", 0); /* a file that was made and never written is as good as none */
    assert_int_equal(open_disk(world), 0);
    close_disk(world);
}

static void other_lmdb(const struct world *world, const char *dbi_name, unsigned flags, const char *name,
                       const char *value)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {.mv_size = strlen(name), .mv_data = (void *)(uintptr_t)name};
    MDB_val data = {.mv_size = strlen(value), .mv_data = (void *)(uintptr_t)value};
    unlink(world->path);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, world->path, MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, dbi_name, MDB_CREATE | flags, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &data, 0), 0);
    if (flags & MDB_DUPSORT) {
        data.mv_data = (void *)(uintptr_t) "another";
        data.mv_size = 7;
        assert_int_equal(mdb_put(txn, dbi, &key, &data, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void test_other_lmdb(void **state)
{
    static const struct {
        const char *dbi, *name, *value, *text;
        unsigned flags;
    } cases[] = {
        {NULL, "k", "v", "it is another program's LMDB file", 0},
        {NULL, "kith", "v", "it is another program's LMDB file", 0},
        {"other", "k", "v", "it is another program's LMDB file", 0},
        {"other", "k", "v", "it is another program's", MDB_DUPSORT},
        {"kith", "other", "v", "it is another program's LMDB file", 0},
        {"kith", "format", "kith store, ver", "its format is unknown", 0},
        {"kith", "format", "kith store, version ", "its format is unknown", 0},
        {"kith", "format", "kith store, version x", "its format is unknown", 0},
        {"kith", "format", "kith store, version 12345678", "its format is unknown", 0},
        {"kith", "format", "kith store, version 2",
         "is of version 2 of kith's store, and this kith reads version 1: start the kith that "
         "wrote it",
         0},
        {"kith", "format", "kith store, version 1", "it has no rows. Restore it from a backup; or move it away", 0},
    };
    struct world *world = *state;
    assert_int_equal(mkdir(world->data, 0700), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        other_lmdb(world, cases[i].dbi, cases[i].flags, cases[i].name, cases[i].value);
        refused(world, cases[i].text);
    }
}

static void test_rows_refused(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_disk(world), 0);
    put_many(world, 3, 10);
    settle(world);
    close_disk(world);
    world->load_result = KITH_ERR_MALFORMED;
    refused(world, "cannot be used: row 1 is none of kith's");
    world->load_result = KITH_ERR_NOMEM;
    refused(world, "does not fit into memory");
    world->load_result = 0;
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 3);
    close_disk(world);
}

/* ---- damage ---- */

static size_t slurp(const struct world *world, char **out)
{
    struct stat info;
    FILE *file = fopen(world->path, "r");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &info), 0);
    *out = malloc((size_t)info.st_size);
    assert_non_null(*out);
    assert_int_equal(fread(*out, 1, (size_t)info.st_size, file), info.st_size);
    fclose(file);
    return (size_t)info.st_size;
}

static void test_cut_off(void **state)
{
    struct world *world = *state;
    char *whole;
    assert_int_equal(open_disk(world), 0);
    put_many(world, 500, 300);
    put_many(world, 5, 20000); /* overflow pages too */
    settle(world);
    close_disk(world);
    size_t size = slurp(world, &whole);
    for (size_t len = 1; len < size; len += len < 9000 ? 611 : 4096) {
        write_file(world->path, whole, len);
        refused(world, "cut off");
    }
    write_file(world->path, whole, size);
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 500);
    close_disk(world);
    free(whole);
}

/* Opens in a process of its own; the exit code: 0 opened, 1 refused, or of a signal. */
static int open_apart(struct world *world)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(ki_disk_open(&world->disk, &world->config, world->error) == 0 ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void test_damage(void **state)
{
    struct world *world = *state;
    char *whole;
    uint32_t luck = 1;
    unsigned refusals = 0;
    assert_int_equal(open_disk(world), 0);
    put_many(world, 300, 300);
    put_many(world, 3, 20000);
    settle(world);
    put_many(world, 60, 10); /* free pages */
    settle(world);
    close_disk(world);
    size_t size = slurp(world, &whole);
    char *broken = malloc(size);
    assert_non_null(broken);
    for (int round = 0; round < DAMAGE_ROUNDS; round++) {
        memcpy(broken, whole, size);
        for (int hit = 0; hit < 1 + round % 8; hit++) {
            luck = luck * 1664525 + 1013904223;
            size_t page = (luck >> 8) % (size / 4096);
            luck = luck * 1664525 + 1013904223;
            size_t at = round % 2 ? (luck >> 8) % 64 : (luck >> 8) % 4096; /* half of them in the heads of pages */
            luck = luck * 1664525 + 1013904223;
            broken[page * 4096 + at] = (char)(luck >> 13);
        }
        write_file(world->path, broken, size);
        int code = open_apart(world);
        if (code > 1)
            fail_msg("round %d: %d", round, code);
        refusals += code == 1;
    }
    assert_true(refusals > 50);
    free(broken);
    free(whole);
}

/* The file is cut off under a running agent: nothing saves it, but it says what it was. */
static void test_cut_under_us(void **state)
{
    struct world *world = *state;
    char said[2048] = "";
    int ends[2];
    int status = 0;
    assert_int_equal(open_disk(world), 0);
    put_many(world, 1000, 300);
    settle(world);
    close_disk(world);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {.rlim_cur = 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        if (open_disk(world) != 0 || truncate(world->path, 8192) != 0)
            _exit(9);
        put_many(world, 1000, 301);
        settle(world);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t len = 0, got; (got = read(ends[0], said + len, sizeof said - 1 - (size_t)len)) > 0;)
        len += got;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 9));
    assert_non_null(strstr(said, "the file is damaged, or the disk gives errors"));
}

/* What LMDB writes must never be taken for damage: trees that grow and shrink, long values, long lists of free pages. */
static void test_no_damage(void **state)
{
    static const size_t lens[] = {0, 20, 100, 2000, 2024, 2025, 4079, 4080, 4081, 30000};
    struct world *world = *state;
    uint32_t luck = 7;
    char why[200];
    char name[16];
    bool is_new;
    char *value = calloc(1, 30000);
    assert_non_null(value);
    world->config.size_first = 1 << 20;
    assert_int_equal(open_disk(world), 0);
    for (unsigned round = 0; round < NO_DAMAGE_ROUNDS; round++) {
        unsigned span = round % 40 < 5 ? 3000 : 60; /* now and then a large group, that frees many pages */
        unsigned gone = round % 80 < 40 ? 1 : 6;    /* of eight: growing, then shrinking */
        for (unsigned i = 0; i < span; i++) {
            luck = luck * 1664525 + 1013904223;
            snprintf(name, sizeof name, "%u", (luck >> 8) % 3500);
            bool is_gone = (luck >> 5) % 8 < gone;
            put(world, name, is_gone ? NULL : value, lens[(luck >> 20) % (span > 60 ? 8 : 10)]);
        }
        settle(world);
        if (ki_disk_check(world->path, &is_new, why, sizeof why) != 0)
            fail_msg("round %u: %s", round, why);
    }
    close_disk(world);
    assert_int_equal(open_disk(world), 0);
    size_t there = 0;
    for (size_t i = 0; i < world->count; i++)
        there += !world->rows[i].is_gone;
    assert_int_equal(world->loaded_count, there);
    close_disk(world);
    free(value);
}

/* ---- a disk that fails ---- */

static void limit_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_failing(void **state)
{
    struct world *world = *state;
    struct ki_disk_status status;
    assert_int_equal(open_disk(world), 0);
    put_text(world, "a", "1");
    settle(world);
    limit_size(64 * 1024);
    put_many(world, 100, 2000);
    settle(world);
    settle(world);
    ki_disk_status(world->disk, &status);
    limit_size(RLIM_INFINITY);
    assert_int_equal(world->last_error, EFBIG);
    assert_int_equal(world->failures, 2);
    assert_int_equal(status.failures, 2);
    assert_non_null(strstr(status.error, "ulimit -f"));
    const char *told = strstr(world->told, "cannot be written: the file may not grow");
    assert_non_null(told);
    assert_null(strstr(told + 1, "cannot be written")); /* once */
    settle(world);
    assert_int_equal(world->last_error, 0);
    ki_disk_status(world->disk, &status);
    assert_string_equal(status.error, "");
    assert_non_null(strstr(world->told, "is written again"));
    close_disk(world);
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 101);
    close_disk(world);
}

/* A file that is not the one of the start is not written. */
static void test_replaced(void **state)
{
    struct world *world = *state;
    char away[128];
    struct stat info;
    snprintf(away, sizeof away, "%s.away", world->path);
    assert_int_equal(open_disk(world), 0);
    put_text(world, "a", "1");
    settle(world);
    assert_int_equal(rename(world->path, away), 0);
    put_text(world, "b", "2");
    settle(world);
    assert_int_equal(world->last_error, ENOENT);
    write_file(world->path, "", 0);
    settle(world);
    assert_int_equal(world->last_error, ESTALE);
    assert_int_equal(stat(world->path, &info), 0);
    assert_int_equal(info.st_size, 0);
    assert_int_equal(rename(away, world->path), 0);
    settle(world);
    assert_int_equal(world->last_error, 0);
    close_disk(world);
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 2);
    close_disk(world);
}

static void test_bound(void **state)
{
    struct world *world = *state;
    struct ki_disk_status status;
    world->config.size_first = 1 << 20;
    world->config.size_max = 3 << 20;
    assert_int_equal(open_disk(world), 0);
    put_many(world, 400, 10000);
    settle(world);
    assert_int_equal(world->last_error, MDB_MAP_FULL);
    ki_disk_status(world->disk, &status);
    assert_string_equal(status.error, "the file has reached 3145728 bytes: raise -data-max, or delete keys");
    put_many(world, 400, 10);
    settle(world);
    assert_int_equal(world->last_error, 0);
    put_many(world, 400, 10000);
    settle(world);
    assert_int_equal(world->last_error, MDB_MAP_FULL);
    close_disk(world);
    assert_non_null(strstr(world->told, "lacks what was written last"));
    world->config.size_max = 100 << 20;
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 400); /* as they were: a group is there or it is not */
    assert_int_equal(world->loaded[399].len, 10);
    settle(world);
    assert_int_equal(world->last_error, 0);
    close_disk(world);
}

static void test_no_memory(void **state)
{
    struct world *world = *state;
    if (IS_SANITIZED)
        skip(); /* such an allocation counts as a mistake there */
    assert_int_equal(open_disk(world), 0);
    put_text(world, "a", "1");
    world->pretended = (struct kith_str){.ptr = "", .len = SIZE_MAX / 4};
    settle(world);
    assert_int_equal(world->last_error, ENOMEM);
    settle(world);
    assert_int_equal(world->last_error, 0);
    close_disk(world);
    assert_int_equal(open_disk(world), 0);
    assert_int_equal(world->loaded_count, 1);
    close_disk(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_again),        TEST(test_growth),    TEST(test_last_group), TEST(test_everysec),
        TEST(test_places),       TEST(test_read_only), TEST(test_foreign),    TEST(test_other_lmdb),
        TEST(test_rows_refused), TEST(test_cut_off),   TEST(test_damage),     TEST(test_no_damage),
        TEST(test_cut_under_us), TEST(test_failing),   TEST(test_replaced),   TEST(test_bound),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
