/* All sources together: flag > variable > directory > file > default.
 *
 * The flags are read first, because they name the files, but applied last.  Reading is repeated at SIGHUP: it has no
 * effect outside the struct it fills.
 *
 * Not here: what the values mean for the node (setup.c). */
#include "agent/config.h"

#include "base/base.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One flag of the command line, found but not yet applied. */
struct config_flag {
    const struct ki_option *option;
    const char *text;
    char name[40]; /* as the errors call it: "-flag" */
};

static bool config_is_path(const struct ki_option *option)
{
    return option->kind == KI_OPTION_LIST && (option->offset == offsetof(struct ki_config, config_files) ||
                                              option->offset == offsetof(struct ki_config, config_dirs));
}

/* Go's way: one or two dashes, -flag=value or -flag value, a boolean flag takes no word after it.  No value is empty: a
 * script's variable that is not set must not leave a pool open, or a store in memory.
 * Returns how many words were used, 0 for help, -1 for an error. */
static int config_parse_flag(struct config_flag *out, int argc, char **argv, char error[KI_ERROR_TEXT])
{
    const char *word = argv[0];
    if (word[0] != '-' || word[1] == '\0')
        return ki_config_fail(error, "unexpected argument \"%.200s\"", word);
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    if ((len == 1 && *name == 'h') || (len == 4 && memcmp(name, "help", 4) == 0))
        return 0;
    out->option = ki_option_by_flag(name, len);
    if (!out->option)
        return ki_config_fail(error, "flag provided but not defined: -%.*s", (int)ki_min_size(len, 200), name);
    snprintf(out->name, sizeof out->name, "-%s", out->option->flag);
    bool alone = !equals && ki_option_is_bool(out->option);
    if (!equals && !alone && argc < 2)
        return ki_config_fail(error, "flag needs an argument: %s", out->name);
    out->text = equals ? equals + 1 : alone ? "true" : argv[1];
    if (*out->text == '\0')
        return ki_config_fail(error, "%s: the value is empty: give one, or leave the flag away", out->name);
    return equals || alone ? 1 : 2;
}

/* Returns how many flags there are, and -1 for an error; *help when help was asked for. */
static int config_parse_flags(struct config_flag *flags, int argc, char **argv, bool *help, char error[KI_ERROR_TEXT])
{
    int count = 0;
    for (int i = 0; i < argc;) {
        int used = config_parse_flag(&flags[count], argc - i, argv + i, error);
        if (used < 0)
            return -1;
        if (used == 0) {
            *help = true;
            return 0;
        }
        count++;
        i += used;
    }
    return count;
}

/* ---- the environment ---- */

static int config_variable(struct ki_config *config, const struct ki_option *option, const char *name,
                           const char *text, char error[KI_ERROR_TEXT])
{
    bool lines = option->kind == KI_OPTION_HANDLERS;
    if (option->kind != KI_OPTION_LIST && option->kind != KI_OPTION_TAGS && !lines)
        return ki_option_set(config, option, name, text, error);
    char *copy = strdup(text); /* several values are separated */
    char *rest = copy;
    int result = copy ? 0 : ki_config_fail(error, "out of memory");
    for (char *part; result == 0 && (part = strsep(&rest, lines ? "\n" : ",")) != NULL;) {
        if (*part)
            result = ki_option_set(config, option, name, part, error);
    }
    free(copy);
    return result;
}

/* An empty variable is one that is not set. */
static const char *config_getenv(const char *name, char *variable, size_t cap)
{
    ki_option_variable(name, variable, cap);
    const char *text = getenv(variable);
    return text && *text ? text : NULL;
}

static int config_environment(struct ki_config *config, bool paths, char error[KI_ERROR_TEXT])
{
    char variable[64];
    for (size_t i = 0; i < ki_option_count; i++) {
        const struct ki_option *option = &ki_options[i];
        if (config_is_path(option) != paths)
            continue;
        const char *text = config_getenv(option->flag ? option->flag : option->key, variable, sizeof variable);
        if (text && config_variable(config, option, variable, text, error) != 0)
            return -1;
    }
    return 0;
}

int ki_config_read_environment(struct ki_config *config, char error[KI_ERROR_TEXT])
{
    char variable[64];
    for (size_t i = 0; i < ki_limit_count; i++) {
        const char *text = config_getenv(ki_limits[i].key, variable, sizeof variable);
        if (text && ki_limit_set(config, &ki_limits[i], variable, text, error) != 0)
            return -1;
    }
    return config_environment(config, false, error);
}

/* ---- the whole ---- */

static void config_defaults(struct ki_config *config)
{
    memset(config, 0, sizeof *config);
    config->compression = true;
    config->coordinates = true;
    config->gauges = true;
    config->leave_on_terminate = true; /* Serf: false.  A service manager's stop is a wish to leave. */
    config->retry_interval_ms = 30000;
    config->handler_timeout_ms = 30000;
    config->handler_concurrency = 8;
    config->data_max = (uint64_t)64 << 30;
    config->value_max = (uint64_t)16 << 20;
    config->resp_clients_max = 10000;
    config->rpc_kept_max = 1024;
    config->rpc_kept_bytes_max = (uint64_t)4 << 20;
}

/* -node defaults to the host's name; the rest of the texts to what the help says. */
static int config_fill(struct ki_config *config, char error[KI_ERROR_TEXT])
{
    char host[HOST_NAME_MAX + 1] = "";
    const struct {
        char **place;
        const char *text;
    } defaults[] = {{&config->bind, "0.0.0.0:7946"}, {&config->profile, "lan"},      {&config->log_level, "info"},
                    {&config->log_format, "text"},   {&config->node, host},            {&config->fsync, "everysec"}};
    if (!config->node && (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0'))
        return ki_config_fail(error, "the host has no name; give one with -node");
    for (size_t i = 0; i < KI_COUNT(defaults); i++) {
        if (!*defaults[i].place && !(*defaults[i].place = strdup(defaults[i].text)))
            return ki_config_fail(error, "out of memory");
    }
    return 0;
}

static int config_apply_flags(struct ki_config *config, const struct config_flag *flags, int count, bool paths,
                              char error[KI_ERROR_TEXT])
{
    for (int i = 0; i < count; i++) {
        if (config_is_path(flags[i].option) == paths &&
            ki_option_set(config, flags[i].option, flags[i].name, flags[i].text, error) != 0)
            return -1;
    }
    return 0;
}

static int config_gather(struct ki_config *config, const struct config_flag *flags, int count,
                         char error[KI_ERROR_TEXT])
{
    if (config_environment(config, true, error) != 0 || config_apply_flags(config, flags, count, true, error) != 0)
        return -1;
    for (size_t i = 0; i < config->config_files.count; i++) {
        if (ki_config_read_file(config, config->config_files.items[i], error) != 0)
            return -1;
    }
    for (size_t i = 0; i < config->config_dirs.count; i++) {
        if (ki_config_read_dir(config, config->config_dirs.items[i], error) != 0)
            return -1;
    }
    if (ki_config_read_environment(config, error) != 0 ||
        config_apply_flags(config, flags, count, false, error) != 0 || config_fill(config, error) != 0)
        return -1;
    if (config->role && !ki_tags_set(&config->tags, ki_str("role"), ki_str(config->role)))
        return ki_config_fail(error, "out of memory");
    return ki_config_check(config, error);
}

int ki_config_read(struct ki_config *out, int argc, char **argv, char error[KI_ERROR_TEXT])
{
    bool help = false;
    struct config_flag *flags = calloc((size_t)argc + 1, sizeof *flags);
    config_defaults(out);
    if (!flags)
        return ki_config_fail(error, "out of memory");
    int count = config_parse_flags(flags, argc, argv, &help, error);
    int result = count < 0 ? -1 : help ? 1 : config_gather(out, flags, count, error);
    free(flags);
    if (result != 0)
        ki_config_free(out);
    return result;
}

void ki_config_free(struct ki_config *config)
{
    char *texts[] = {config->node,      config->bind,      config->advertise, config->encrypt,    config->keyring_file,
                     config->profile,   config->rpc_addr,  config->rpc_auth,  config->rpc_socket, config->role,
                     config->log_level, config->data_dir,  config->fsync,     config->resp_addr,  config->resp_auth,
                     config->snapshot,  config->tags_file, config->label,     config->log_format, config->delegate_versions};
    for (size_t i = 0; i < KI_COUNT(texts); i++)
        free(texts[i]);
    ki_strings_free(&config->join);
    ki_strings_free(&config->retry_join);
    ki_strings_free(&config->config_files);
    ki_strings_free(&config->config_dirs);
    ki_strings_free(&config->handlers);
    ki_strings_free(&config->ignored);
    ki_tags_free(&config->tags);
    memset(config, 0, sizeof *config);
}
