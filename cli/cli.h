/* The subcommands of `kith`, and what they share. */
#ifndef KI_CLI_CLI_H
#define KI_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "base/base.h"
#include "cli/flags.h"
#include "cli/rpc_client.h"

/* Exit codes, as README.md lists them; `kith sim` has one more. */
enum { KI_EXIT_OK = 0, KI_EXIT_FAILED = 1, KI_EXIT_USAGE = 2, KI_EXIT_UNREACHABLE = 4 };

/* One function a subcommand: argv[0] is its name.  Each returns the exit code. */
int ki_cmd_aggregate(int argc, char **argv);
int ki_cmd_del(int argc, char **argv);
int ki_cmd_dev(int argc, char **argv);
int ki_cmd_event(int argc, char **argv);
int ki_cmd_force_leave(int argc, char **argv);
int ki_cmd_gauge(int argc, char **argv);
int ki_cmd_get(int argc, char **argv);
int ki_cmd_incr(int argc, char **argv);
int ki_cmd_info(int argc, char **argv);
int ki_cmd_join(int argc, char **argv);
int ki_cmd_keygen(int argc, char **argv);
int ki_cmd_keys(int argc, char **argv);
int ki_cmd_leave(int argc, char **argv);
int ki_cmd_members(int argc, char **argv);
int ki_cmd_monitor(int argc, char **argv);
int ki_cmd_query(int argc, char **argv);
int ki_cmd_reachability(int argc, char **argv);
int ki_cmd_rtt(int argc, char **argv);
int ki_cmd_set(int argc, char **argv);
int ki_cmd_sim(int argc, char **argv);
int ki_cmd_store(int argc, char **argv);
int ki_cmd_stream(int argc, char **argv);
int ki_cmd_tags(int argc, char **argv);
int ki_cmd_version(int argc, char **argv);
int ki_cmd_watch(int argc, char **argv);

/* What every command that talks to an agent takes. */
struct ki_client_options {
    const char *rpc_addr;
    const char *rpc_auth;
    bool json;
};

#define KI_CLIENT_FLAGS(options)                                          \
    {"rpc-addr", KI_FLAG_TEXT, &(options).rpc_addr, "127.0.0.1:7373",     \
     "RPC address of the agent (KITH_RPC_ADDR, SERF_RPC_ADDR)."},         \
    {                                                                     \
        "rpc-auth", KI_FLAG_TEXT, &(options).rpc_auth, "token",           \
            "RPC auth token of the agent (KITH_RPC_AUTH, SERF_RPC_AUTH)." \
    }
#define KI_JSON_FLAG(options)                                                               \
    {                                                                                       \
        "json", KI_FLAG_BOOL, &(options).json, NULL, "Print JSON, with numbers as numbers." \
    }

/* The defaults: from the environment, KITH_ before SERF_, else Serf's own. */
struct ki_client_options ki_client_options(void);

/* Connects.  Returns 0, or an exit code with the reason printed. */
int ki_client_connect(struct ki_rpc_client *client, const struct ki_client_options *options);

/* Connects and asks.  In: failure  what to print before the reason.   reply  as for ki_rpc_call(), borrowed from the client,
 * which the caller closes in either case.  Returns the exit code, the reason printed. */
int ki_client_ask(struct ki_rpc_client *client, const struct ki_client_options *options, const char *command,
                  const struct ki_pack *body, const char *failure, struct ki_span *reply);

/* A flag that is a duration.  In: value  as given, or NULL.   Out: timeout_ms  0 for none.
 * Returns whether it will do; otherwise the usage error is printed. */
bool ki_client_duration(const struct ki_usage *usage, const char *flag, const char *value, uint32_t *timeout_ms);
/* How long to wait for an agent that itself waits for timeout_ms; 0: for as long as it chooses. */
uint32_t ki_client_wait_ms(uint32_t timeout_ms);

/* From now on an interrupt is how a command that follows something is meant to end: with exit code 0. */
void ki_client_until_interrupted(void);

/* Prints "what: the client's error" to standard error.  Returns the exit code for it. */
int ki_client_failed(const struct ki_rpc_client *client, int result, const char *what);

/* ---- output ---- */

/* A JSON string, or {"base64": "..."} for bytes that are no UTF-8; NULL when out of memory. */
json_t *ki_json_bytes(struct ki_span bytes);
/* Sets "payload" to the text, or "payload_base64" for bytes that are no UTF-8.  Returns 0 or -1. */
int ki_json_set_payload(json_t *object, struct ki_span payload);
/* Sets object[key]; a key that is no UTF-8 becomes "base64:...".  Takes the value over.  Returns 0 or -1. */
int ki_json_set(json_t *object, struct ki_span key, json_t *value);
/* A number of 64 bits as a JSON string, for most readers of JSON take numbers for doubles. */
json_t *ki_json_u64(uint64_t number);
/* Prints a document, two spaces of indentation and a newline at its end, and frees it.  In: flags
 * jansson's more, as JSON_SORT_KEYS.  Returns the exit code. */
int ki_json_print(json_t *document, size_t flags);

/* Writes a value, with jansson's flags; nothing in it can drive a terminal.  False: value NULL, no memory, or it cannot be
 * written. */
bool ki_json_write(FILE *to, const json_t *value, size_t flags);
/* Prints a value in one line, and frees it. */
bool ki_json_print_line(json_t *line);

/* Prints bytes for a person: control characters and broken UTF-8 as \xNN, so that no name can drive a
 * terminal. */
void ki_print_safe(FILE *to, struct ki_span bytes);
/* Columns ki_print_safe() would take, a character of UTF-8 counted as one. */
size_t ki_safe_width(struct ki_span bytes);

#define KI_REAL_ROOM 32
/* A number for a person: ten digits, or all before the point as long as a double knows them.  Returns the room. */
const char *ki_real_text(double value, char room[KI_REAL_ROOM]);

/* True when standard output is a terminal that wants colour (no NO_COLOR in the environment). */
bool ki_want_colour(void);
/* The escape sequence for a member's status, and back to normal; "" when colour is false. */
const char *ki_status_colour(struct ki_span status, bool colour);
const char *ki_no_colour(bool colour);

#endif
