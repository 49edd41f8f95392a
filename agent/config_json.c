/* JSON files: one object with the keys of the table, or of the table of limits.
 *
 * jansson rejects what is not JSON, bad UTF-8 and a key given twice, and says the line.  A key that we do not know is
 * an error as in Serf, since a misspelt option that is quietly ignored is found only when it is needed.  jansson does
 * not tell the line of a key that is merely not ours, but it keeps the order: the n-th key of the object is the n-th
 * key in the text, and a walk over the (valid) text finds its line.
 *
 * What is null, or an empty text, is not given: templates for Serf write keys that way, and a variable is the same. */
#include "agent/config.h"
#include "agent/replace.h"

#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The line of the index-th key of the outermost object of valid JSON. */
static int json_key_line(const char *text, size_t index)
{
    int line = 1;
    int depth = 0;
    bool key_next = false; /* at depth 1: the next string is a key */
    for (; *text; text++) {
        if (*text == '\n') {
            line++;
        } else if (*text == '{' || *text == '[') {
            key_next = ++depth == 1;
        } else if (*text == '}' || *text == ']') {
            depth--;
        } else if (*text == ',') {
            key_next = depth == 1;
        } else if (*text == '"') {
            if (depth == 1 && key_next && index-- == 0)
                return line;
            key_next = false;
            for (text++; *text != '"'; text++)
                text += *text == '\\';
        }
    }
    return line;
}

static bool json_is_empty(const json_t *value)
{
    return json_is_false(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

static bool json_is_given(enum ki_option_kind kind, const json_t *value)
{
    bool text = kind == KI_OPTION_TEXT || kind == KI_OPTION_MS || kind == KI_OPTION_LIMIT_MS;
    return !json_is_null(value) && !(text && json_is_string(value) && json_string_length(value) == 0);
}

/* The shape a kind has in JSON. */
static const char *json_shape(enum ki_option_kind kind)
{
    switch (kind) {
    case KI_OPTION_TEXT:
        return "a string";
    case KI_OPTION_BOOL:
    case KI_OPTION_NOT:
        return "true or false";
    case KI_OPTION_NUMBER:
        return "a whole number";
    case KI_OPTION_BYTES:
        return "a whole number, or a string such as \"64G\"";
    case KI_OPTION_MS:
    case KI_OPTION_LIMIT_MS:
        return "a duration in a string, such as \"30s\"";
    case KI_OPTION_LIST:
    case KI_OPTION_HANDLERS:
        return "an array of strings";
    case KI_OPTION_TAGS:
        return "an object of strings";
    case KI_OPTION_IGNORED:
    case KI_OPTION_NOT_YET:
    case KI_OPTION_NOT_YET_BOOL:
        return "anything";
    }
    KI_UNREACHABLE();
}

static int json_set_list(struct ki_config *config, const struct ki_option *option, const char *name, json_t *value,
                         char error[KI_ERROR_TEXT])
{
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item))
            return ki_config_fail(error, "%s must be %s", name, json_shape(option->kind));
        if (ki_option_set(config, option, name, json_string_value(item), error) != 0)
            return -1;
    }
    return 0;
}

static int json_set_tags(struct ki_config *config, const char *name, json_t *value, char error[KI_ERROR_TEXT])
{
    const char *key;
    json_t *item;
    json_object_foreach(value, key, item)
    {
        if (!json_is_string(item))
            return ki_config_fail(error, "%s must be %s", name, json_shape(KI_OPTION_TAGS));
        if (!ki_tags_set(&config->tags, ki_str(key), ki_str(json_string_value(item))))
            return ki_config_fail(error, "out of memory");
    }
    return 0;
}

static int json_set(struct ki_config *config, const struct ki_option *option, json_t *value,
                    char error[KI_ERROR_TEXT])
{
    enum ki_option_kind kind = option->kind;
    char number[32];
    if (!json_is_given(kind, value))
        return 0;
    if (kind == KI_OPTION_NOT_YET || kind == KI_OPTION_NOT_YET_BOOL)
        return json_is_empty(value) ? 0 : ki_config_fail(error, "%s is not implemented yet; remove it", option->key);
    if (kind == KI_OPTION_IGNORED)
        return json_is_empty(value) ? 0 : ki_option_set(config, option, option->key, "", error);
    if ((kind == KI_OPTION_LIST || kind == KI_OPTION_HANDLERS) && json_is_array(value))
        return json_set_list(config, option, option->key, value, error);
    if (kind == KI_OPTION_TAGS && json_is_object(value))
        return json_set_tags(config, option->key, value, error);
    if ((kind == KI_OPTION_BOOL || kind == KI_OPTION_NOT) && json_is_boolean(value))
        return ki_option_set(config, option, option->key, json_is_true(value) ? "true" : "false", error);
    if ((kind == KI_OPTION_NUMBER || kind == KI_OPTION_BYTES) && json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        return ki_option_set(config, option, option->key, number, error);
    }
    if ((kind == KI_OPTION_TEXT || kind == KI_OPTION_MS || kind == KI_OPTION_LIMIT_MS || kind == KI_OPTION_BYTES) &&
        json_is_string(value))
        return ki_option_set(config, option, option->key, json_string_value(value), error);
    return ki_config_fail(error, "%s must be %s", option->key, json_shape(kind));
}

static int json_set_key(struct ki_config *config, const char *key, json_t *value, char error[KI_ERROR_TEXT])
{
    const struct ki_option *option = ki_option_by_key(key);
    if (option)
        return json_set(config, option, value, error);
    const struct ki_limit_row *row = ki_limit_by_key(key);
    if (!row)
        return ki_config_fail(error, "unknown key \"%.200s\"", key);
    if (!json_is_integer(value))
        return ki_config_fail(error, "%s must be a whole number", key);
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    return ki_limit_set(config, row, key, number, error);
}

static int json_apply(struct ki_config *config, const char *path, const char *text, size_t len,
                      char error[KI_ERROR_TEXT])
{
    json_error_t why;
    json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why); /* nothing hides behind a NUL */
    if (!document)
        return ki_config_fail(error, "%.200s, line %d: %s", path, why.line, why.text);
    if (!json_is_object(document)) {
        json_decref(document);
        return ki_config_fail(error, "%.200s: must be a JSON object", path);
    }
    const char *key;
    json_t *value;
    size_t index = 0;
    char reason[KI_ERROR_TEXT / 2 + 64];
    char full[KI_ERROR_TEXT];
    int result = 0;
    json_object_foreach(document, key, value)
    {
        if (json_set_key(config, key, value, full) != 0) {
            snprintf(reason, sizeof reason, "%.*s", (int)sizeof reason - 1, full);
            result = ki_config_fail(error, "%.160s, line %d: %s", path, json_key_line(text, index), reason);
            break;
        }
        index++;
    }
    json_decref(document);
    return result;
}

int ki_config_read_file(struct ki_config *config, const char *path, char error[KI_ERROR_TEXT])
{
    size_t len;
    char *text = ki_read_file(path, &len);
    if (!text)
        return ki_config_fail(error, "%.200s: %s", path, strerror(errno));
    int result = json_apply(config, path, text, len, error);
    free(text);
    return result;
}

static int json_name_wanted(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

static int json_name_order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* by bytes: the same under every locale */
}

int ki_config_read_dir(struct ki_config *config, const char *path, char error[KI_ERROR_TEXT])
{
    struct dirent **names;
    int count = scandir(path, &names, json_name_wanted, json_name_order);
    if (count < 0)
        return ki_config_fail(error, "%.200s: %s", path, strerror(errno));
    int result = 0;
    for (int i = 0; i < count; i++) {
        char file[4096];
        if (result == 0 && snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name) >= (int)sizeof file)
            result = ki_config_fail(error, "%.200s: path too long", path);
        if (result == 0)
            result = ki_config_read_file(config, file, error);
        free(names[i]);
    }
    free(names);
    return result;
}
