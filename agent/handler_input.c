/* What a script is told: standard input and environment, byte for byte as Serf's agent has them.
 *
 *     member-*   one line a member: name, address, role, tags (key=value, separated by commas), with tabs between;
 *                tabs and newlines in them are \t and \n
 *     user,      the payload, and a newline if it has none at its end and is not empty
 *     query
 *
 *     SERF_EVENT, SERF_SELF_NAME, SERF_SELF_ROLE and SERF_TAG_KEY always; SERF_USER_EVENT and SERF_USER_LTIME, or
 *     SERF_QUERY_NAME and SERF_QUERY_LTIME, where they mean something.  All else is the agent's own environment.
 *
 * A backslash is not escaped, as in Serf, so that a reader cannot tell "\t" in a tag from a tab: what a script must be
 * sure of it asks the agent.  Of two tags that end in one variable the later one is told.
 *
 * Not here: what bounds the sizes.  Members are the core's, payloads have the core's limits. */
#include "agent/handler.h"
#include "agent/utf8.h"

#include "base/base.h"
#include "net/net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)KI_HANDLED_REAP == (int)KI_MEMBER_REAP && (int)KI_HANDLED_USER == (int)KI_MEMBER_EVENT_COUNT,
               "the member events come first, in their order");

/* ---- standard input ---- */

static struct ki_handled *input_new(enum ki_handled_kind kind, struct kith_str name, struct kith_str input,
                                    bool add_newline)
{
    size_t input_len = input.len + add_newline;
    struct ki_handled *handled = malloc(sizeof *handled + name.len + 1 + input_len);
    if (!handled)
        return NULL;
    char *input_at = handled->bytes + name.len + 1;
    *handled = (struct ki_handled){.uses = 1,
                                   .kind = kind,
                                   .name = {.ptr = handled->bytes, .len = name.len},
                                   .input = {.ptr = input_at, .len = input_len}};
    if (name.len > 0)
        memcpy(handled->bytes, name.ptr, name.len);
    handled->bytes[name.len] = '\0';
    if (input.len > 0)
        memcpy(input_at, input.ptr, input.len);
    if (add_newline)
        input_at[input.len] = '\n';
    return handled;
}

static void input_clean(FILE *out, struct kith_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\t')
            fputs("\\t", out);
        else if (text.ptr[i] == '\n')
            fputs("\\n", out);
        else
            fputc(text.ptr[i], out);
    }
}

static struct kith_str input_tag(const struct kith_member *member, const char *key)
{
    struct kith_tag tag;
    size_t cursor = 0;
    while (kith_tag_next(member, &cursor, &tag)) {
        if (ki_span_equal(ki_span(tag.key.ptr, tag.key.len), ki_span(key, strlen(key))))
            return tag.value;
    }
    return (struct kith_str){.ptr = "", .len = 0};
}

static void input_member(FILE *out, const struct kith_member *member)
{
    char ip[KI_ADDR_TEXT];
    struct kith_tag tag;
    size_t cursor = 0;
    ki_addr_format_ip(&member->addr, ip);
    input_clean(out, member->name);
    fprintf(out, "\t%s\t", ip);
    input_clean(out, input_tag(member, "role"));
    fputc('\t', out);
    for (bool first = true; kith_tag_next(member, &cursor, &tag); first = false) {
        if (!first)
            fputc(',', out);
        input_clean(out, tag.key);
        fputc('=', out);
        input_clean(out, tag.value);
    }
    fputc('\n', out);
}

struct ki_handled *ki_handled_members(enum ki_member_event event, const struct kith_member *members, size_t count)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++)
        input_member(out, &members[i]);
    struct ki_handled *handled = NULL;
    if (fclose(out) == 0)
        handled = input_new((enum ki_handled_kind)event, (struct kith_str){.ptr = "", .len = 0},
                            (struct kith_str){.ptr = text, .len = len}, false);
    free(text);
    return handled;
}

struct ki_handled *ki_handled_message(const struct kith_event *event)
{
    const struct kith_message *message = &event->message;
    struct kith_str payload = message->payload;
    struct ki_handled *handled =
        input_new(event->kind == KITH_EVENT_USER ? KI_HANDLED_USER : KI_HANDLED_QUERY, message->name, payload,
                  payload.len > 0 && payload.ptr[payload.len - 1] != '\n');
    if (!handled)
        return NULL;
    handled->ltime = message->ltime;
    handled->query = message->query;
    handled->until_us = message->until_us;
    return handled;
}

void ki_handled_release(struct ki_handled *handled)
{
    if (--handled->uses == 0)
        free(handled);
}

/* ---- environment ---- */

struct input_variables {
    char **items;
    size_t count;
    bool failed;
};

static bool input_same_key(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* Takes `variable` over, in place of an earlier one of its key. */
static void input_put(struct input_variables *variables, char *variable)
{
    size_t i = 0;
    if (!variable) {
        variables->failed = true;
        return;
    }
    while (i < variables->count && !input_same_key(variable, variables->items[i]))
        i++;
    free(variables->items[i]);
    variables->items[i] = variable;
    variables->count += i == variables->count;
}

static void input_set(struct input_variables *variables, const char *key, struct kith_str value)
{
    char *variable = NULL;
    if (asprintf(&variable, "%s=%.*s", key, (int)value.len, value.ptr) < 0)
        variable = NULL;
    input_put(variables, variable);
}

static void input_set_number(struct input_variables *variables, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    input_set(variables, key, ki_str(text));
}

/* SERF_TAG_ and the key in capitals, each character that is no letter, digit or _ being one _. */
static void input_set_tag(struct input_variables *variables, const struct kith_tag *tag)
{
    char name[16 + KITH_META_MAX] = "SERF_TAG_";
    size_t at = strlen(name);
    for (size_t i = 0; i < ki_min_size(tag->key.len, KITH_META_MAX);) {
        char byte = tag->key.ptr[i];
        size_t len = ki_utf8_len((const uint8_t *)tag->key.ptr + i, tag->key.len - i);
        if (byte >= 'a' && byte <= 'z')
            byte = (char)(byte - 'a' + 'A');
        name[at++] = (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ? byte : '_';
        i += len > 0 ? len : 1;
    }
    name[at] = '\0';
    input_set(variables, name, tag->value);
}

static void input_fill(struct input_variables *variables, const struct ki_handled *handled,
                       const struct kith_member *self)
{
    struct kith_tag tag;
    size_t cursor = 0;
    input_set(variables, "SERF_EVENT", ki_str(ki_handled_word(handled->kind)));
    input_set(variables, "SERF_SELF_NAME", self->name);
    input_set(variables, "SERF_SELF_ROLE", input_tag(self, "role"));
    while (kith_tag_next(self, &cursor, &tag))
        input_set_tag(variables, &tag);
    if (handled->kind == KI_HANDLED_USER) {
        input_set(variables, "SERF_USER_EVENT", handled->name);
        input_set_number(variables, "SERF_USER_LTIME", handled->ltime);
    } else if (handled->kind == KI_HANDLED_QUERY) {
        input_set(variables, "SERF_QUERY_NAME", handled->name);
        input_set_number(variables, "SERF_QUERY_LTIME", handled->ltime);
    }
}

char **ki_handled_environment(const struct ki_handled *handled, const struct kith_member *self, char *const *inherited)
{
    size_t most = 8 + KITH_META_MAX; /* a tag has a byte of key at least */
    for (size_t i = 0; inherited[i]; i++)
        most++;
    struct input_variables variables = {.items = calloc(most, sizeof *variables.items)};
    if (!variables.items)
        return NULL;
    input_fill(&variables, handled, self);
    size_t own = variables.count;
    for (size_t i = 0; inherited[i] && !variables.failed; i++) {
        size_t same = 0;
        while (same < own && !input_same_key(variables.items[same], inherited[i]))
            same++;
        if (same < own)
            continue;
        variables.items[variables.count] = strdup(inherited[i]);
        variables.failed = !variables.items[variables.count++];
    }
    if (!variables.failed)
        return variables.items;
    ki_environment_free(variables.items);
    return NULL;
}

void ki_environment_free(char **environment)
{
    for (size_t i = 0; environment[i]; i++)
        free(environment[i]);
    free(environment);
}
