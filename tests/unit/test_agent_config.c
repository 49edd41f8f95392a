/* Flags, variables, files: what is taken, what is refused with which words, and which source wins. */
#include "agent/agent.h"
#include "agent/config.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_WORDS 12

static int count_words(char *const *words)
{
    int count = 0;
    while (words[count])
        count++;
    return count;
}

static int read_words(struct ki_config *config, const char *const *words, char *error)
{
    char *copy[MAX_WORDS + 1] = {NULL};
    for (size_t i = 0; i < MAX_WORDS && words[i]; i++)
        copy[i] = strdup(words[i]);
    int result = ki_config_read(config, count_words(copy), copy, error);
    for (size_t i = 0; i < MAX_WORDS; i++)
        free(copy[i]);
    return result;
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        bool fine;
        uint32_t ms;
    } rows[] = {
        {"30s", true, 30000},     {"1m30s", true, 90000}, {"500ms", true, 500},  {"1.5h", true, 5400000},
        {"0", true, 0},           {"0s", true, 0},        {"1us", true, 1},      {"1ns", true, 1},
        {"1h1m1s1ms", true, 3661001}, {".5s", true, 500}, {"1.s", true, 1000},   {"2\xc2\xb5s", true, 1},
        {"", false, 0},           {"5", false, 0},        {"s", false, 0},       {"-1s", false, 0},
        {"1d", false, 0},         {"1s ", false, 0},      {".s", false, 0},      {"1000000h", false, 0},
        {"99999999999999999999s", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t ms = 0;
        if (ki_duration_parse(rows[i].text, &ms) != rows[i].fine || ms != rows[i].ms)
            fail_msg("\"%s\" gave %u", rows[i].text, ms);
    }
}

static void test_versions(void **state)
{
    uint8_t v[3];
    (void)state;
    assert_true(ki_config_versions("2/5/4", v));
    assert_int_equal(v[0] * 100 + v[1] * 10 + v[2], 254);
    assert_true(ki_config_versions("0/0/0", v));
    static const char *const bad[] = {"", "2", "2/5", "2/5/", "2/5/5/", "2/5/6", "3/5/2", "256/256/256", "a/b/c"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ki_config_versions(bad[i], v));
}

static void test_flag_forms(void **state)
{
    static const char *const words[] = {"-node=a", "--bind", "127.0.0.1:1", "-tag", "k=v=w", "--tag=empty=",
                                        "-rejoin", "-replay=false", "-join=x", "-join", "y", NULL};
    struct ki_config config;
    char error[KI_ERROR_TEXT];
    (void)state;
    assert_int_equal(read_words(&config, words, error), 0);
    assert_string_equal(config.node, "a");
    assert_string_equal(config.bind, "127.0.0.1:1");
    assert_string_equal(ki_tags_get(&config.tags, ki_str("k")), "v=w");
    assert_string_equal(ki_tags_get(&config.tags, ki_str("empty")), "");
    assert_true(config.rejoin);
    assert_false(config.replay);
    assert_int_equal(config.join.count, 2);
    assert_string_equal(config.join.items[1], "y");
    assert_true(config.compression && config.gauges);
    assert_true(config.leave_on_terminate);
    assert_string_equal(config.profile, "lan");
    ki_config_free(&config);
}

static void test_refused(void **state)
{
    static const struct {
        const char *words[4];
        const char *says;
    } rows[] = {
        {{"-nope", NULL}, "not defined: -nope"},
        {{"-bind", NULL}, "needs an argument: -bind"},
        {{"word", NULL}, "unexpected argument \"word\""},
        {{"-rejoin", "true", NULL}, "unexpected argument \"true\""}, /* Go's booleans take no word after them */
        {{"-rejoin=maybe", NULL}, "neither true nor false"},
        {{"-tag=novalue", NULL}, "key=value"},
        {{"-tag==v", NULL}, "key=value"},
        {{"-retry-max=x", NULL}, "not a number"},
        {{"-retry-max=-1", NULL}, "not a number"},
        {{"-retry-interval=30", NULL}, "duration"},
        {{"-fsync=yes", NULL}, "not one of always, everysec, no"},
        {{"-data-dir=", NULL}, "-data-dir: the value is empty"},
        {{"-encrypt", "", NULL}, "-encrypt: the value is empty"},
        {{"-tags-file=", "-tag=a=b", NULL}, "-tags-file: the value is empty"},
        {{"-role", "", NULL}, "-role: the value is empty"},
        {{"-data-max=64X", NULL}, "not a number of bytes"},
        {{"-data-max=G", NULL}, "not a number of bytes"},
        {{"-data-max=16777216T", NULL}, "not a number of bytes"}, /* 2^64 */
        {{"-data-max=1023K", NULL}, "at least 1M"},
        {{"-retry-interval=0", NULL}, "more than 0"},
        {{"-broadcast-timeout=soon", NULL}, "duration"},
        {{"-event-handler=joined=x", NULL}, "\"joined\" is none of member-join"},
        {{"-event-handler", "user:a=", NULL}, "has no script"},
        {{"-handler-timeout=0", NULL}, "more than 0"},
        {{"-handler-concurrency=0", NULL}, "more than 0"},
        {{"-discover=x", NULL}, "-discover is not implemented yet"},
        {{"-iface=x", NULL}, "-iface is not implemented yet"},
        {{"-syslog", NULL}, "-syslog is not implemented yet"},
        {{"-encrypt=AAAA", NULL}, "3 bytes; it must have 16, 24 or 32"},
        {{"-encrypt=!!", NULL}, "not base64"},
        {{"-encrypt=AAAAAAAAAAAAAAAAAAAAAA==", "-keyring-file=x", NULL}, "-encrypt or -keyring-file"},
        {{"-tag=a=b", "-tags-file=x", NULL}, "-tag or -tags-file"},
        {{"-profile=moon", NULL}, "lan, wan, local"},
        {{"-log-level=loud", NULL}, "trace, debug"},
        {{"-log-format=xml", NULL}, "text, logfmt, json"},
        {{"-protocol=6", NULL}, "2, 3, 4, 5"},
        {{"-protocol=1", NULL}, "2, 3, 4, 5"},
        {{"-delegate-versions=5/2/2", NULL}, "lowest/highest/spoken"},
        {{"-protocol=5", "-delegate-versions=2/5/5", NULL}, "one of them"},
        {{"-node=", NULL}, "-node: the value is empty"},
        {{"-config-file=/does/not/exist", NULL}, "No such file"},
        {{"-config-dir=/does/not/exist", NULL}, "No such file"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ki_config config;
        char error[KI_ERROR_TEXT] = "";
        if (read_words(&config, rows[i].words, error) != -1 || !strstr(error, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].words[0], error, rows[i].says);
    }
}

/* ---- files ---- */

struct files {
    char dir[32], path[64];
};

static int setup_files(void **state)
{
    struct files *files = calloc(1, sizeof *files);
    snprintf(files->dir, sizeof files->dir, "/tmp/kith-config-XXXXXX");
    *state = files;
    return mkdtemp(files->dir) ? 0 : -1;
}

static const char *put(struct files *files, const char *name, const char *text)
{
    snprintf(files->path, sizeof files->path, "%s/%s", files->dir, name);
    FILE *file = fopen(files->path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return files->path;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static int teardown_files(void **state)
{
    struct files *files = *state;
    int result = nftw(files->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(files);
    return result;
}

static void test_json_values(void **state)
{
    struct ki_config config;
    struct kith_config core;
    char error[KI_ERROR_TEXT];
    const char *path = put(*state, "a.json",
                           "{ \"node_name\": \"n\", \"tags\": {\"role\": \"web\"}, \"start_join\": [\"a\", \"b:1\"],\n"
                           "  \"retry_max_attempts\": 3, \"retry_interval\": \"2s\", \"rejoin_after_leave\": true,\n"
                           "  \"enable_compression\": false, \"skip_leave_on_interrupt\": true,\n"
                           "  \"leave_on_terminate\": false, \"reconnect_timeout\": \"1h\", \"members_max\": 99,\n"
                           "  \"memory_max\": 5000000000, \"disable_coordinates\": true, \"discover\": \"\",\n"
                           "  \"event_handlers\": [\"x\", \"user:a,user:b=y\"], \"handler_timeout\": \"2s\",\n"
                           "  \"handler_concurrency\": 3, \"gauges\": false,\n"
                           "  \"syslog_facility\": \"x\",\n"
                           "  \"user_event_size_limit\": 9, \"data_dir\": \"d\", \"fsync\": \"no\", \"data_max\": \"3G\" }");
    const char *const words[] = {"-config-file", path, "-broadcast-timeout=7s", NULL};
    if (read_words(&config, words, error) != 0)
        fail_msg("%s", error);
    assert_string_equal(config.node, "n");
    assert_string_equal(ki_tags_get(&config.tags, ki_str("role")), "web");
    assert_int_equal(config.join.count, 2);
    assert_int_equal(config.retry_max, 3);
    assert_string_equal(config.data_dir, "d");
    assert_string_equal(config.fsync, "no");
    assert_int_equal(config.data_max, (uint64_t)3 << 30);
    assert_int_equal(config.retry_interval_ms, 2000);
    assert_int_equal(config.handlers.count, 2);
    assert_string_equal(config.handlers.items[1], "user:a,user:b=y");
    assert_int_equal(config.handler_timeout_ms, 2000);
    assert_int_equal(config.handler_concurrency, 3);
    assert_true(config.rejoin && config.skip_leave_on_interrupt);
    assert_false(config.compression || config.leave_on_terminate);
    assert_false(config.coordinates || config.gauges);
    assert_int_equal(config.ignored.count, 1);
    assert_string_equal(config.ignored.items[0], "syslog_facility");
    kith_config_init(&core, KITH_PROFILE_LAN);
    uint32_t untouched = core.intents_max;
    ki_config_apply_limits(&config, &core);
    assert_int_equal(core.event_size_max, 9); /* Serf's name of it */
    assert_int_equal(core.members_max, 99);
    assert_int_equal(core.memory_max, 5000000000);
    assert_int_equal(core.reconnect_timeout_ms, 3600000);
    assert_int_equal(core.broadcast_timeout_ms, 7000);
    assert_int_equal(core.intents_max, untouched);
    ki_config_free(&config);
}

/* What Serf's agent takes as not given: a template fills in every key, some with nothing. */
static void test_json_empty(void **state)
{
    struct ki_config config;
    char error[KI_ERROR_TEXT];
    const char *path = put(*state, "a.json",
                           "{ \"node_name\": \"\", \"bind\": \"\", \"advertise\": \"\", \"role\": \"\", \"tags\": null,\n"
                           "  \"tags_file\": \"\", \"encrypt_key\": \"\", \"keyring_file\": \"\", \"rpc_addr\": \"\",\n"
                           "  \"snapshot_path\": \"\", \"rpc_auth\": \"\", \"profile\": \"\", \"log_level\": \"\",\n"
                           "  \"interface\": null, \"retry_interval\": \"\", \"broadcast_timeout\": \"\",\n"
                           "  \"tombstone_timeout\": null, \"start_join\": null, \"retry_join\": [],\n"
                           "  \"event_handlers\": null, \"protocol\": null, \"rejoin_after_leave\": null,\n"
                           "  \"statsd_addr\": \"\", \"discover\": \"\" }");
    const char *const words[] = {"-config-file", path, "-tag=a=b", "-encrypt=AAAAAAAAAAAAAAAAAAAAAA==", NULL};
    if (read_words(&config, words, error) != 0)
        fail_msg("%s", error);
    assert_true(config.node && config.node[0]);
    assert_string_equal(config.bind, "0.0.0.0:7946");
    assert_string_equal(config.profile, "lan");
    assert_string_equal(config.log_level, "info");
    assert_int_equal(config.retry_interval_ms, 30000);
    assert_int_equal(config.tags.count, 1);
    assert_false(config.advertise || config.role || config.tags_file || config.keyring_file || config.snapshot ||
                 config.rpc_addr || config.rpc_auth);
    for (size_t i = 0; i < ki_limit_count; i++)
        assert_false(config.limits[i].set);
    ki_config_free(&config);
}

static void test_json_refused(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"{\n\"node_name\": \"a\",\n\"tags\": {\"deep\": \"x,{\\\"\"},\n\"nodename\": 1\n}",
         "line 4: unknown key \"nodename\""},
        {"{\"a\\u0062\": 1}", "line 1: unknown key \"ab\""},
        {"{\n\"bind\": \"a\",\n\"bind\": \"b\"}", "line 3: duplicate"},
        {"{\"tags\": {\"a\": \"1\",\n \"a\": \"2\"}}", "line 2: duplicate"},
        {"[]", "must be a JSON object"},
        {"{", "line 1"},
        {"{\"node_name\": 1}", "node_name must be a string"},
        {"{\"rejoin_after_leave\": \"yes\"}", "must be true or false"},
        {"{\"protocol\": \"5\"}", "must be a whole number"},
        {"{\"start_join\": \"a\"}", "must be an array of strings"},
        {"{\"start_join\": [1]}", "must be an array of strings"},
        {"{\"tags\": {\"a\": 1}}", "must be an object of strings"},
        {"{\"retry_interval\": 5}", "must be a duration"},
        {"{\"members_max\": -1}", "not a number from 0 to 4294967295"},
        {"{\"members_max\": 4294967296}", "not a number from 0 to 4294967295"},
        {"{\"members_max\": \"5\"}", "must be a whole number"},
        {"{\"discover\": \"x\"}", "discover is not implemented yet"},
        {"{\"event_handlers\": \"x\"}", "event_handlers must be an array of strings"},
        {"{\n\"event_handlers\": [\"on=x\"]}", "line 2: event_handlers: \"on\" is none of"},
        {"{\"enable_syslog\": true}", "enable_syslog is not implemented yet"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ki_config config;
        char error[KI_ERROR_TEXT] = "";
        const char *const words[] = {"-config-file", put(*state, "a.json", rows[i].text), NULL};
        if (read_words(&config, words, error) != -1 || !strstr(error, rows[i].says) || !strstr(error, "a.json"))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, error, rows[i].says);
    }
}

static void test_precedence(void **state)
{
    struct files *files = *state;
    struct ki_config config;
    char error[KI_ERROR_TEXT];
    char file[64];
    char dir[64];
    static const char *const expected[] = {"lan", "file", "second", "env", "flag"};
    snprintf(dir, sizeof dir, "%s/d", files->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    put(files, "d/1.json", "{\"node_name\": \"first\", \"tags\": {\"a\": \"1\"}, \"start_join\": [\"d\"]}");
    put(files, "d/2.json", "{\"node_name\": \"second\"}");
    put(files, "d/9.txt", "this is not read");
    snprintf(file, sizeof file, "%s",
             put(files, "f.json", "{\"node_name\": \"file\", \"tags\": {\"a\": \"0\", \"b\": \"0\"}}"));
    for (size_t sources = 1; sources <= 4; sources++) {
        const char *words[MAX_WORDS + 1] = {NULL};
        size_t at = 0;
        words[at++] = "-config-file";
        words[at++] = file;
        if (sources >= 2) {
            words[at++] = "-config-dir";
            words[at++] = dir;
        }
        if (sources >= 3)
            setenv("KITH_NODE", "env", 1);
        if (sources >= 4)
            words[at++] = "-node=flag";
        if (read_words(&config, words, error) != 0)
            fail_msg("%s", error);
        assert_string_equal(config.node, expected[sources]);
        assert_string_equal(ki_tags_get(&config.tags, ki_str("a")), sources >= 2 ? "1" : "0");
        assert_string_equal(ki_tags_get(&config.tags, ki_str("b")), "0"); /* tags gather */
        ki_config_free(&config);
    }
    unsetenv("KITH_NODE");
}

static void test_variables(void **state)
{
    static const char *const none[] = {NULL};
    struct ki_config config;
    char error[KI_ERROR_TEXT];
    (void)state;
    setenv("KITH_JOIN", "a,b:2", 1);
    setenv("KITH_TAG", "x=1,y=2", 1);
    setenv("KITH_EVENT_HANDLER", "user:a,user:b=x, y\nz", 1); /* one a line: they have commas */
    setenv("KITH_DISABLE_COMPRESSION", "true", 1);
    setenv("KITH_QUEUE_MAX", "17", 1);
    setenv("KITH_RPC_ADDR", "", 1); /* empty is not set */
    if (read_words(&config, none, error) != 0)
        fail_msg("%s", error);
    assert_int_equal(config.join.count, 2);
    assert_int_equal(config.handlers.count, 2);
    assert_string_equal(config.handlers.items[0], "user:a,user:b=x, y");
    assert_string_equal(config.handlers.items[1], "z");
    assert_string_equal(ki_tags_get(&config.tags, ki_str("y")), "2");
    assert_false(config.compression);
    assert_null(config.rpc_addr);
    ki_config_free(&config);
    setenv("KITH_QUEUE_MAX", "many", 1);
    assert_int_equal(read_words(&config, none, error), -1);
    assert_non_null(strstr(error, "KITH_QUEUE_MAX"));
    static const char *const names[] = {"KITH_EVENT_HANDLER", "KITH_JOIN", "KITH_TAG", "KITH_DISABLE_COMPRESSION",
                                        "KITH_QUEUE_MAX", "KITH_RPC_ADDR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

/* Every flag that works is in the help, and every line of the help fits a terminal. */
static void test_help(void **state)
{
    char *help = ki_agent_help();
    char flag[64];
    (void)state;
    assert_non_null(help);
    for (size_t i = 0; i < ki_option_count; i++) {
        if (!ki_options[i].flag || ki_options[i].kind >= KI_OPTION_IGNORED)
            continue;
        snprintf(flag, sizeof flag, "  -%s", ki_options[i].flag);
        assert_non_null(strstr(help, flag));
    }
    for (const char *line = help; *line; line = strchr(line, '\n') + 1)
        assert_true(strchr(line, '\n') - line <= 80);
    free(help);
    static const char *const words[] = {"-bind=x", "-help", "-nope", NULL};
    struct ki_config config;
    char error[KI_ERROR_TEXT];
    assert_int_equal(read_words(&config, words, error), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_flag_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test_setup_teardown(test_json_values, setup_files, teardown_files),
        cmocka_unit_test_setup_teardown(test_json_empty, setup_files, teardown_files),
        cmocka_unit_test_setup_teardown(test_json_refused, setup_files, teardown_files),
        cmocka_unit_test_setup_teardown(test_precedence, setup_files, teardown_files),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
