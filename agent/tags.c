/* Tags as the configuration has them, and the file that keeps those set at run time across restarts.
 *
 * A list searched from its start: all tags together have at most KITH_META_MAX bytes.  The order is that of first
 * setting; who wants it sorted asks the core.
 *
 * Not here: limits and reserved keys, which the core checks when the tags reach it. */
#include "agent/tags.h"
#include "agent/replace.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kith_str ki_str(const char *text)
{
    return (struct kith_str){.ptr = text, .len = strlen(text)};
}

void ki_tags_free(struct ki_tags *tags)
{
    for (size_t i = 0; i < tags->count; i++) {
        free(tags->items[i].key);
        free(tags->items[i].value);
    }
    free(tags->items);
    *tags = (struct ki_tags){.items = NULL};
}

static size_t tags_find(const struct ki_tags *tags, struct kith_str key)
{
    size_t i = 0;
    while (i < tags->count &&
           (strlen(tags->items[i].key) != key.len || memcmp(tags->items[i].key, key.ptr, key.len) != 0))
        i++;
    return i;
}

static char *tags_copy(struct kith_str text)
{
    char *copy = malloc(text.len + 1);
    if (copy) {
        if (text.len > 0)
            memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
    }
    return copy;
}

bool ki_tags_set(struct ki_tags *tags, struct kith_str key, struct kith_str value)
{
    char *new_value = tags_copy(value);
    if (!new_value)
        return false;
    size_t at = tags_find(tags, key);
    if (at < tags->count) {
        free(tags->items[at].value);
        tags->items[at].value = new_value;
        return true;
    }
    char *new_key = tags_copy(key);
    struct ki_tag *items = new_key ? realloc(tags->items, (tags->count + 1) * sizeof *items) : NULL;
    if (!items) {
        free(new_key);
        free(new_value);
        return false;
    }
    tags->items = items;
    items[tags->count++] = (struct ki_tag){.key = new_key, .value = new_value};
    return true;
}

bool ki_tags_delete(struct ki_tags *tags, struct kith_str key)
{
    size_t at = tags_find(tags, key);
    if (at == tags->count)
        return false;
    free(tags->items[at].key);
    free(tags->items[at].value);
    tags->count--;
    memmove(tags->items + at, tags->items + at + 1, (tags->count - at) * sizeof *tags->items);
    return true;
}

const char *ki_tags_get(const struct ki_tags *tags, struct kith_str key)
{
    size_t at = tags_find(tags, key);
    return at < tags->count ? tags->items[at].value : NULL;
}

bool ki_tags_add_pair(struct ki_tags *tags, const char *pair)
{
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair)
        return false;
    return ki_tags_set(tags, (struct kith_str){.ptr = pair, .len = (size_t)(equals - pair)}, ki_str(equals + 1));
}

/* ---- the file ---- */

int ki_tags_load(struct ki_tags *out, const char *path, char *error, size_t cap)
{
    json_error_t why;
    size_t len;
    char *text = ki_read_file(path, &len);
    if (!text && errno == ENOENT)
        return 0;
    if (!text) {
        snprintf(error, cap, "tags file %s: %s", path, strerror(errno));
        return -1;
    }
    json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (!document) {
        snprintf(error, cap, "tags file %s, line %d: %s", path, why.line, why.text);
        return -1;
    }
    const char *key;
    json_t *value;
    int result = json_is_object(document) ? 0 : -1;
    if (result != 0)
        snprintf(error, cap, "tags file %s: must be a JSON object of strings", path);
    json_object_foreach(document, key, value)
    {
        if (!json_is_string(value)) {
            snprintf(error, cap, "tags file %s: the value of \"%.200s\" must be a string", path, key);
            result = -1;
        } else if (!ki_tags_set(out, ki_str(key), ki_str(json_string_value(value)))) {
            snprintf(error, cap, "tags file %s: out of memory", path);
            result = -1;
        }
    }
    json_decref(document);
    return result;
}

int ki_tags_save(const struct ki_tags *tags, const char *path, char *error, size_t cap)
{
    json_t *document = json_object();
    for (size_t i = 0; document && i < tags->count; i++) {
        if (strncmp(tags->items[i].key, "_kith", 5) == 0)
            continue;
        if (json_object_set_new(document, tags->items[i].key, json_string(tags->items[i].value)) != 0) {
            snprintf(error, cap, "tags file %s: tag \"%.200s\" is no UTF-8 and cannot be kept", path,
                     tags->items[i].key);
            json_decref(document);
            return -1;
        }
    }
    char *text = document ? json_dumps(document, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(document);
    int result = -1;
    if (!text)
        snprintf(error, cap, "tags file %s: out of memory", path);
    else if ((result = ki_replace_file(path, text, strlen(text))) != 0)
        snprintf(error, cap, "tags file %s: %s", path, strerror(errno));
    free(text);
    return result;
}
