/* SIGHUP: log level, tags and event handlers are read again, from the same flags, variables and files as at the start.
 *
 * Serf's reload overwrites the tags that `serf tags` set since the start; ours keeps them: a tag set at run time, or one
 * of the files that was deleted then, stays so, whatever the files say, until the agent is restarted.  A configuration
 * that cannot be read changes nothing. */
#include "agent/handler.h"
#include "agent/internal.h"

#include "base/base.h"

#include <string.h>

#define RELOAD_TAGS_MAX (KITH_META_MAX / 2) /* an encoded tag has two bytes at least */

/* Sets what the new configuration says, and deletes what it no longer says. */
int ki_retag_reload(struct ki_agent *agent, const struct ki_tags *old_tags, const struct ki_tags *new_tags)
{
    struct kith_tag set[RELOAD_TAGS_MAX];
    struct kith_str deleted[RELOAD_TAGS_MAX];
    struct ki_tags own = {.items = NULL};
    size_t set_count = 0;
    size_t deleted_count = 0;
    int result = ki_ask_own_tags(agent, &own) ? 0 : KITH_ERR_NOMEM;
    for (size_t i = 0; i < new_tags->count && result == 0; i++) {
        struct kith_str key = ki_str(new_tags->items[i].key);
        const char *now = ki_tags_get(&own, key);
        if (ki_tags_get(&agent->runtime_set, key) || ki_tags_get(&agent->runtime_deleted, key) ||
            (now && strcmp(now, new_tags->items[i].value) == 0))
            continue;
        if (set_count == RELOAD_TAGS_MAX)
            result = KITH_ERR_ARG;
        else
            set[set_count++] = (struct kith_tag){.key = key, .value = ki_str(new_tags->items[i].value)};
    }
    for (size_t i = 0; i < old_tags->count && result == 0; i++) {
        struct kith_str key = ki_str(old_tags->items[i].key);
        if (!ki_tags_get(&own, key) || ki_tags_get(new_tags, key) || ki_tags_get(&agent->runtime_set, key))
            continue;
        if (deleted_count < RELOAD_TAGS_MAX)
            deleted[deleted_count++] = key;
    }
    if (result == 0 && set_count + deleted_count > 0)
        result = ki_ask_tags_commit(agent, set, set_count, deleted, deleted_count, NULL);
    ki_tags_free(&own);
    return result;
}

static void reload_tags(struct ki_agent *agent, struct ki_config *config)
{
    int result = ki_retag_reload(agent, &agent->config.tags, &config->tags);
    if (result != 0) {
        ki_log(agent->log, KI_LOG_ERR, "agent", "tags not reloaded: %s",
               result == KITH_ERR_ARG ? KI_TAGS_REFUSED : kith_strerror(result));
        return;
    }
    struct ki_tags old_tags = agent->config.tags;
    agent->config.tags = config->tags;
    config->tags = old_tags;
    ki_log(agent->log, KI_LOG_INFO, "agent", "configuration reloaded: log level %s, tags, %zu event handlers",
           config->log_level, config->handlers.count);
}

void ki_reload(struct ki_agent *agent)
{
    struct ki_config config;
    enum ki_log_level level;
    char error[KI_ERROR_TEXT] = "";
    ki_notify_reloading();
    if (ki_config_read(&config, agent->argc, agent->argv, error) != 0) {
        ki_log(agent->log, KI_LOG_ERR, "agent", "configuration not reloaded: %s", error);
        ki_notify_status(agent, true);
        return;
    }
    if (ki_log_level_parse(config.log_level, &level))
        ki_log_set_level(agent->log, level);
    if (ki_handlers_reload(agent, &config) != 0)
        ki_log(agent->log, KI_LOG_ERR, "agent", "event handlers not reloaded: out of memory");
    reload_tags(agent, &config);
    ki_config_free(&config);
    ki_net_kick(agent->net);
    ki_notify_status(agent, true);
}
