/* The log: shapes, levels, ring, readers that stop, watchers that come and go. */
#include "agent/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

struct output {
    int fd[2];
    char text[8192];
};

static const char *drain(struct output *out)
{
    ssize_t len = read(out->fd[0], out->text, sizeof out->text - 1);
    out->text[len > 0 ? len : 0] = '\0';
    return out->text;
}

/* Compares with '0' in the pattern standing for any digit. */
static bool looks_like(const char *text, const char *pattern)
{
    for (; *text && *pattern; text++, pattern++) {
        bool digit = *text >= '0' && *text <= '9';
        if (*pattern == '0' ? !digit : *text != *pattern)
            return false;
    }
    return *text == *pattern;
}

static void test_shapes(void **state)
{
    struct output out;
    (void)state;
    assert_int_equal(pipe(out.fd), 0);
    struct ki_log *log = ki_log_new(out.fd[1], KI_LOG_INFO, KI_LOG_TEXT, "n\"1");
    ki_log(log, KI_LOG_INFO, "agent", "hello %s", "x\n\x1b[31m");
    assert_non_null(strstr(drain(&out), " [INFO] agent: hello x??[31m\n"));
    out.text[4 + 19] = '\0';
    assert_true(looks_like(out.text, "    0000/00/00 00:00:00"));
    ki_log_free(log);

    log = ki_log_new(out.fd[1], KI_LOG_WARN, KI_LOG_LOGFMT, "n\"1");
    ki_log(log, KI_LOG_INFO, "agent", "not this");
    ki_log(log, KI_LOG_ERR, "net", "say \"%d\"", 7);
    drain(&out);
    assert_non_null(strstr(out.text, " level=error component=net node=\"n\\\"1\" msg=\"say \\\"7\\\"\"\n"));
    assert_null(strstr(out.text, "not this"));
    ki_log_free(log);

    log = ki_log_new(out.fd[1], KI_LOG_TRACE, KI_LOG_JSON, "n\"1");
    ki_log(log, KI_LOG_TRACE, "net", "say \"%d\"", 7);
    json_t *line = json_loads(drain(&out), 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "say \"7\"");
    assert_string_equal(json_string_value(json_object_get(line, "node")), "n\"1");
    assert_string_equal(json_string_value(json_object_get(line, "level")), "trace");
    assert_true(looks_like(json_string_value(json_object_get(line, "time")), "0000-00-00T00:00:00.000Z"));
    json_decref(line);
    ki_log_free(log);

    /* bytes that are no text cost themselves, not the line; C1 controls are none either */
    log = ki_log_new(out.fd[1], KI_LOG_TRACE, KI_LOG_JSON, "n\xff" "1");
    ki_log(log, KI_LOG_INFO, "net", "bad utf-8 \xff, \xc2\x9b, good \xc3\xa9, cut \xc3");
    line = json_loads(drain(&out), 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "bad utf-8 ?, ??, good \xc3\xa9, cut ?");
    assert_string_equal(json_string_value(json_object_get(line, "node")), "n?1");
    json_decref(line);
    ki_log_free(log);
    close(out.fd[0]);
    close(out.fd[1]);
}

static void test_journal(void **state)
{
    char path[] = "/tmp/kith-log-XXXXXX";
    char stream[64];
    char text[128] = "";
    struct stat info;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    struct ki_log *log = ki_log_new(fd, KI_LOG_DEBUG, KI_LOG_TEXT, "n");
    unsetenv("JOURNAL_STREAM");
    ki_log(log, KI_LOG_WARN, "serf", "x");
    ki_log(log, KI_LOG_DEBUG, "serf", "y");
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, "<4>serf: x\n<7>serf: y\n");
    ki_log_free(log);
    close(fd);
    unlink(path);
}

static void test_levels(void **state)
{
    enum ki_log_level level;
    (void)state;
    assert_true(ki_log_level_parse("DeBuG", &level));
    assert_int_equal(level, KI_LOG_DEBUG);
    assert_true(ki_log_level_parse("err", &level));
    assert_int_equal(level, KI_LOG_ERR);
    assert_false(ki_log_level_parse("error!", &level));
    assert_false(ki_log_level_parse("", &level));
}

/* A watcher that counts lines, and leaves after `leave_after` of them. */
struct counter {
    struct ki_log *log;
    struct ki_log_watch watch;
    unsigned count, leave_after;
    struct counter *takes_along; /* unwatched with it */
    char last[128];
};

static void on_line(void *arg, const char *line)
{
    struct counter *counter = arg;
    counter->count++;
    snprintf(counter->last, sizeof counter->last, "%s", line);
    ki_log(counter->log, KI_LOG_INFO, "agent", "a line from inside"); /* must not come back to us */
    if (counter->count == counter->leave_after) {
        ki_log_unwatch(counter->log, &counter->watch);
        if (counter->takes_along)
            ki_log_unwatch(counter->log, &counter->takes_along->watch);
    }
}

static void watch(struct counter *counter, struct ki_log *log, enum ki_log_level level)
{
    counter->log = log;
    counter->watch = (struct ki_log_watch){.line = on_line, .arg = counter, .level = level};
    ki_log_watch(log, &counter->watch);
}

static void test_ring(void **state)
{
    struct ki_log *log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "n");
    struct counter all = {.count = 0};
    struct counter warnings = {.count = 0};
    struct counter some = {.leave_after = 5};
    (void)state;
    for (int i = 0; i < 600; i++)
        ki_log(log, i % 2 ? KI_LOG_WARN : KI_LOG_TRACE, "agent", "line %d", i);
    watch(&all, log, KI_LOG_TRACE);
    assert_int_equal(all.count, KI_LOG_RING); /* lines of every level, whatever the log's own */
    assert_non_null(strstr(all.last, "line 599"));
    ki_log_unwatch(log, &all.watch);
    ki_log_free(log);

    log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "n");
    for (int i = 0; i < 20; i++)
        ki_log(log, i % 2 ? KI_LOG_WARN : KI_LOG_TRACE, "agent", "line %d", i);
    watch(&warnings, log, KI_LOG_WARN);
    assert_int_equal(warnings.count, 10);
    watch(&some, log, KI_LOG_TRACE); /* leaves in the middle of the old lines */
    assert_int_equal(some.count, 5);
    ki_log(log, KI_LOG_WARN, "agent", "new");
    assert_int_equal(some.count, 5);
    assert_int_equal(warnings.count, 11);
    ki_log_free(log);
}

static void test_watchers_leave_while_told(void **state)
{
    struct ki_log *log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "n");
    struct counter first = {.count = 0};
    struct counter second = {.count = 0};
    struct counter third = {.leave_after = 1, .takes_along = &second};
    (void)state;
    watch(&first, log, KI_LOG_TRACE);
    watch(&second, log, KI_LOG_TRACE);
    watch(&third, log, KI_LOG_TRACE); /* told first: the newest is */
    ki_log(log, KI_LOG_INFO, "agent", "x");
    assert_int_equal(third.count, 1);
    assert_int_equal(second.count, 0);
    assert_int_equal(first.count, 1);
    ki_log(log, KI_LOG_INFO, "agent", "y");
    assert_int_equal(third.count + second.count, 1);
    assert_int_equal(first.count, 2);
    ki_log_free(log);
}

/* Reads what is there; returns its lines. */
static unsigned swallow(int fd, char *text, size_t cap)
{
    size_t len = 0;
    unsigned lines = 0;
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    for (ssize_t got; (got = read(fd, text + len, cap - 1 - len)) > 0;)
        len += (size_t)got;
    text[len] = '\0';
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

/* Nobody reads: the log does not block, and says afterwards what is missing. */
static void test_unread(void **state)
{
    static char text[1 << 18];
    char expected[80];
    int fd[2];
    (void)state;
    alarm(60); /* rather than for ever */
    assert_int_equal(pipe(fd), 0);
    struct ki_log *log = ki_log_new(fd[1], KI_LOG_INFO, KI_LOG_TEXT, "n");
    for (int i = 0; i < 3000; i++)
        ki_log(log, KI_LOG_INFO, "agent", "%080d", i);
    unsigned lines = swallow(fd[0], text, sizeof text);
    assert_in_range(lines, 100, 2999);
    snprintf(expected, sizeof expected, " [WARN] agent: %u lines of the log dropped: nobody read them in time\n",
             3000 - lines);
    ki_log(log, KI_LOG_DEBUG, "agent", "not this");
    ki_log(log, KI_LOG_INFO, "agent", "after");
    assert_int_equal(swallow(fd[0], text, sizeof text), 2);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, " [INFO] agent: after\n"));
    ki_log(log, KI_LOG_INFO, "agent", "once");
    assert_int_equal(swallow(fd[0], text, sizeof text), 1);
    ki_log_free(log);
    alarm(0);
}

/* A line that was taken in part ends before the next begins. */
static void test_torn(void **state)
{
    static char text[1 << 18], page[4096];
    char quotes[2001];
    int fd[2];
    (void)state;
    alarm(60);
    memset(quotes, '"', sizeof quotes - 1);
    quotes[2000] = '\0';
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(fcntl(fd[1], F_SETPIPE_SZ, 8192), 8192);
    assert_int_equal(write(fd[1], page, sizeof page), sizeof page);
    struct ki_log *log = ki_log_new(fd[1], KI_LOG_INFO, KI_LOG_JSON, "n");
    for (int i = 0; i < 5; i++)
        ki_log(log, KI_LOG_INFO, "agent", "%s%s", quotes, quotes); /* cut to 2,047, and twice as long in JSON */
    assert_int_equal(swallow(fd[0], text, sizeof text), 0);
    assert_int_equal(text[sizeof page], '{'); /* the first of them began */
    ki_log(log, KI_LOG_INFO, "agent", "after");
    assert_int_equal(swallow(fd[0], text, sizeof text), 3);
    char *note = strchr(text, '\n');
    assert_ptr_equal(note, text);
    assert_non_null(strstr(note, "\"msg\":\"5 lines of the log dropped: nobody read them in time\"}\n{"));
    ki_log_free(log);
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_unread),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_watchers_leave_while_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
