/* kith monitor: the agent's log, the last 512 lines and then what comes, and its events.
 *
 * Two requests on one connection, `monitor` and `stream`; their records arrive mixed, told apart by
 * their numbers.  The first header with a number is the answer to the request, those after it are
 * followed by a record.
 *
 * Ends when the agent does (exit code 1), or by a signal.  Every line is flushed, so that it can be piped. */
#include "cli/cli.h"

#include <string.h>

#include "cli/event_record.h"

struct monitor {
    struct ki_rpc_client client;
    uint64_t log_seq;
    uint64_t event_seq;
    bool log_answered;
    bool event_answered;
    bool json;
};

/* ---- printing ---- */

static bool monitor_line(const struct monitor *monitor, struct ki_span object)
{
    struct record {
        struct ki_span log;
    } record = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct record, log, "Log", KI_FIELD_BYTES, 0, false)};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &record))
        return false;
    if (monitor->json)
        return ki_json_print_line(json_pack("{s:o}", "log", ki_json_bytes(record.log)));
    ki_print_safe(stdout, record.log);
    putchar('\n');
    return true;
}

static void monitor_field(const char *name, struct ki_span value)
{
    printf("\t%s: ", name);
    ki_print_safe(stdout, value);
    putchar('\n');
}

static void monitor_event_text(const struct ki_event_record *record)
{
    puts("Event Info:");
    monitor_field("Event", record->event);
    for (size_t i = 0; i < record->members.count; i++) {
        char addr[KI_ADDR_TEXT_MAX];
        ki_listed_addr(&record->members.members[i], addr);
        fputs("\tMember: ", stdout);
        ki_print_safe(stdout, record->members.members[i].name);
        printf(" %s ", addr);
        ki_print_safe(stdout, record->members.members[i].status);
        putchar('\n');
    }
    if (record->kind != KI_EVENT_USER && record->kind != KI_EVENT_QUERY)
        return;
    monitor_field("Name", record->name);
    monitor_field("Payload", record->payload);
    printf("\tLTime: %llu\n", (unsigned long long)record->ltime);
}

static bool monitor_event(const struct monitor *monitor, struct ki_span object)
{
    struct ki_event_record record;
    bool good = ki_event_record_read(&record, object);
    if (good && monitor->json)
        good = ki_json_print_line(ki_event_record_json(&record));
    else if (good)
        monitor_event_text(&record);
    ki_event_record_free(&record);
    return good;
}

/* ---- following ---- */

/* Takes one header and what follows it.  Returns -1 to go on, or the exit code. */
static int monitor_next(struct monitor *monitor)
{
    struct ki_rpc_client *client = &monitor->client;
    uint64_t seq;
    struct ki_span refusal;
    struct ki_span object;
    if (!ki_rpc_header(client, KI_RPC_FOREVER, &seq, &refusal))
        return ki_client_failed(client, KI_EXIT_FAILED, "Error monitoring");
    bool is_log = seq == monitor->log_seq;
    bool *answered = is_log ? &monitor->log_answered : &monitor->event_answered;
    if (!*answered) {
        *answered = true;
        if (refusal.len == 0)
            return -1;
        fputs("Error starting monitor: ", stderr);
        ki_print_safe(stderr, refusal);
        putc('\n', stderr);
        return KI_EXIT_FAILED;
    }
    if (!ki_rpc_object(client, KI_RPC_WAIT_MS, &object))
        return ki_client_failed(client, KI_EXIT_FAILED, "Error monitoring");
    bool good = is_log ? monitor_line(monitor, object) : monitor_event(monitor, object);
    if (good && fflush(stdout) == 0)
        return -1;
    fprintf(stderr, "Error monitoring: %s\n",
            good ? "cannot write" : "the agent's answer is malformed");
    return KI_EXIT_FAILED;
}

static int monitor_follow(struct monitor *monitor, const char *level)
{
    uint8_t buf[128];
    uint8_t small[32];
    struct ki_pack log = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&log, 1);
    ki_pack_text(&log, "LogLevel");
    ki_pack_text(&log, level);
    struct ki_pack stream = ki_pack(small, sizeof small, true);
    ki_pack_map(&stream, 1);
    ki_pack_text(&stream, "Type");
    ki_pack_text(&stream, "*");
    if (!ki_rpc_send(&monitor->client, "monitor", &log, &monitor->log_seq) ||
        !ki_rpc_send(&monitor->client, "stream", &stream, &monitor->event_seq))
        return ki_client_failed(&monitor->client, KI_EXIT_FAILED, "Error starting monitor");
    int code;
    do
        code = monitor_next(monitor);
    while (code < 0);
    if (monitor->log_answered && monitor->client.line.unreachable) {
        fprintf(stderr, "Remote side ended the monitor: the agent has exited or crashed.\n");
        code = KI_EXIT_FAILED; /* it was there */
    }
    return code;
}

int ki_cmd_monitor(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    const char *level = "INFO";
    const struct ki_flag flags[] = {
        {"log-level", KI_FLAG_TEXT, &level, "info",
         "Lines of this level and above: trace, debug, info, warn, err."},
        {"json", KI_FLAG_BOOL, &options.json, NULL, "One JSON object a line."},
        KI_CLIENT_FLAGS(options),
    };
    const struct ki_usage usage = {"monitor",
                                   "",
                                   "Shows the agent's recent log, and follows it and its events.",
                                   flags,
                                   KI_COUNT(flags),
                                   0,
                                   0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    struct monitor monitor = {.json = options.json};
    code = ki_client_connect(&monitor.client, &options);
    if (code != KI_EXIT_OK)
        return code;
    ki_client_until_interrupted();
    code = monitor_follow(&monitor, level);
    ki_rpc_close(&monitor.client);
    return code;
}
