/* What can be said of the values before anything is opened: a usage error is better than a failure at start.
 * And the help, made from the same table.
 *
 * A check here needs nothing but the values themselves; each error names the flag it is about, because flags are what
 * the help explains, even where the value came from a file.
 *
 * Not here: what only the machine knows (addresses, files, ports: setup.c) or the core (sizes of tags: kith_new). */
#include "agent/agent.h"
#include "agent/config.h"
#include "agent/disk.h"
#include "agent/keys.h"

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ki_config_versions(const char *text, uint8_t out[3])
{
    for (size_t i = 0; i < 3; i++) {
        unsigned value = 0;
        size_t digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
            value = value * 10 + (unsigned)(*text - '0');
        if (digits == 0 || value > 255 || *text != (i < 2 ? '/' : '\0'))
            return false;
        out[i] = (uint8_t)value;
        text += i < 2;
    }
    return out[0] <= out[2] && out[2] <= out[1];
}

static int check_versions(const struct ki_config *config, char error[KI_ERROR_TEXT])
{
    uint8_t versions[3];
    if (config->delegate_versions && !ki_config_versions(config->delegate_versions, versions))
        return ki_config_fail(error, "-delegate-versions: \"%.50s\" is not lowest/highest/spoken, such as 2/5/5",
                              config->delegate_versions);
    if (config->delegate_versions && config->protocol != 0)
        return ki_config_fail(error, "-protocol is the last part of -delegate-versions: give one of them");
    if (config->protocol != 0 && (config->protocol < 2 || config->protocol > 5))
        return ki_config_fail(error, "-protocol: %u is not one of 2, 3, 4, 5", config->protocol);
    return 0;
}

static int check_keys(const struct ki_config *config, char error[KI_ERROR_TEXT])
{
    struct kith_key key;
    char reason[128];
    if (config->encrypt && config->keyring_file)
        return ki_config_fail(error, "encryption key not allowed while using a keyring: give -encrypt or -keyring-file");
    if (config->encrypt && ki_key_decode(config->encrypt, &key, reason, sizeof reason) != 0)
        return ki_config_fail(error, "-encrypt: %s", reason);
    memset(&key, 0, sizeof key);
    return 0;
}

static int check_disk(const struct ki_config *config, char error[KI_ERROR_TEXT])
{
    enum ki_disk_fsync fsync;
    if (!ki_disk_fsync_parse(config->fsync, &fsync))
        return ki_config_fail(error, "-fsync: \"%.50s\" is not one of always, everysec, no", config->fsync);
    if (config->data_max < KI_DISK_SIZE_MIN)
        return ki_config_fail(error, "-data-max: at least 1M");
    return 0;
}

static int check_handlers(const struct ki_config *config, char error[KI_ERROR_TEXT])
{
    if (config->handler_timeout_ms == 0)
        return ki_config_fail(error, "-handler-timeout: must be more than 0");
    if (config->handler_concurrency == 0)
        return ki_config_fail(error, "-handler-concurrency: must be more than 0");
    return 0;
}

int ki_config_check(const struct ki_config *config, char error[KI_ERROR_TEXT])
{
    enum ki_log_level level;
    enum ki_log_format format;
    if (!ki_log_level_parse(config->log_level, &level))
        return ki_config_fail(error, "-log-level: \"%.50s\" is not one of trace, debug, info, warn, err",
                              config->log_level);
    if (!ki_log_format_parse(config->log_format, &format))
        return ki_config_fail(error, "-log-format: \"%.50s\" is not one of text, logfmt, json", config->log_format);
    if (strcmp(config->profile, "lan") != 0 && strcmp(config->profile, "wan") != 0 &&
        strcmp(config->profile, "local") != 0)
        return ki_config_fail(error, "-profile: \"%.50s\" is not one of lan, wan, local", config->profile);
    if (strlen(config->node) > KITH_NAME_MAX)
        return ki_config_fail(error, "-node: a name has at most %d bytes", KITH_NAME_MAX);
    if (config->label && strlen(config->label) > 255)
        return ki_config_fail(error, "-label: at most 255 bytes");
    if (config->tags_file && config->tags.count > 0)
        return ki_config_fail(error, "tags are not allowed while using a tags file: give -tag or -tags-file");
    if (config->retry_interval_ms == 0)
        return ki_config_fail(error, "-retry-interval: must be more than 0");
    if (config->value_max < 64 || config->value_max > (uint64_t)512 << 20)
        return ki_config_fail(error, "-value-max: 64 to 512M");
    if (config->repair_rate > UINT32_MAX)
        return ki_config_fail(error, "-repair-rate: at most 4095M");
    if (config->resp_clients_max == 0)
        return ki_config_fail(error, "resp_clients_max: must be more than 0");
    if (config->rpc_kept_max == 0 || config->rpc_kept_max > 1u << 20)
        return ki_config_fail(error, "rpc_kept_max: 1 to 1048576");
    if (check_versions(config, error) != 0 || check_disk(config, error) != 0 || check_handlers(config, error) != 0)
        return -1;
    return check_keys(config, error);
}

/* ---- help ---- */

#define HELP_COLUMN 27 /* where texts begin, as in Serf's help */
#define HELP_WIDTH 80

static void help_option(FILE *out, const struct ki_option *option)
{
    int column = fprintf(out, "  -%s%s", option->flag, option->argument ? option->argument : "");
    const char *text = option->help;
    if (column >= HELP_COLUMN - 1) {
        fputc('\n', out);
        column = 0;
    }
    while (*text) {
        size_t len = strlen(text);
        if (len > HELP_WIDTH - HELP_COLUMN) {
            len = HELP_WIDTH - HELP_COLUMN;
            while (len > 0 && text[len] != ' ')
                len--;
        }
        fprintf(out, "%*s%.*s\n", HELP_COLUMN - column, "", (int)len, text);
        column = 0;
        text += len;
        text += *text == ' ';
    }
}

char *ki_agent_help(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fputs("Usage: kith agent [options]\n\n"
          "  Starts the agent, which is one node of the pool, and runs until it is told to\n"
          "  stop: SIGINT or SIGTERM leaves the pool first, a second one stops at once.\n"
          "  SIGHUP reads log level, tags and event handlers again, SIGUSR1 logs all\n"
          "  numbers.\n\n"
          "  Flags have one dash or two, and their value after '=' or as the next word.\n"
          "  Each is also a variable (-rpc-addr: KITH_RPC_ADDR) and a key of the JSON\n"
          "  files, by Serf's names. Flags outrank variables, and these directories,\n"
          "  files and defaults, in this order.\n\nOptions:\n\n",
          out);
    for (size_t i = 0; i < ki_option_count; i++) {
        if (ki_options[i].flag && ki_options[i].help)
            help_option(out, &ki_options[i]);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
