/* The keyring of a running agent: what the pool has changed is written to -keyring-file before the one that asked for the
 * change is told that it was made.
 *
 * Without a file the change holds until the agent ends, which the log says; config.keys_kept is not set then, and nobody
 * waits.  A file that cannot be written is told to the log and to the asker, and the change holds all the same: the pool
 * seals with the new key already.
 *
 * The write blocks the loop for a sync of the disk, a few milliseconds as a rule: keys change once in a while. */
#include "agent/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int keys_agent_save(const struct ki_agent *agent, char *error, size_t cap)
{
    struct ki_keyfile keyring = {.count = kith_keys(agent->k, NULL, 0)};
    keyring.keys = calloc(keyring.count + 1, sizeof *keyring.keys);
    if (!keyring.keys) {
        snprintf(error, cap, "keyring file %.200s: out of memory", agent->config.keyring_file);
        return -1;
    }
    (void)kith_keys(agent->k, keyring.keys, keyring.count);
    int result = ki_keyfile_save(&keyring, agent->config.keyring_file, error, cap);
    ki_keyfile_free(&keyring);
    return result;
}

void ki_keys_changed(struct ki_agent *agent, uint64_t change)
{
    char error[KI_ERROR_TEXT];
    if (!agent->config.keyring_file) {
        ki_log(agent->log, KI_LOG_WARN, "agent",
               "the keyring has changed; a restart forgets that, because there is no -keyring-file");
        return;
    }
    int result = keys_agent_save(agent, error, sizeof error);
    if (result == 0)
        ki_log(agent->log, KI_LOG_INFO, "agent", "the keyring has changed and is in %s", agent->config.keyring_file);
    else
        ki_log(agent->log, KI_LOG_ERR, "agent", "the keyring has changed, but a restart forgets that: %s", error);
    kith_keys_written(agent->k, ki_net_now(), change, result == 0 ? NULL : error);
    ki_net_kick(agent->net);
}
