/* `kith store`, and what the commands of the store begin and end with.
 *
 * They ask an agent's Redis door, not its RPC: the door has the store's commands anyway, and a person can do the same with
 * redis-cli.  The address and the password come from the flag, else from KITH_RESP_ADDR and KITH_RESP_AUTH; an empty
 * variable counts as none.
 *
 * An error of the door is a word for programs.  Whoever typed a command gets a sentence: what was wrong, where, and what to
 * do about it.  What this file has no sentence for is passed on in the door's own words, but for the first, a code.
 *
 * Exit codes: 4 when no agent is there to answer, 1 when it answered with an error. */
#include "cli/store.h"

#include <stdlib.h>
#include <string.h>

static const char *store_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

struct ki_door ki_door(const char *command)
{
    return (struct ki_door){.client.line.fd = -1,
                            .command = command,
                            .addr = store_environment("KITH_RESP_ADDR", "127.0.0.1:7379"),
                            .password = store_environment("KITH_RESP_AUTH", "")};
}

/* ---- failing ---- */

/* What the door's errors mean: the first row whose word one begins with. */
static const struct {
    const char *word;
    const char *sentence;
} store_errors[] = {
    {"NOAUTH", "it wants a password: give it with -resp-auth or KITH_RESP_AUTH"},
    {"WRONGPASS", "it does not take this password: compare -resp-auth with the agent's own"},
    {"ERR AUTH", "it has no password: leave -resp-auth and KITH_RESP_AUTH away"},
    {"OOM command not allowed", "its store may not take more memory: delete something, or raise its limit"},
    {"ERR value is not an integer", "what is there is no whole number of 64 bits, so it cannot be counted on: set it anew"},
    {"ERR increment or decrement would overflow", "the result would not fit into 64 bits: nothing was changed"},
    {"ERR string exceeds", "the key or the value is longer than this store takes"},
    {"ERR unknown command", "what answers there is no kith agent, or an older one: it does not know the command"},
    {"ERR max number of clients", "it serves as many clients as it may: try again later"},
};

static void store_print(const char *text)
{
    ki_print_safe(stderr, ki_door_span(text));
}

/* A key of another type: which one it is tells what to do. */
static void store_wrong_type(struct ki_door *door, const char *key)
{
    static const struct {
        const char *type, *sentence;
    } rows[] = {
        {"kith.mv", "it holds siblings: read them with 'kith get -siblings', replace them with 'kith set'"},
        {"set", "it is a set: use a Redis client (SMEMBERS), or delete it first"},
        {"hash", "it is a hash: use a Redis client (HGETALL), or delete it first"},
        {"zset", "it is a sorted set: use a Redis client (ZRANGE), or delete it first"},
        {"string", "it is a string: read it without -siblings"},
    };
    struct ki_reply reply;
    const char *sentence = "it holds something of another type";
    if (key && ki_resp_ask(&door->client, &reply, "TYPE", key, NULL)) {
        for (size_t i = 0; i < KI_COUNT(rows); i++) {
            if (ki_span_equal(ki_reply_text(reply), ki_door_span(rows[i].type)))
                sentence = rows[i].sentence;
        }
    }
    fputs(sentence, stderr);
}

int ki_door_failed(struct ki_door *door, const char *key)
{
    struct ki_resp_client *client = &door->client;
    int result = client->line.unreachable ? KI_EXIT_UNREACHABLE : KI_EXIT_FAILED;
    fprintf(stderr, "kith %s: ", door->command);
    if (key) {
        store_print(key);
        fputs(" at ", stderr);
    }
    if (key || client->line.fd >= 0) { /* who cannot connect says where himself */
        store_print(door->addr);
        fputs(": ", stderr);
    }
    if (client->line.refused && strncmp(client->line.error, "WRONGTYPE", 9) == 0) {
        store_wrong_type(door, key);
    } else {
        size_t code = client->line.refused ? strcspn(client->line.error, " ") : 0;
        const char *sentence = client->line.error + code + (code > 0 && client->line.error[code] == ' ');
        for (size_t i = 0; client->line.refused && i < KI_COUNT(store_errors); i++) {
            if (strncmp(client->line.error, store_errors[i].word, strlen(store_errors[i].word)) == 0) {
                sentence = store_errors[i].sentence;
                break;
            }
        }
        store_print(sentence);
    }
    if (result == KI_EXIT_UNREACHABLE)
        fputs(" (is an agent running, with its Redis door there? say where with -resp-addr or KITH_RESP_ADDR)", stderr);
    putc('\n', stderr);
    return result;
}

int ki_door_open(struct ki_door *door)
{
    return ki_resp_open(&door->client, door->addr, door->password) ? KI_EXIT_OK : ki_door_failed(door, NULL);
}

void ki_door_close(struct ki_door *door)
{
    ki_resp_close(&door->client);
}

/* ---- kith store ---- */

int ki_cmd_store(int argc, char **argv)
{
    static const struct ki_sub_command commands[] = {
        {"status", "Tells how much the store holds, and whether the pool agrees on it", ki_cmd_store_status},
        {"backup", "Writes all that the store holds to a file", ki_cmd_store_backup},
        {"restore", "Takes a backup in", ki_cmd_store_restore},
    };
    return ki_sub_commands("store", commands, KI_COUNT(commands), argc, argv);
}
