/* kith stream: an agent's events, a line each, until interrupted.
 *
 * One request, `kith-stream`, and records without end.  A kith agent numbers and keeps its events, and -from begins at
 * such a number: whoever was away sees what he has missed, or a gap where it is not kept any more.  A Serf agent does not
 * know that command and hangs up; it is called again and asked for `stream`.  It has no numbers to begin at, so there -from
 * is an error and not a stream that silently begins now.
 *
 * Ends when the agent does (exit code 1), or by a signal (0).  Every line is flushed, so that it can be piped.
 *
 * Not here: the log (monitor.c), and answering queries. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/event_record.h"

struct stream_options {
    struct ki_client_options client;
    const char *type;
    const char *from; /* NULL: from now on */
    uint64_t from_index;
};

/* Returns NULL, or what is wrong with it. */
static const char *stream_index(const char *text, uint64_t *index)
{
    errno = 0;
    *index = strtoull(text, NULL, 10);
    bool good = text[0] && strspn(text, "0123456789") == strlen(text) && errno == 0;
    return good ? NULL : "is no whole number below 2^64";
}

static int stream_failed(struct ki_rpc_client *client, const char *what)
{
    ki_client_failed(client, KI_EXIT_FAILED, what);
    return KI_EXIT_FAILED; /* the agent was there */
}

static int stream_malformed(void)
{
    fprintf(stderr, "Error streaming events: the agent's answer is malformed\n");
    return KI_EXIT_FAILED;
}

static bool stream_ask(struct ki_rpc_client *client, const struct stream_options *options, const char *command,
                       bool numbered)
{
    size_t cap = strlen(options->type) + 64;
    uint8_t *buf = malloc(cap);
    struct ki_pack body = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&body, numbered ? 2 : 1);
    ki_pack_text(&body, "Type");
    ki_pack_text(&body, options->type);
    if (numbered) {
        ki_pack_text(&body, "From");
        ki_pack_uint(&body, options->from_index);
    }
    bool started = ki_rpc_call(client, command, &body, KI_RPC_WAIT_MS, NULL);
    free(buf);
    return started;
}

/* Asks for the stream, of a connected client.  Returns the exit code, the reason printed. */
static int stream_start(struct ki_rpc_client *client, const struct stream_options *options)
{
    static const char failure[] = "Error starting the stream";
    bool started = stream_ask(client, options, "kith-stream", true);
    if (!started && ki_rpc_unsupported(client)) {
        if (options->from) {
            fprintf(stderr, "%s: this agent keeps no events, so there is nothing to begin at: leave -from away\n", failure);
            return KI_EXIT_FAILED;
        }
        ki_rpc_close(client);
        int code = ki_client_connect(client, &options->client);
        if (code != KI_EXIT_OK)
            return code;
        started = stream_ask(client, options, "stream", false);
    }
    return started ? KI_EXIT_OK : ki_client_failed(client, KI_EXIT_FAILED, failure);
}

static bool stream_print(struct ki_span object, bool json)
{
    struct ki_event_record record;
    bool good = ki_event_record_read(&record, object);
    if (good && json) {
        good = ki_json_print_line(ki_event_record_json(&record));
    } else if (good) {
        ki_event_record_print(stdout, &record);
        putchar('\n');
    }
    ki_event_record_free(&record);
    return good;
}

static int stream_follow(struct ki_rpc_client *client, bool json)
{
    for (;;) {
        uint64_t seq;
        struct ki_span refusal, object;
        if (!ki_rpc_header(client, KI_RPC_FOREVER, &seq, &refusal) || !ki_rpc_object(client, KI_RPC_WAIT_MS, &object))
            return stream_failed(client, "Error streaming events");
        if (!stream_print(object, json))
            return stream_malformed();
        if (fflush(stdout) != 0) {
            fprintf(stderr, "kith stream: cannot write the output\n");
            return KI_EXIT_FAILED;
        }
    }
}

int ki_cmd_stream(int argc, char **argv)
{
    struct stream_options options = {.client = ki_client_options(), .type = "*"};
    const struct ki_flag flags[] = {
        {"from", KI_FLAG_TEXT, &options.from, "index",
         "Begin with the event of this index: one more than that with which the\nlast line seen begins (in JSON: "
         "\"index\").  Only of kith agents."},
        {"json", KI_FLAG_BOOL, &options.client.json, NULL, "One JSON object a line."},
        KI_CLIENT_FLAGS(options.client),
    };
    const struct ki_usage usage = {
        "stream", "[type]",
        "Follows the events of the agent, a line each, until interrupted.\n"
        "  The type is * for all, or some of member-join, member-leave, member-failed, member-update,\n"
        "  member-reap, user, user:NAME, query, query:NAME, with commas between them.",
        flags, KI_COUNT(flags), 0, 1};
    struct ki_rpc_client client;
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (options.from && !ki_flag_fits(&usage, "from", options.from, stream_index(options.from, &options.from_index)))
        return KI_EXIT_USAGE;
    if (first < argc)
        options.type = argv[first];
    code = ki_client_connect(&client, &options.client);
    if (code != KI_EXIT_OK)
        return code;
    ki_client_until_interrupted();
    code = stream_start(&client, &options);
    if (code == KI_EXIT_OK)
        code = stream_follow(&client, options.client.json);
    ki_rpc_close(&client);
    return code;
}
