/* What the commands of the store share: where the agent's Redis door is, and how failing ends. */
#ifndef KI_CLI_STORE_H
#define KI_CLI_STORE_H

#include "cli/cli.h"
#include "cli/resp_client.h"

struct ki_door {
    struct ki_resp_client client;
    const char *command; /* "store backup": for messages */
    const char *addr;
    const char *password;
    bool json;
};

#define KI_DOOR_FLAGS(door)                                                                                            \
    {"resp-addr", KI_FLAG_TEXT, &(door).addr, "127.0.0.1:7379", "Address of the agent's Redis door (KITH_RESP_ADDR)."}, \
    {"resp-auth", KI_FLAG_TEXT, &(door).password, "password", "Password of that door (KITH_RESP_AUTH)."},              \
        KI_JSON_FLAG(door)

/* Not connected; address and password from the environment. */
struct ki_door ki_door(const char *command);

/* Connects.  Returns KI_EXIT_OK, or the exit code with the reason printed.  Close it in either case. */
int ki_door_open(struct ki_door *door);
void ki_door_close(struct ki_door *door);

/* Says on standard error what failed, where, and what to do about it.  In: key  what it was about, or NULL.
 * Returns the exit code. */
int ki_door_failed(struct ki_door *door, const char *key);

static inline struct ki_span ki_door_span(const char *text)
{
    return ki_span(text, strlen(text));
}

int ki_cmd_store_status(int argc, char **argv);
int ki_cmd_store_backup(int argc, char **argv);
int ki_cmd_store_restore(int argc, char **argv);

#endif
