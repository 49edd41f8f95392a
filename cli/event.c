/* kith event: tells all members something.
 *
 * The sentence is Serf's: it says that the agent has taken the event, for gossip promises no more.  With -confirm a kith
 * agent waits until members have said that they delivered it, and the exit code tells whether all have: those that did
 * not in time, and those that cannot say (Serf's agents), are named on standard error.
 *
 * Not here: what the agent says of that (confirmation.c). */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "agent/config.h"
#include "cli/confirmation.h"
#include "cli/payload.h"

struct event_options {
    struct ki_client_options client;
    const char *timeout;
    uint32_t timeout_ms; /* 0: the agent's own */
    bool coalesce;
    bool confirm;
};

struct event_request {
    const char *name;
    struct ki_span payload;
};

/* The memory behind it is the caller's to free. */
static struct ki_pack event_pack(const struct event_options *options, const struct event_request *request)
{
    size_t cap = strlen(request->name) + request->payload.len + 128;
    uint8_t *buf = malloc(cap);
    struct ki_pack p = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&p, options->confirm ? 5 : 3);
    ki_pack_text(&p, "Name");
    ki_pack_text(&p, request->name);
    ki_pack_text(&p, "Payload");
    ki_pack_bytes(&p, request->payload);
    ki_pack_text(&p, "Coalesce");
    ki_pack_bool(&p, options->coalesce);
    if (options->confirm) {
        ki_pack_text(&p, "Confirm");
        ki_pack_bool(&p, true);
        ki_pack_text(&p, "Timeout");
        ki_pack_int(&p, (int64_t)options->timeout_ms * 1000000);
    }
    return p;
}

static int event_sent(const struct event_options *options, const struct event_request *request)
{
    struct ki_span name = ki_span(request->name, strlen(request->name));
    if (options->client.json)
        return ki_json_print(json_pack("{s:o, s:b}", "name", ki_json_bytes(name), "coalesce", options->coalesce), 0);
    fputs("Event '", stdout);
    ki_print_safe(stdout, name);
    printf("' dispatched! Coalescing enabled: %s\n", options->coalesce ? "true" : "false");
    return KI_EXIT_OK;
}

static int event_confirmed(const struct event_options *options, const struct event_request *request,
                           struct ki_span reply)
{
    struct ki_confirmation confirmation;
    struct ki_span name = ki_span(request->name, strlen(request->name));
    int code = KI_EXIT_OK;
    if (!ki_confirmation_read(&confirmation, reply)) {
        fprintf(stderr, "Error confirming the event: the agent's answer is malformed\n");
        code = KI_EXIT_FAILED;
    } else if (options->client.json) {
        json_t *document = json_pack("{s:o, s:b}", "name", ki_json_bytes(name), "coalesce", options->coalesce);
        ki_confirmation_json(&confirmation, document);
        code = ki_json_print(document, 0);
    } else {
        fputs("Event '", stdout);
        ki_print_safe(stdout, name);
        printf("' delivered by %llu of %llu members\n", (unsigned long long)confirmation.confirmed,
               (unsigned long long)confirmation.members);
        fflush(stdout);
        ki_confirmation_print(stderr, &confirmation);
    }
    if (code == KI_EXIT_OK && !ki_confirmation_is_whole(&confirmation))
        code = KI_EXIT_FAILED;
    ki_confirmation_free(&confirmation);
    return code;
}

/* ---- the command ---- */

static int event_run(const struct event_options *options, const struct event_request *request)
{
    static const char failure[] = "Error sending event";
    struct ki_rpc_client client;
    int code = ki_client_connect(&client, &options->client);
    if (code != KI_EXIT_OK)
        return code;
    struct ki_pack body = event_pack(options, request);
    struct ki_span reply = {NULL, 0};
    bool sent = options->confirm ? ki_rpc_call(&client, "kith-event", &body, ki_client_wait_ms(options->timeout_ms), &reply)
                                 : ki_rpc_call(&client, "event", &body, KI_RPC_WAIT_MS, NULL);
    if (!sent && options->confirm && ki_rpc_unsupported(&client)) {
        fprintf(stderr, "%s: this agent cannot tell who has got an event: send it without -confirm\n", failure);
        code = KI_EXIT_FAILED;
    } else if (!sent) {
        code = ki_client_failed(&client, KI_EXIT_FAILED, failure);
    } else if (options->confirm) {
        code = event_confirmed(options, request, reply);
    } else {
        code = event_sent(options, request);
    }
    free(body.w.start);
    ki_rpc_close(&client);
    return code;
}

int ki_cmd_event(int argc, char **argv)
{
    struct event_options options = {.client = ki_client_options(), .coalesce = true};
    const struct ki_flag flags[] = {
        {"coalesce", KI_FLAG_BOOL, &options.coalesce, "true|false",
         "Whether members may drop all but the last of the events of this\nname that come within a short time.  Default: "
         "true."},
        {"confirm", KI_FLAG_BOOL, &options.confirm, NULL,
         "Wait until the members have it, and fail if some do not say so\n(kith agents only)."},
        {"timeout", KI_FLAG_TEXT, &options.timeout, "duration", "How long -confirm waits; the agent knows otherwise."},
        KI_JSON_FLAG(options.client),
        KI_CLIENT_FLAGS(options.client),
    };
    const struct ki_usage usage = {"event", "name [payload]",
                                   "Sends an event to all members.  A payload of - is standard input.",
                                   flags, KI_COUNT(flags), 1, 2};
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (options.timeout && !options.confirm)
        return ki_usage_error(&usage, "-timeout is for -confirm");
    if (!ki_client_duration(&usage, "timeout", options.timeout, &options.timeout_ms))
        return KI_EXIT_USAGE;
    struct event_request request = {.name = argv[first]};
    uint8_t *memory;
    code = KI_EXIT_FAILED;
    if (ki_payload_take(first + 1 < argc ? argv[first + 1] : NULL, &request.payload, &memory))
        code = event_run(&options, &request);
    free(memory);
    return code;
}
