/* One option, from text: what flags, variables and (by way of text) JSON values end in, so that a duration or a
 * number means the same wherever it was written.
 *
 * An error leaves the field as it was.  Lists and tags gather over all sources, as Serf's do; everything else is
 * overwritten by the source of higher rank. */
#include "agent/config.h"
#include "agent/handler.h"

#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ki_config_fail(char error[KI_ERROR_TEXT], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, KI_ERROR_TEXT, format, args);
    va_end(args);
    return -1;
}

bool ki_strings_add(struct ki_strings *strings, const char *text)
{
    char *copy = strdup(text);
    char **items = copy ? realloc(strings->items, (strings->count + 1) * sizeof *items) : NULL;
    if (!items) {
        free(copy);
        return false;
    }
    strings->items = items;
    items[strings->count++] = copy;
    return true;
}

void ki_strings_free(struct ki_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct ki_strings){.items = NULL};
}

/* ---- values ---- */

static bool set_bool(const char *text, bool *out)
{
    static const char *const words[2][6] = {{"0", "f", "F", "false", "FALSE", "False"},
                                            {"1", "t", "T", "true", "TRUE", "True"}};
    for (size_t value = 0; value < 2; value++) {
        for (size_t i = 0; i < KI_COUNT(words[value]); i++) {
            if (strcmp(text, words[value][i]) == 0) {
                *out = value == 1;
                return true;
            }
        }
    }
    return false;
}

static bool set_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > max)
        return false;
    *out = value;
    return true;
}

/* A number of bytes: digits, and K, M, G or T of 1024 each. */
static bool set_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char digits[24];
    size_t len = strlen(text);
    const char *unit = len > 1 ? strchr(units, text[len - 1]) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    len -= unit != NULL;
    if (len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (!set_number(digits, UINT64_MAX >> shift, out))
        return false;
    *out <<= shift;
    return true;
}

/* Nanoseconds of Go's unit at *text, which is moved past it; 0: unknown. */
static uint64_t set_unit(const char **text)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},           {"us", 1000},
                 {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
                 {"ms", 1000000},     {"s", 1000000000},
                 {"m", 60000000000},  {"h", 3600000000000}};
    for (size_t i = 0; i < KI_COUNT(units); i++) {
        size_t len = strlen(units[i].name);
        if (strncmp(*text, units[i].name, len) == 0) {
            *text += len;
            return units[i].ns;
        }
    }
    return 0;
}

bool ki_duration_parse(const char *text, uint32_t *out_ms)
{
    const uint64_t most = (uint64_t)UINT32_MAX * 1000000; /* 49 days: far above every use */
    uint64_t total = 0;
    if (strcmp(text, "0") == 0) {
        *out_ms = 0;
        return true;
    }
    if (*text == '\0')
        return false;
    while (*text) {
        uint64_t whole = 0;
        uint64_t part = 0;
        uint64_t scale = 1;
        const char *begin = text;
        for (; *text >= '0' && *text <= '9'; text++) {
            whole = whole * 10 + (uint64_t)(*text - '0');
            if (whole > most)
                return false;
        }
        bool digits = text != begin;
        if (*text == '.') {
            for (text++; *text >= '0' && *text <= '9'; text++, digits = true) {
                if (scale < 1000000) { /* below a nanosecond of an hour nothing is left to tell */
                    part = part * 10 + (uint64_t)(*text - '0');
                    scale *= 10;
                }
            }
        }
        uint64_t unit = digits ? set_unit(&text) : 0;
        if (unit == 0 || whole > most / unit)
            return false;
        total += whole * unit + part * unit / scale;
        if (total > most)
            return false;
    }
    *out_ms = (uint32_t)((total + 999999) / 1000000);
    return true;
}

int ki_limit_set(struct ki_config *config, const struct ki_limit_row *row, const char *name, const char *text,
                 char error[KI_ERROR_TEXT])
{
    struct ki_limit *limit = &config->limits[row - ki_limits];
    uint64_t max = row->wide ? UINT64_MAX : UINT32_MAX;
    if (!set_number(text, max, &limit->value))
        return ki_config_fail(error, "%s: \"%.100s\" is not a number from 0 to %llu", name, text,
                              (unsigned long long)max);
    limit->set = true;
    return 0;
}

static int set_limit_ms(struct ki_config *config, size_t offset, uint32_t value_ms)
{
    for (size_t i = 0; i < ki_limit_count; i++) {
        if (ki_limits[i].offset == offset) {
            config->limits[i] = (struct ki_limit){.set = true, .value = value_ms};
            return 0;
        }
    }
    KI_UNREACHABLE();
}

static int set_duration(struct ki_config *config, const struct ki_option *option, const char *name, const char *text,
                        char error[KI_ERROR_TEXT])
{
    uint32_t value_ms;
    if (!ki_duration_parse(text, &value_ms))
        return ki_config_fail(error, "%s: \"%.100s\" is not a duration such as 30s, 1m30s or 500ms", name, text);
    if (option->kind == KI_OPTION_LIMIT_MS)
        return set_limit_ms(config, option->offset, value_ms);
    memcpy((char *)config + option->offset, &value_ms, sizeof value_ms);
    return 0;
}

static int set_truth(struct ki_config *config, const struct ki_option *option, const char *name, const char *text,
                     char error[KI_ERROR_TEXT])
{
    bool value;
    if (!set_bool(text, &value))
        return ki_config_fail(error, "%s: \"%.100s\" is neither true nor false", name, text);
    if (option->kind == KI_OPTION_NOT_YET_BOOL)
        return value ? ki_config_fail(error, "%s is not implemented yet; remove it", name) : 0;
    if (option->kind == KI_OPTION_NOT)
        value = !value;
    memcpy((char *)config + option->offset, &value, sizeof value);
    return 0;
}

static int set_text(struct ki_config *config, const struct ki_option *option, const char *text,
                    char error[KI_ERROR_TEXT])
{
    char **place = (char **)(void *)((char *)config + option->offset);
    char *copy = strdup(text);
    if (!copy)
        return ki_config_fail(error, "out of memory");
    free(*place);
    *place = copy;
    return 0;
}

static int set_handler(struct ki_strings *handlers, const char *name, const char *text, char error[KI_ERROR_TEXT])
{
    struct ki_handler_spec spec;
    char why[KI_ERROR_TEXT];
    if (ki_handler_spec_parse(&spec, text, why) != 0)
        return ki_config_fail(error, "%s: %.400s", name, why);
    ki_handler_spec_free(&spec);
    return ki_strings_add(handlers, text) ? 0 : ki_config_fail(error, "out of memory");
}

int ki_option_set(struct ki_config *config, const struct ki_option *option, const char *name, const char *text,
                  char error[KI_ERROR_TEXT])
{
    void *place = (char *)config + option->offset;
    uint64_t number;
    switch (option->kind) {
    case KI_OPTION_TEXT:
        return set_text(config, option, text, error);
    case KI_OPTION_BOOL:
    case KI_OPTION_NOT:
    case KI_OPTION_NOT_YET_BOOL:
        return set_truth(config, option, name, text, error);
    case KI_OPTION_NUMBER:
        if (!set_number(text, UINT32_MAX, &number))
            return ki_config_fail(error, "%s: \"%.100s\" is not a number", name, text);
        *(uint32_t *)place = (uint32_t)number;
        return 0;
    case KI_OPTION_BYTES:
        if (!set_bytes(text, &number))
            return ki_config_fail(error, "%s: \"%.100s\" is not a number of bytes such as 500M or 64G", name, text);
        *(uint64_t *)place = number;
        return 0;
    case KI_OPTION_MS:
    case KI_OPTION_LIMIT_MS:
        return set_duration(config, option, name, text, error);
    case KI_OPTION_HANDLERS:
        return set_handler(place, name, text, error);
    case KI_OPTION_LIST:
        return ki_strings_add(place, text) ? 0 : ki_config_fail(error, "out of memory");
    case KI_OPTION_TAGS:
        if (!ki_tags_add_pair(place, text))
            return ki_config_fail(error, "%s: \"%.100s\" is not of the form key=value", name, text);
        return 0;
    case KI_OPTION_IGNORED:
        return ki_strings_add(&config->ignored, name) ? 0 : ki_config_fail(error, "out of memory");
    case KI_OPTION_NOT_YET:
        return ki_config_fail(error, "%s is not implemented yet; remove it", name);
    }
    KI_UNREACHABLE();
}
