/* What a handler is for: `filter[,filter]=script`, or a script alone, which is for everything.
 *
 * Serf's grammar: the first '=' ends the filters, so that a script with a '=' in it needs filters; nothing is trimmed; a
 * filter without a word before the '=' is `*`.  Unlike Serf's, a handler whose filters match twice runs once, and a
 * script must not be empty.
 *
 * Filters point into a copy of the text in which the commas are the ends of strings.
 *
 * Not here: what the script is told, and when it runs. */
#include "agent/handler.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#define SPEC_NAME_MAX 255 /* no user event or query has a longer one */

static const char *const spec_words[] = {
    [KI_HANDLED_JOIN] = "member-join",     [KI_HANDLED_LEAVE] = "member-leave", [KI_HANDLED_FAILED] = "member-failed",
    [KI_HANDLED_UPDATE] = "member-update", [KI_HANDLED_REAP] = "member-reap",   [KI_HANDLED_USER] = "user",
    [KI_HANDLED_QUERY] = "query",          [KI_HANDLED_ANY] = "*",
};

const char *ki_handled_word(enum ki_handled_kind kind)
{
    return spec_words[kind];
}

/* Reads "user:deploy", which it may cut.  False: no such filter. */
static bool spec_filter(struct ki_handler_filter *out, char *word)
{
    char *colon = strchr(word, ':');
    size_t len = colon ? (size_t)(colon - word) : strlen(word);
    for (size_t i = 0; i < KI_COUNT(spec_words); i++) {
        enum ki_handled_kind kind = (enum ki_handled_kind)i;
        if (strlen(spec_words[i]) != len || memcmp(spec_words[i], word, len) != 0)
            continue;
        if (colon && ((kind != KI_HANDLED_USER && kind != KI_HANDLED_QUERY) || strlen(colon + 1) > SPEC_NAME_MAX))
            return false;
        *out = (struct ki_handler_filter){.kind = kind, .word = spec_words[i], .name = colon ? colon + 1 : ""};
        return true;
    }
    return false;
}

static int spec_filters(struct ki_handler_spec *spec, char error[KI_ERROR_TEXT])
{
    for (char *rest = spec->words, *word; (word = strsep(&rest, ",")) != NULL;) {
        if (!spec_filter(&spec->filters[spec->count++], word))
            return ki_config_fail(error,
                                  "\"%.60s\" is none of member-join, member-leave, member-failed, "
                                  "member-update, member-reap, user, user:NAME, query, query:NAME, * (and a script "
                                  "with a '=' in it is written *=script)",
                                  word);
    }
    return 0;
}

int ki_handler_spec_parse(struct ki_handler_spec *out, const char *text, char error[KI_ERROR_TEXT])
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : 0;
    size_t commas = 0;
    for (size_t i = 0; i < len; i++)
        commas += text[i] == ',';
    if (text[equals ? len + 1 : 0] == '\0')
        return ki_config_fail(error, "\"%.100s\" has no script", text);
    *out = (struct ki_handler_spec){.text = strdup(text)};
    out->words = len > 0 ? strndup(text, len) : strdup(spec_words[KI_HANDLED_ANY]);
    out->filters = calloc(commas + 1, sizeof *out->filters);
    int result = out->text && out->words && out->filters ? spec_filters(out, error)
                                                         : ki_config_fail(error, "out of memory");
    if (result != 0) {
        ki_handler_spec_free(out);
        return -1;
    }
    out->script = out->text + (equals ? len + 1 : 0);
    return 0;
}

void ki_handler_spec_free(struct ki_handler_spec *spec)
{
    free(spec->text);
    free(spec->words);
    free(spec->filters);
    *spec = (struct ki_handler_spec){.text = NULL};
}

bool ki_handler_spec_wants(const struct ki_handler_spec *spec, enum ki_handled_kind kind, struct kith_str name)
{
    for (size_t i = 0; i < spec->count; i++) {
        const struct ki_handler_filter *filter = &spec->filters[i];
        if (filter->kind == KI_HANDLED_ANY)
            return true;
        if (filter->kind == kind && (filter->name[0] == '\0' || ki_span_equal(ki_span(filter->name, strlen(filter->name)),
                                                                               ki_span(name.ptr, name.len))))
            return true;
    }
    return false;
}
