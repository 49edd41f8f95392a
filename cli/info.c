/* kith info: the agent's numbers.
 *
 * Three shapes of one thing.  Text and -format=json are Serf's: sections of keys, every value a
 * string.  --json has numbers as numbers and adds what only kith agents have (the answer to
 * `kith-info`): every counter, the gauges, the driver's and the RPC's own.  A Serf agent hangs up on
 * that question, which is fine: what it did answer is printed. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#define INFO_ENTRIES_MAX 4096 /* an agent has about 150 */

struct info_entry {
    struct ki_span section;
    struct ki_span key; /* ptr NULL: the section is empty */
    struct ki_token value;
};

struct info {
    struct info_entry entries[INFO_ENTRIES_MAX];
    size_t count;
};

/* ---- reading ---- */

static bool info_add(struct info *info, struct info_entry entry)
{
    if (info->count == INFO_ENTRIES_MAX)
        return false;
    info->entries[info->count++] = entry;
    return true;
}

static bool info_read_section(struct info *info, struct ki_reader *r)
{
    struct info_entry entry = {.key = {NULL, 0}};
    uint32_t keys;
    if (!ki_unpack_str(r, &entry.section) || !ki_unpack_map(r, &keys))
        return false;
    if (keys == 0)
        return info_add(info, entry);
    for (uint32_t i = 0; i < keys; i++) {
        if (!ki_unpack_str(r, &entry.key) || !ki_unpack(r, &entry.value))
            return false;
        if (entry.value.kind == KI_TOKEN_ARRAY || entry.value.kind == KI_TOKEN_MAP ||
            !info_add(info, entry))
            return false;
    }
    return true;
}

static bool info_read(struct info *info, struct ki_span object)
{
    struct ki_reader r = ki_reader(object.ptr, object.len);
    uint32_t sections;
    if (!ki_unpack_map(&r, &sections))
        return false;
    for (uint32_t i = 0; i < sections; i++) {
        if (!info_read_section(info, &r))
            return false;
    }
    return true;
}

static int info_compare(const void *a, const void *b)
{
    const struct info_entry *left = a;
    const struct info_entry *right = b;
    int order = ki_span_compare(left->section, right->section);
    return order != 0 ? order : ki_span_compare(left->key, right->key);
}

/* ---- printing ---- */

static bool info_new_section(const struct info *info, size_t i)
{
    return i == 0 || !ki_span_equal(info->entries[i].section, info->entries[i - 1].section);
}

static void info_print_text(const struct info *info)
{
    for (size_t i = 0; i < info->count; i++) {
        const struct info_entry *entry = &info->entries[i];
        if (info_new_section(info, i)) {
            ki_print_safe(stdout, entry->section);
            puts(":");
        }
        if (!entry->key.ptr || entry->value.kind != KI_TOKEN_STR)
            continue;
        putchar('\t');
        ki_print_safe(stdout, entry->key);
        fputs(" = ", stdout);
        ki_print_safe(stdout, entry->value.as.bytes);
        putchar('\n');
    }
}

/* A string of Serf's that holds a number or a truth, as such. */
static json_t *info_json_typed(struct ki_span text)
{
    char copy[24];
    if (ki_span_equal(text, ki_span("true", 4)))
        return json_true();
    if (ki_span_equal(text, ki_span("false", 5)))
        return json_false();
    if (text.len == 0 || text.len >= sizeof copy - 4) /* shorter than any number that overflows */
        return ki_json_bytes(text);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789") != text.len)
        return ki_json_bytes(text);
    unsigned long long number = strtoull(copy, NULL, 10);
    return number <= INT64_MAX ? json_integer((json_int_t)number) : ki_json_bytes(text);
}

static json_t *info_json_value(const struct info_entry *entry, bool typed)
{
    const struct ki_token *value = &entry->value;
    switch (value->kind) {
    case KI_TOKEN_UINT:
        return json_integer((json_int_t)ki_min_u64(value->as.uint, INT64_MAX));
    case KI_TOKEN_NEGINT:
        return json_integer((json_int_t)value->as.negint);
    case KI_TOKEN_BOOL:
        return json_boolean(value->as.boolean);
    case KI_TOKEN_DOUBLE:
        return json_real(value->as.real);
    case KI_TOKEN_STR:
    case KI_TOKEN_BIN:
    case KI_TOKEN_EXT:
        return typed ? info_json_typed(value->as.bytes) : ki_json_bytes(value->as.bytes);
    case KI_TOKEN_NIL:
    case KI_TOKEN_ARRAY:
    case KI_TOKEN_MAP:
        return json_null();
    }
    return json_null();
}

/* Names and tags are text, whatever they look like. */
static bool info_is_numeric(struct ki_span section)
{
    return ki_span_equal(section, ki_span("serf", 4)) ||
           ki_span_equal(section, ki_span("runtime", 7));
}

static int info_print_json(const struct info *info, bool typed)
{
    json_t *root = json_object();
    json_t *section = NULL;
    for (size_t i = 0; i < info->count; i++) {
        const struct info_entry *entry = &info->entries[i];
        if (info_new_section(info, i)) {
            section = json_object();
            ki_json_set(root, entry->section, section);
        }
        if (entry->key.ptr)
            ki_json_set(section, entry->key,
                        info_json_value(entry, typed && info_is_numeric(entry->section)));
    }
    return ki_json_print(root, JSON_SORT_KEYS);
}

/* ---- asking ---- */

/* Copies an answer, which lives only until the next one.  Returns NULL when out of memory. */
static uint8_t *info_copy(struct ki_span *object)
{
    uint8_t *copy = malloc(object->len + 1);
    if (copy) {
        memcpy(copy, object->ptr, object->len);
        object->ptr = copy;
    }
    return copy;
}

static int info_print(struct info *info, struct ki_rpc_client *client,
                      const struct ki_client_options *options, bool serf_json)
{
    struct ki_span stats;
    struct ki_span more;
    if (!ki_rpc_call(client, "stats", NULL, KI_RPC_WAIT_MS, &stats))
        return ki_client_failed(client, KI_EXIT_FAILED, "Error querying agent");
    uint8_t *copy = info_copy(&stats);
    bool good = copy && info_read(info, stats);
    if (good && options->json && ki_rpc_call(client, "kith-info", NULL, KI_RPC_WAIT_MS, &more))
        good = info_read(info, more);
    int code = KI_EXIT_OK;
    if (!good) {
        fprintf(stderr, "Error querying agent: the answer is malformed\n");
        code = KI_EXIT_FAILED;
    } else {
        qsort(info->entries, info->count, sizeof *info->entries, info_compare);
        if (options->json || serf_json)
            code = info_print_json(info, options->json);
        else
            info_print_text(info);
    }
    free(copy);
    return code;
}

int ki_cmd_info(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    const char *format = "text";
    const struct ki_flag flags[] = {
        {"format", KI_FLAG_TEXT, &format, "text|json",
         "Output format; json has Serf's shape, all strings."},
        {"json", KI_FLAG_BOOL, &options.json, NULL,
         "Print JSON, with numbers as numbers, and every counter."},
        KI_CLIENT_FLAGS(options),
    };
    const struct ki_usage usage = {
        "info", "", "Prints what the agent knows about itself.", flags, KI_COUNT(flags), 0, 0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    bool serf_json = strcmp(format, "json") == 0;
    if (!serf_json && strcmp(format, "text") != 0)
        return ki_usage_error(&usage, "Invalid output format \"%s\"", format);
    struct ki_rpc_client client;
    code = ki_client_connect(&client, &options);
    if (code != KI_EXIT_OK)
        return code;
    struct info *info = calloc(1, sizeof *info);
    code = info ? info_print(info, &client, &options, serf_json) : KI_EXIT_FAILED;
    free(info);
    ki_rpc_close(&client);
    return code;
}
