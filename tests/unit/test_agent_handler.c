/* Event handlers: what they are for, what their scripts are told, how one run goes, and how several share the time. */
#include "agent/handler.h"
#include "agent/internal.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- filters ---- */

static void test_specs(void **state)
{
    static const struct {
        const char *text, *script;
        const char *wanted; /* of "join leave failed update reap user:a user:b query:a query:b", by position */
    } rows[] = {
        {"x", "x", "111111111"},
        {"*=x", "x", "111111111"},
        {"=x", "x", "111111111"},
        {"member-join=x", "x", "100000000"},
        {"member-leave,member-failed=x y", "x y", "011000000"},
        {"member-update,member-reap=x", "x", "000110000"},
        {"user=x", "x", "000001100"},
        {"user:=x", "x", "000001100"},
        {"user:a=x", "x", "000001000"},
        {"query:b,user:b=a=b,c", "a=b,c", "000000101"},
        {"query,user:a,member-join=x", "x", "100001011"},
        {"user:ab=x", "x", "000000000"},
        {"user,*=x", "x", "111111111"},
        {"echo a,b", "echo a,b", "111111111"},
    };
    static const struct {
        enum ki_handled_kind kind;
        const char *name;
    } things[] = {{KI_HANDLED_JOIN, ""},  {KI_HANDLED_LEAVE, ""}, {KI_HANDLED_FAILED, ""},
                  {KI_HANDLED_UPDATE, ""}, {KI_HANDLED_REAP, ""},  {KI_HANDLED_USER, "a"},
                  {KI_HANDLED_USER, "b"}, {KI_HANDLED_QUERY, "a"}, {KI_HANDLED_QUERY, "b"}};
    struct ki_handler_spec spec;
    char error[KI_ERROR_TEXT];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (ki_handler_spec_parse(&spec, rows[i].text, error) != 0)
            fail_msg("%s: %s", rows[i].text, error);
        assert_string_equal(spec.script, rows[i].script);
        assert_string_equal(spec.text, rows[i].text);
        for (size_t t = 0; t < COUNT(things); t++) {
            if (ki_handler_spec_wants(&spec, things[t].kind, ki_str(things[t].name)) != (rows[i].wanted[t] == '1'))
                fail_msg("%s: %s %s", rows[i].text, ki_handled_word(things[t].kind), things[t].name);
        }
        ki_handler_spec_free(&spec);
    }
}

static void test_specs_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "has no script"},
        {"member-join=", "has no script"},
        {"join=x", "\"join\" is none of member-join, member-leave, member-failed, member-update, member-reap, user, "
                   "user:NAME, query, query:NAME, *"},
        {"user,,query=x", "\"\" is none of"},
        {"user,=x", "\"\" is none of"},
        {"member-join:a=x", "\"member-join:a\" is none of"},
        {"*:a=x", "\"*:a\" is none of"},
        {"User=x", "\"User\" is none of"},
        {" user=x", "\" user\" is none of"},
        {"users=x", "\"users\" is none of"},
        {"/bin/x --y=z", "*=script"},
    };
    struct ki_handler_spec spec;
    char error[KI_ERROR_TEXT];
    char text[300] = "user:";
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        error[0] = '\0';
        if (ki_handler_spec_parse(&spec, rows[i].text, error) != -1 || !strstr(error, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, error, rows[i].says);
    }
    memset(text + 5, 'n', 256);
    memcpy(text + 5 + 256, "=x", 3);
    assert_int_equal(ki_handler_spec_parse(&spec, text, error), -1);
    memcpy(text + 5 + 255, "=x", 3);
    assert_int_equal(ki_handler_spec_parse(&spec, text, error), 0);
    ki_handler_spec_free(&spec);
}

/* ---- what is told ---- */

static struct kith_member member_of(const char *name, const char *meta, size_t meta_len)
{
    return (struct kith_member){.name = ki_str(name),
                                .meta = {.ptr = meta, .len = meta_len},
                                .addr = {.ip = {10, 0, 0, 1}, .ip_len = 4, .port = 7946}};
}

/* role=we\tb, x\ny=1\n, empty= ; as Serf encodes tags */
#define META "\xff\x83\xa4role\xa4we\tb\xa3x\ny\xa2" "1\n\xa5" "empty\xa0"

static void test_member_input(void **state)
{
    static const char mapped[16] = "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x00\x00\x02";
    struct kith_member members[3] = {member_of("a", META, sizeof META - 1), member_of("b\tc\\", "\xff\x80", 2),
                                     member_of("old", "db", 2)}; /* one without the map has a role alone */
    (void)state;
    memcpy(members[1].addr.ip, mapped, 16);
    members[1].addr.ip_len = 16;
    memcpy(members[2].addr.ip, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    members[2].addr.ip_len = 16;
    struct ki_handled *handled = ki_handled_members(KI_MEMBER_LEAVE, members, 3);
    assert_non_null(handled);
    assert_int_equal(handled->kind, KI_HANDLED_LEAVE);
    static const char wanted[] = "a\t10.0.0.1\twe\\tb\trole=we\\tb,x\\ny=1\\n,empty=\n"
                                 "b\\tc\\\t10.0.0.2\t\t\n"
                                 "old\t2001:db8::1\tdb\trole=db\n";
    assert_int_equal(handled->input.len, sizeof wanted - 1);
    assert_memory_equal(handled->input.ptr, wanted, sizeof wanted - 1);
    ki_handled_release(handled);
}

static void test_message_input(void **state)
{
    static const struct {
        const char *payload, *input;
        size_t len;
    } rows[] = {{"", "", 0}, {"v1", "v1\n", 2}, {"v1\n", "v1\n", 3}, {"a\0b\tc", "a\0b\tc\n", 5}, {"\n\n", "\n\n", 2}};
    struct kith_event event = {.kind = KITH_EVENT_QUERY,
                               .message = {.name = ki_str("load"), .ltime = 7, .query = 5, .until_us = 99}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        event.message.payload = (struct kith_str){.ptr = rows[i].payload, .len = rows[i].len};
        struct ki_handled *handled = ki_handled_message(&event);
        assert_non_null(handled);
        size_t len = rows[i].len + (rows[i].len > 0 && rows[i].payload[rows[i].len - 1] != '\n');
        assert_int_equal(handled->input.len, len);
        assert_memory_equal(handled->input.ptr, rows[i].input, len);
        assert_string_equal(handled->name.ptr, "load");
        assert_true(handled->kind == KI_HANDLED_QUERY && handled->query == 5 && handled->until_us == 99);
        ki_handled_release(handled);
    }
}

static const char *variable(char **environment, const char *key)
{
    const char *value = NULL;
    for (size_t i = 0; environment[i]; i++) {
        if (strncmp(environment[i], key, strlen(key)) != 0 || environment[i][strlen(key)] != '=')
            continue;
        assert_null(value); /* twice */
        value = environment[i] + strlen(key) + 1;
    }
    return value;
}

static size_t variables(char **environment)
{
    size_t count = 0;
    while (environment[count])
        count++;
    return count;
}

static void test_environment(void **state)
{
    char *const inherited[] = {(char[]){"PATH=/bin"}, (char[]){"SERF_EVENT=old"}, (char[]){"SERF_EVENTS=kept"},
                               (char[]){"SERF_TAG_ROLE=old"}, (char[]){"odd"}, NULL};
    /* role, a-b.c, a_b_c, and an umlaut: one character, one underscore */
    static const char meta[] = "\xff\x84\xa4role\xa3web\xa5" "a-b.c\xa1" "1\xa5" "A_b-C\xa1" "2\xa4" "x\xc3\xa4y\xa1" "3";
    struct kith_member self = member_of("me", meta, sizeof meta - 1);
    struct kith_event event = {.kind = KITH_EVENT_USER,
                               .message = {.name = ki_str("deploy"), .ltime = 7, .payload = ki_str("")}};
    (void)state;
    struct ki_handled *handled = ki_handled_message(&event);
    char **environment = ki_handled_environment(handled, &self, inherited);
    assert_string_equal(variable(environment, "SERF_EVENT"), "user");
    assert_string_equal(variable(environment, "SERF_SELF_NAME"), "me");
    assert_string_equal(variable(environment, "SERF_SELF_ROLE"), "web");
    assert_string_equal(variable(environment, "SERF_TAG_ROLE"), "web");
    assert_string_equal(variable(environment, "SERF_TAG_A_B_C"), "2");
    assert_string_equal(variable(environment, "SERF_TAG_X_Y"), "3");
    assert_string_equal(variable(environment, "SERF_USER_EVENT"), "deploy");
    assert_string_equal(variable(environment, "SERF_USER_LTIME"), "7");
    assert_string_equal(variable(environment, "PATH"), "/bin");
    assert_string_equal(variable(environment, "SERF_EVENTS"), "kept");
    assert_null(variable(environment, "SERF_QUERY_NAME"));
    assert_int_equal(variables(environment), 11);
    ki_environment_free(environment);
    ki_handled_release(handled);

    struct kith_member plain = member_of("me", "\xff\x80", 2);
    event.kind = KITH_EVENT_QUERY;
    handled = ki_handled_message(&event);
    environment = ki_handled_environment(handled, &plain, inherited + 5);
    assert_string_equal(variable(environment, "SERF_EVENT"), "query");
    assert_string_equal(variable(environment, "SERF_SELF_ROLE"), "");
    assert_string_equal(variable(environment, "SERF_QUERY_NAME"), "deploy");
    assert_string_equal(variable(environment, "SERF_QUERY_LTIME"), "7");
    assert_int_equal(variables(environment), 5);
    ki_environment_free(environment);
    ki_handled_release(handled);
}

/* ---- one run ---- */

static uv_loop_t loop;
static struct ki_run_result result; /* of the newest run; the output in `output` */
static char output[KI_HANDLER_OUTPUT_MAX + 1];
static bool ended;

static void on_done(void *arg, const struct ki_run_result *got)
{
    (void)arg;
    assert_false(ended);
    ended = true;
    result = *got;
    memcpy(output, got->output.ptr, got->output.len);
    output[got->output.len] = '\0';
}

static struct ki_run *begin(const char *script, const char *input, size_t len, uint64_t limit_ms)
{
    char *environment[] = {(char[]){"PATH=/usr/bin:/bin"}, (char[]){"X=y"}, NULL};
    ended = false;
    memset(&result, 0, sizeof result);
    return ki_run_start(&loop, script, environment, (struct kith_str){.ptr = input, .len = len}, limit_ms, on_done, NULL);
}

static void finish(struct ki_run *run)
{
    assert_non_null(run);
    assert_false(ended); /* never from inside the start */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(ended);
}

static int setup_loop(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return uv_loop_init(&loop);
}

static int teardown_loop(void **state)
{
    (void)state;
    return uv_loop_close(&loop);
}

static void test_run(void **state)
{
    (void)state;
    finish(begin("cat; echo \"$X\"; echo oops >&2; echo end >/dev/stdout", "in\n", 3, 60000));
    assert_string_equal(output, "in\ny\noops\nend\n");
    assert_true(result.error == 0 && result.status == 0 && result.signal == 0 && !result.timed_out);
    assert_int_equal(result.written, 14);
    finish(begin("echo a; exit 3", "", 0, 60000));
    assert_int_equal(result.status, 3);
    assert_string_equal(output, "a\n");
    finish(begin("kill -9 $$", "unread", 6, 60000));
    assert_int_equal(result.signal, SIGKILL);
    finish(begin("exec 1>&- 2>&-; sleep 0.2; exit 4", "", 0, 60000)); /* its output ends before it does */
    assert_int_equal(result.status, 4);
    finish(begin("kill -PIPE $$; echo ignored", "", 0, 60000)); /* it does not inherit that we ignore this one */
    assert_int_equal(result.signal, SIGPIPE);
    finish(begin("ps -o pgid= -p $$ | tr -d ' '; echo $$", "", 0, 60000));
    int group = 0;
    int self = 1;
    assert_int_equal(sscanf(output, "%d\n%d", &group, &self), 2);
    assert_int_equal(group, self);
}

static void test_run_sizes(void **state)
{
    size_t len = (size_t)3 << 20;
    char *input = malloc(len);
    (void)state;
    assert_non_null(input);
    memset(input, 'i', len);
    finish(begin("wc -c", input, len, 60000));
    assert_int_equal(strtoul(output, NULL, 10), len);
    finish(begin("true", input, len, 60000)); /* reads nothing of it */
    assert_int_equal(result.status, 0);
    finish(begin("cat; printf 0123456789", input, len, 60000));
    assert_int_equal(result.written, len + 10);
    assert_int_equal(result.output.len, KI_HANDLER_OUTPUT_MAX);
    assert_string_equal(output + KI_HANDLER_OUTPUT_MAX - 12, "ii0123456789");
    finish(begin("head -c 8192 /dev/zero | tr '\\0' z", "", 0, 60000));
    assert_int_equal(result.written, result.output.len);
    finish(begin("head -c 8100 /dev/zero | tr '\\0' z; sleep 0.2; printf %0100d 7; sleep 0.2; printf end", "", 0, 60000));
    assert_int_equal(result.written, 8203);
    assert_string_equal(output + KI_HANDLER_OUTPUT_MAX - 5, "07end"); /* by small pieces, too, the last are kept */
    assert_int_equal(strspn(output, "z"), 8192 - 103);
    free(input);
}

static pid_t group_of(const char *pid)
{
    long group = strtol(pid, NULL, 10);
    assert_true(group > 1);
    return (pid_t)group;
}

/* Reads /proc/PID/stat: "1 (name) S 0 GROUP ...".  A process that nobody has buried yet does not live. */
static bool lives_in(const char *pid, pid_t group)
{
    char path[300];
    char text[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    const char *rest = strrchr(text, ')');
    char state = 'Z';
    int parent;
    int in = 0;
    return read && rest && sscanf(rest + 1, " %c %d %d", &state, &parent, &in) == 3 && state != 'Z' && in == group;
}

static bool group_lives(const char *pid)
{
    pid_t group = group_of(pid);
    bool lives = false;
    DIR *all = opendir("/proc");
    assert_non_null(all);
    for (struct dirent *entry; (entry = readdir(all)) != NULL;)
        lives = lives || (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && lives_in(entry->d_name, group));
    closedir(all);
    return lives;
}

/* What was killed is gone a moment later. */
static void wait_for_end(const char *pid)
{
    for (unsigned i = 0; i < 1000 && group_lives(pid); i++)
        usleep(10000);
    assert_false(group_lives(pid));
}

static void test_run_ends(void **state)
{
    (void)state;
    finish(begin("echo $$; sleep 1000", "", 0, 300));
    assert_true(result.timed_out && result.signal == SIGTERM);
    wait_for_end(output);
    finish(begin("echo $$; trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done", "", 0, 300));
    assert_true(result.timed_out && result.status == 0); /* it said goodbye, but its time was over all the same */
    assert_non_null(strstr(output, "bye"));

    /* The shell dies of SIGTERM, and what it had started ignores it. */
    char path[] = "/tmp/kith-handler-XXXXXX";
    char script[200];
    assert_non_null(mkdtemp(path));
    snprintf(script, sizeof script, "echo $$; (trap '' TERM; rmdir %s; while :; do sleep 0.05; done) >/dev/null 2>&1 & wait",
             path);
    struct ki_run *run = begin(script, "", 0, 60000);
    while (access(path, F_OK) == 0) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    ki_run_end(run, 400);
    finish(run);
    assert_false(result.timed_out);
    assert_true(result.lasted_ms >= 400);
    wait_for_end(output);
}

static void test_run_left_behind(void **state)
{
    (void)state;
    finish(begin("echo $$; sleep 100 & exit 0", "", 0, 60000));
    assert_true(result.status == 0 && result.signal == 0 && !result.timed_out);
    assert_true(result.lasted_ms >= 900 && result.lasted_ms < 30000);
    assert_true(group_lives(output)); /* on purpose: it is the script's affair */
    kill(-group_of(output), SIGKILL);
    finish(begin("(sleep 0.2; echo late) & echo soon", "", 0, 60000));
    assert_string_equal(output, "soon\nlate\n");
}

static void test_run_flood(void **state)
{
    uint64_t turns = 0;
    (void)state;
    struct ki_run *run = begin("exec yes flood", "", 0, 1000);
    assert_non_null(run);
    while (!ended && uv_run(&loop, UV_RUN_ONCE))
        turns++;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(ended && result.timed_out);
    assert_int_equal(result.output.len, KI_HANDLER_OUTPUT_MAX);
    assert_true(result.written <= (result.lasted_ms + 10) * 2 * 65536); /* held back, so that there is time for others */
}

/* ---- several handlers ---- */

static struct ki_agent *agent;
static char dir[32];
static bool stopped;

static void on_stopped(void *arg)
{
    (void)arg;
    stopped = true;
}

static const char *path_of(const char *name)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* What scripts have written to the file `name` of the directory they run in. */
static const char *written(const char *name)
{
    static char text[4096];
    FILE *file = fopen(path_of(name), "r");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = '\0';
    return text;
}

static int setup_agent(void **state)
{
    struct kith_config config;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    snprintf(dir, sizeof dir, "/tmp/kith-handler-XXXXXX");
    agent = calloc(1, sizeof *agent);
    if (!agent || !mkdtemp(dir) || setenv("D", dir, 1) != 0 || uv_loop_init(&agent->loop) != 0)
        return -1;
    kith_config_init(&config, KITH_PROFILE_LAN);
    config.name = ki_str("self");
    config.addr = (struct kith_addr){.ip = {127, 0, 0, 1}, .ip_len = 4, .port = 7946};
    agent->log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "self");
    agent->config.handler_timeout_ms = 60000;
    agent->config.handler_concurrency = 8;
    stopped = false;
    return agent->log && kith_new(&agent->k, &config) == 0 ? kith_ready(agent->k, ki_net_now()) : -1;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static int teardown_agent(void **state)
{
    (void)state;
    ki_handlers_stop(agent->handlers, on_stopped, NULL);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    ki_handlers_free(agent->handlers);
    int result_code = stopped ? uv_loop_close(&agent->loop) : -1;
    ki_strings_free(&agent->config.handlers);
    kith_free(agent->k);
    ki_log_free(agent->log);
    free(agent);
    return result_code == 0 ? nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static void handle(const char *spec)
{
    assert_true(ki_strings_add(&agent->config.handlers, spec));
}

static void happen(enum kith_event_kind kind, const char *name, const char *payload, uint64_t until_us)
{
    const struct kith_event event = {
        .kind = kind,
        .message = {.name = ki_str(name), .payload = ki_str(payload), .ltime = 1, .until_us = until_us}};
    ki_watch_message(agent, &event);
}

static void join(const char *name)
{
    struct kith_member member = member_of(name, "\xff\x80", 2);
    ki_watch_members(agent, KI_MEMBER_JOIN, &member, 1);
}

struct number {
    const char *key;
    uint64_t value;
};

static void find_number(void *arg, const char *section, const char *key, const char *value)
{
    struct number *number = arg;
    if (strcmp(section, "handlers") == 0 && strcmp(key, number->key) == 0)
        number->value = strtoull(value, NULL, 10);
}

static uint64_t number(const char *key)
{
    struct number wanted = {.key = key, .value = UINT64_MAX};
    ki_handlers_stats(agent->handlers, find_number, &wanted);
    assert_int_not_equal(wanted.value, UINT64_MAX);
    return wanted.value;
}

/* Until nothing runs and nothing waits. */
static void quiet(void)
{
    while (number("running") + number("waiting") > 0)
        uv_run(&agent->loop, UV_RUN_ONCE);
}

static void test_order(void **state)
{
    (void)state;
    handle("user=read x; echo \"$x begin\" >>$D/a; sleep 0.05; echo \"$x end\" >>$D/a");
    handle("user:two,member-join=cat >>$D/b");
    assert_int_equal(ki_handlers_start(agent), 0);
    happen(KITH_EVENT_USER, "one", "1", 0);
    happen(KITH_EVENT_USER, "two", "2", 0);
    happen(KITH_EVENT_USER, "three", "3", 0);
    join("m");
    happen(KITH_EVENT_GAP, "two", "", 0); /* none of theirs */
    assert_int_equal(number("running"), 2);
    assert_int_equal(number("waiting"), 3);
    quiet();
    assert_string_equal(written("a"), "1 begin\n1 end\n2 begin\n2 end\n3 begin\n3 end\n");
    assert_string_equal(written("b"), "2\nm\t10.0.0.1\t\t\n");
    assert_int_equal(number("invoked"), 5);
    assert_int_equal(number("failed"), 0);
}

static void test_concurrency(void **state)
{
    (void)state;
    agent->config.handler_concurrency = 2;
    for (char c = 'a'; c < 'f'; c++) {
        char spec[64];
        snprintf(spec, sizeof spec, "user=echo + >>$D/n; sleep 0.1; echo - >>$D/n; : %c", c);
        handle(spec);
    }
    assert_int_equal(ki_handlers_start(agent), 0);
    happen(KITH_EVENT_USER, "x", "", 0);
    happen(KITH_EVENT_USER, "x", "", 0);
    assert_int_equal(number("running"), 2);
    quiet();
    int most = 0;
    int now = 0;
    size_t lines = 0;
    for (const char *at = written("n"); *at; at++) {
        now += *at == '+' ? 1 : *at == '-' ? -1 : 0;
        most = now > most ? now : most;
        lines += *at == '\n';
    }
    assert_int_equal(lines, 20);
    assert_int_equal(most, 2);
}

/* With one place, the handlers take turns: the first one's second happening has waited less than the others' first. */
static void test_fair(void **state)
{
    (void)state;
    agent->config.handler_concurrency = 1;
    handle("user=read x; echo a$x >>$D/n");
    handle("user=read x; echo b$x >>$D/n");
    assert_int_equal(ki_handlers_start(agent), 0);
    happen(KITH_EVENT_USER, "x", "1", 0);
    happen(KITH_EVENT_USER, "x", "2", 0);
    quiet();
    assert_string_equal(written("n"), "a1\nb1\na2\nb2\n");
}

static void test_trouble(void **state)
{
    (void)state;
    agent->config.handler_timeout_ms = 300;
    handle("user=sleep 1000");
    handle("user=exit 3");
    handle("user=kill -9 $$");
    handle("user=head -c 100000 /dev/zero");
    handle("user=cat >>$D/fine");
    handle("query=echo ran >>$D/query");
    assert_int_equal(ki_handlers_start(agent), 0);
    happen(KITH_EVENT_USER, "x", "1", 0);
    happen(KITH_EVENT_QUERY, "late", "", 1); /* was over long ago */
    quiet();
    assert_string_equal(written("fine"), "1\n");
    assert_string_equal(written("query"), "");
    assert_int_equal(number("timed_out"), 1);
    assert_int_equal(number("failed"), 2);
    assert_int_equal(number("output_truncated"), 1);
    assert_int_equal(number("dropped"), 1);
    happen(KITH_EVENT_QUERY, "hangs", "", 0);
    assert_int_equal(number("dropped"), 2);
    happen(KITH_EVENT_QUERY, "soon", "", ki_net_now().mono_us + 60000000);
    quiet();
    assert_string_equal(written("query"), "ran\n");
    const struct kith_event odd = {
        .kind = KITH_EVENT_QUERY,
        .message = {.name = {.ptr = "a\0b", .len = 3}, .payload = ki_str(""), .until_us = UINT64_MAX}};
    ki_watch_message(agent, &odd);
    assert_int_equal(number("running"), 0);
    assert_int_equal(number("failed"), 3);
}

static void test_overflow(void **state)
{
    static char large[(5 << 20) + 1];
    (void)state;
    memset(large, 'l', sizeof large - 1);
    handle("user:many=cat >/dev/null; sleep 0.3");
    handle("user:large=wc -c >>$D/n; sleep 0.3");
    assert_int_equal(ki_handlers_start(agent), 0);
    for (unsigned i = 0; i < 1 + 1024 + 3; i++) /* one runs */
        happen(KITH_EVENT_USER, "many", "x", 0);
    assert_int_equal(number("waiting"), 1024);
    assert_int_equal(number("dropped"), 3);
    for (unsigned i = 0; i < 3; i++)
        happen(KITH_EVENT_USER, "large", large, 0); /* one runs, one waits, and 10 MiB are too many */
    happen(KITH_EVENT_USER, "large", "small", 0);
    assert_int_equal(number("dropped"), 4);
    assert_int_equal(number("waiting"), 1026);
    while (strcmp(written("n"), "5242881\n5242881\n6\n") != 0)
        uv_run(&agent->loop, UV_RUN_ONCE);
    assert_true(number("waiting") > 1000); /* the teardown drops them */
}

static void test_reload(void **state)
{
    struct ki_config config = {.handler_timeout_ms = 1000, .handler_concurrency = 8};
    (void)state;
    handle("user=read x; sleep 0.2; echo $x >>$D/kept");
    handle("user=read x; sleep 0.2; echo $x >>$D/lost");
    assert_int_equal(ki_handlers_start(agent), 0);
    happen(KITH_EVENT_USER, "x", "1", 0);
    happen(KITH_EVENT_USER, "x", "2", 0);
    assert_true(ki_strings_add(&config.handlers, "user=read x; echo $x >>$D/new"));
    assert_true(ki_strings_add(&config.handlers, "user=read x; sleep 0.2; echo $x >>$D/kept"));
    assert_int_equal(ki_handlers_reload(agent, &config), 0);
    assert_int_equal(number("running"), 2);
    happen(KITH_EVENT_USER, "x", "3", 0);
    quiet();
    assert_string_equal(written("kept"), "1\n2\n3\n"); /* one after the other, across the reload */
    assert_string_equal(written("lost"), "1\n");       /* what ran has ended, what waited is gone */
    assert_string_equal(written("new"), "3\n");
    ki_strings_free(&config.handlers);
}

static char told[512];

static void tell(void *arg, const char *section, const char *key, const char *value)
{
    size_t at = strlen(told);
    (void)arg;
    snprintf(told + at, sizeof told - at, "%s %s=%s|", section, key ? key : "-", value ? value : "-");
}

static void test_stats(void **state)
{
    struct ki_config none = {.handler_timeout_ms = 1, .handler_concurrency = 1};
    (void)state;
    handle("x");
    handle("user:a,user,user:a=first");
    handle("member-join,user:a=second=2");
    assert_int_equal(ki_handlers_start(agent), 0);
    told[0] = '\0';
    ki_handlers_stats_serf(agent->handlers, tell, NULL);
    assert_string_equal(told, "event_handlers *:=x|event_handlers user:=first|event_handlers member-join:=second=2|"
                              "event_handlers user:a=second=2|");
    assert_int_equal(ki_handlers_reload(agent, &none), 0);
    told[0] = '\0';
    ki_handlers_stats_serf(agent->handlers, tell, NULL);
    assert_string_equal(told, "event_handlers -=-|");
}

/* The teardown sees that nothing is left; here: that nothing of it runs on. */
static void test_stop(void **state)
{
    (void)state;
    handle("user=echo $$ >$D/pid; sleep 1000");
    handle("user=trap '' TERM; echo $$ >$D/stubborn; while :; do sleep 0.05; done");
    assert_int_equal(ki_handlers_start(agent), 0);
    happen(KITH_EVENT_USER, "x", "", 0);
    while (!*written("pid") || !*written("stubborn"))
        usleep(10000);
    ki_handlers_stop(agent->handlers, on_stopped, NULL);
    assert_false(stopped);
    happen(KITH_EVENT_USER, "x", "", 0); /* nobody looks on any more */
    assert_int_equal(number("waiting"), 0);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    assert_true(stopped);
    wait_for_end(written("pid"));
    wait_for_end(written("stubborn"));
    assert_int_equal(number("failed") + number("timed_out") + number("running"), 0);
}

#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, setup_loop, teardown_loop)
#define AGENT_TEST(name) cmocka_unit_test_setup_teardown(name, setup_agent, teardown_agent)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specs),
        cmocka_unit_test(test_specs_refused),
        cmocka_unit_test(test_member_input),
        cmocka_unit_test(test_message_input),
        cmocka_unit_test(test_environment),
        RUN_TEST(test_run),
        RUN_TEST(test_run_sizes),
        RUN_TEST(test_run_ends),
        RUN_TEST(test_run_left_behind),
        RUN_TEST(test_run_flood),
        AGENT_TEST(test_order),
        AGENT_TEST(test_concurrency),
        AGENT_TEST(test_fair),
        AGENT_TEST(test_trouble),
        AGENT_TEST(test_overflow),
        AGENT_TEST(test_reload),
        AGENT_TEST(test_stats),
        AGENT_TEST(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
