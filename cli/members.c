/* kith members: who is in the pool, as the agent sees it.
 *
 * The text is Serf's: columns two spaces apart, name, address, status, tags, and with -detailed the
 * versions; -format=json has Serf's shape.  Different from Serf: rows and tags are sorted, an empty
 * list is [], a bad pattern is named here before the agent is asked (which would only hang up), and
 * warnings go to standard error. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/pattern.h"
#include "cli/member_list.h"

struct members_options {
    struct ki_client_options client;
    struct ki_flag_list tags; /* "key=pattern" */
    const char *format;
    const char *role;
    const char *name;
    const char *status;
    bool detailed;
};

/* ---- asking ---- */

static bool members_check_pattern(const char *pattern, int *code)
{
    char reason[128];
    struct ki_pattern *compiled =
        ki_pattern_new(NULL, KI_PATTERN_WHOLE, ki_span(pattern, strlen(pattern)), reason, sizeof reason);
    if (!compiled) {
        fprintf(stderr, "Error retrieving members: bad pattern '%s': %s\n", pattern, reason);
        *code = KI_EXIT_FAILED;
    }
    ki_pattern_free(compiled);
    return compiled != NULL;
}

static bool members_check(const struct ki_usage *usage, const struct members_options *options,
                          int *code)
{
    if (strcmp(options->format, "text") != 0 && strcmp(options->format, "json") != 0) {
        *code = ki_usage_error(usage, "Invalid output format \"%s\"", options->format);
        return false;
    }
    for (size_t i = 0; i < options->tags.count; i++) {
        const char *equals = strchr(options->tags.items[i], '=');
        if (!equals || equals == options->tags.items[i]) {
            *code = ki_usage_error(usage, "Invalid tag: '%s'", options->tags.items[i]);
            return false;
        }
        if (!members_check_pattern(equals + 1, code))
            return false;
    }
    return members_check_pattern(options->role, code) &&
           members_check_pattern(options->name, code) &&
           members_check_pattern(options->status, code);
}

/* Packs the request; the memory behind it is the caller's to free. */
static struct ki_pack members_pack(const struct members_options *options)
{
    size_t cap = 128 + strlen(options->role) + strlen(options->name) + strlen(options->status);
    for (size_t i = 0; i < options->tags.count; i++)
        cap += strlen(options->tags.items[i]) + 16;
    uint8_t *buf = malloc(cap);
    struct ki_pack p = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&p, 3);
    ki_pack_text(&p, "Tags");
    ki_pack_map(&p, options->tags.count + (options->role[0] ? 1 : 0));
    if (options->role[0]) {
        ki_pack_text(&p, "role");
        ki_pack_text(&p, options->role);
    }
    for (size_t i = 0; i < options->tags.count; i++) {
        const char *tag = options->tags.items[i];
        const char *equals = strchr(tag, '=');
        ki_pack_str(&p, ki_span(tag, (size_t)(equals - tag)));
        ki_pack_text(&p, equals + 1);
    }
    ki_pack_text(&p, "Status");
    ki_pack_text(&p, options->status);
    ki_pack_text(&p, "Name");
    ki_pack_text(&p, options->name);
    return p;
}

/* ---- printing ---- */

static size_t members_tags_width(const struct ki_listed_member *member)
{
    size_t width = member->tag_count ? member->tag_count - 1 : 0; /* the commas */
    for (size_t i = 0; i < member->tag_count; i++)
        width += ki_safe_width(member->tags[i].key) + 1 + ki_safe_width(member->tags[i].value);
    return width;
}

static void members_print_tags(const struct ki_listed_member *member)
{
    for (size_t i = 0; i < member->tag_count; i++) {
        if (i > 0)
            putchar(',');
        ki_print_safe(stdout, member->tags[i].key);
        putchar('=');
        ki_print_safe(stdout, member->tags[i].value);
    }
}

/* Widest cell of each column that has another after it. */
struct members_widths {
    size_t name, addr, status, tags;
};

static struct members_widths members_measure(const struct ki_member_list *list)
{
    struct members_widths widths = {0};
    for (size_t i = 0; i < list->count; i++) {
        const struct ki_listed_member *member = &list->members[i];
        char addr[KI_ADDR_TEXT_MAX];
        ki_listed_addr(member, addr);
        widths.name = ki_max_u64(widths.name, ki_safe_width(member->name));
        widths.addr = ki_max_u64(widths.addr, strlen(addr));
        widths.status = ki_max_u64(widths.status, ki_safe_width(member->status));
        widths.tags = ki_max_u64(widths.tags, members_tags_width(member));
    }
    return widths;
}

static void members_pad(size_t width, size_t used)
{
    printf("%*s", (int)(width - used + 2), "");
}

static void members_print_text(const struct ki_member_list *list, bool detailed)
{
    struct members_widths widths = members_measure(list);
    bool colour = ki_want_colour();
    for (size_t i = 0; i < list->count; i++) {
        const struct ki_listed_member *member = &list->members[i];
        char addr[KI_ADDR_TEXT_MAX];
        ki_listed_addr(member, addr);
        ki_print_safe(stdout, member->name);
        members_pad(widths.name, ki_safe_width(member->name));
        fputs(addr, stdout);
        members_pad(widths.addr, strlen(addr));
        fputs(ki_status_colour(member->status, colour), stdout);
        ki_print_safe(stdout, member->status);
        fputs(ki_no_colour(colour), stdout);
        if (member->tag_count || detailed)
            members_pad(widths.status, ki_safe_width(member->status));
        members_print_tags(member);
        if (detailed) {
            if (widths.tags)
                members_pad(widths.tags, members_tags_width(member));
            printf("Protocol Version: %u  Available Protocol Range: [%u, %u]", member->versions[5],
                   member->versions[3], member->versions[4]);
        }
        putchar('\n');
    }
}

static int members_print_json(const struct ki_member_list *list)
{
    json_t *members = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(members, ki_listed_json(&list->members[i]));
    return ki_json_print(json_pack("{s:o}", "members", members), 0);
}

static int members_run(const struct members_options *options)
{
    struct ki_rpc_client client;
    int code = ki_client_connect(&client, &options->client);
    if (code != KI_EXIT_OK)
        return code;
    struct ki_pack request = members_pack(options);
    struct ki_span reply;
    struct ki_member_list list = {0};
    if (!ki_rpc_call(&client, "members-filtered", &request, KI_RPC_WAIT_MS, &reply)) {
        code = ki_client_failed(&client, KI_EXIT_FAILED, "Error retrieving members");
    } else if (!ki_member_list_read(&list, reply)) {
        fprintf(stderr, "Error retrieving members: the agent's answer is malformed\n");
        code = KI_EXIT_FAILED;
    } else if (options->client.json || strcmp(options->format, "json") == 0) {
        code = members_print_json(&list);
    } else {
        members_print_text(&list, options->detailed);
    }
    ki_member_list_free(&list);
    free(request.w.start);
    ki_rpc_close(&client);
    return code;
}

int ki_cmd_members(int argc, char **argv)
{
    struct members_options options = {
        .client = ki_client_options(), .format = "text", .role = "", .name = "", .status = ""};
    const struct ki_flag flags[] = {
        {"detailed", KI_FLAG_BOOL, &options.detailed, NULL,
         "Show protocol versions too (text only)."},
        {"format", KI_FLAG_TEXT, &options.format, "text|json",
         "Output format; json has Serf's shape."},
        {"name", KI_FLAG_TEXT, &options.name, "regexp", "Only members whose whole name matches."},
        {"role", KI_FLAG_TEXT, &options.role, "regexp", "Deprecated: -tag role=regexp."},
        {"status", KI_FLAG_TEXT, &options.status, "regexp", "Only members with such a status."},
        {"tag", KI_FLAG_LIST, &options.tags, "key=regexp",
         "Only members whose tag's whole value matches;\nmay be given several times: all must "
         "match."},
        KI_JSON_FLAG(options.client),
        KI_CLIENT_FLAGS(options.client),
    };
    const struct ki_usage usage = {
        "members", "", "Lists the members of the agent's pool.", flags, KI_COUNT(flags), 0, 0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code) ||
        !members_check(&usage, &options, &code))
        return code;
    if (options.role[0])
        fprintf(stderr, "Deprecation warning: 'Role' has been replaced with 'Tags'\n");
    return members_run(&options);
}
