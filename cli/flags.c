/* Go-style flags.
 *
 * `serf` is written with Go's flag package, and scripts written for it must run with `kith`: one dash
 * or two mean the same, a value may be attached with '=' or stand alone, and reading stops at the first
 * operand.  getopt_long can do none of the three.
 *
 * Invariant: values are pointers into argv, nothing is copied.  Errors and the hint go to standard
 * error and end with exit code 2; help that was asked for goes to standard output and ends with 0. */
#include "cli/flags.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* A value may hold a newline, or what drives a terminal; the error stays one line of text. */
int ki_usage_error(const struct ki_usage *usage, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = len < 0 ? NULL : malloc((size_t)len + 1);
    fprintf(stderr, "kith %s: ", usage->command);
    if (text) {
        vsnprintf(text, (size_t)len + 1, format, again);
        ki_print_safe(stderr, ki_span(text, (size_t)len));
    }
    va_end(again);
    va_end(args);
    free(text);
    fprintf(stderr, " (see 'kith %s -help')\n", usage->command);
    return KI_EXIT_USAGE;
}

bool ki_flag_wrong(const struct ki_usage *usage, const char *flag, const char *value, const char *format, ...)
{
    char why[512];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    ki_usage_error(usage, "-%s %s: %s", flag, value, why);
    return false;
}

bool ki_flag_fits(const struct ki_usage *usage, const char *flag, const char *value, const char *wrong)
{
    return !wrong || ki_flag_wrong(usage, flag, value, "%s", wrong);
}

bool ki_flag_within(const struct ki_usage *usage, const char *flag, uint32_t value, uint32_t min, uint32_t max)
{
    char text[16];
    snprintf(text, sizeof text, "%u", (unsigned)value);
    return (value >= min && value <= max) ||
           ki_flag_wrong(usage, flag, text, "must be %u to %u", (unsigned)min, (unsigned)max);
}

bool ki_flag_choice(const struct ki_usage *usage, const char *flag, const char *value, const char *const words[],
                    size_t count, size_t *index)
{
    char all[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, words[i]) == 0) {
            *index = i;
            return true;
        }
        int more = snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", words[i]);
        len = ki_min_size(len + (size_t)more, sizeof all - 1);
    }
    return ki_flag_wrong(usage, flag, value, "is none of %s", all);
}

/* Help in serf's columns; a help text of several lines is indented as a whole. */
static void flags_print_one(const struct ki_flag *flag)
{
    char left[64];
    snprintf(left, sizeof left, "-%s%s%s", flag->name, flag->value ? "=" : "",
             flag->value ? flag->value : "");
    if (strlen(left) > 26)
        printf("  %s\n%29s", left, "");
    else
        printf("  %-26s ", left);
    for (const char *at = flag->help; *at; at++) {
        putchar(*at);
        if (*at == '\n')
            printf("%29s", "");
    }
    putchar('\n');
}

static void flags_print_help(const struct ki_usage *usage)
{
    printf("Usage: kith %s%s%s%s\n\n  %s\n", usage->command, usage->flag_count ? " [options]" : "",
           usage->operands[0] ? " " : "", usage->operands, usage->about);
    if (usage->flag_count)
        printf("\nOptions:\n\n");
    for (size_t i = 0; i < usage->flag_count; i++)
        flags_print_one(&usage->flags[i]);
}

static const struct ki_flag *flags_find(const struct ki_usage *usage, const char *name, size_t len)
{
    for (size_t i = 0; i < usage->flag_count; i++) {
        if (strlen(usage->flags[i].name) == len && memcmp(usage->flags[i].name, name, len) == 0)
            return &usage->flags[i];
    }
    return NULL;
}

static bool flags_set_bool(bool *out, const char *value)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *out = strcmp(value, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool flags_set_uint(uint32_t *out, const char *value)
{
    if (value[0] < '0' || value[0] > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long number = strtoul(value, &end, 10);
    if (errno != 0 || *end != '\0' || number > UINT32_MAX)
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool flags_set_given(struct ki_flag_uint *out, const char *value)
{
    out->given = flags_set_uint(&out->value, value);
    return out->given;
}

/* strtod() would take blanks, hexadecimal, infinities and nothing at all. */
const char *ki_flag_real(const char *text, double *out)
{
    char *end;
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return "is no decimal number";
    double value = strtod(text, &end);
    if (*end != '\0' || end == text)
        return "is no decimal number";
    if (!isfinite(value))
        return "is larger than any number that a double holds";
    *out = value;
    return NULL;
}

static const char *flags_set_real(struct ki_flag_real *out, const char *value)
{
    const char *wrong = ki_flag_real(value, &out->value);
    out->given = !wrong;
    return wrong;
}

static bool flags_set_list(struct ki_flag_list *list, const char *value)
{
    if (list->count == KI_FLAG_LIST_MAX)
        return false;
    list->items[list->count++] = value;
    return true;
}

static bool flags_set(const struct ki_usage *usage, const struct ki_flag *flag, const char *value)
{
    switch (flag->kind) {
    case KI_FLAG_BOOL:
        return flags_set_bool(flag->out, value) ||
               ki_flag_wrong(usage, flag->name, value, "is neither true nor false");
    case KI_FLAG_TEXT:
        *(const char **)flag->out = value;
        return true;
    case KI_FLAG_UINT:
    case KI_FLAG_UINT_GIVEN:
        return (flag->kind == KI_FLAG_UINT ? flags_set_uint(flag->out, value) : flags_set_given(flag->out, value)) ||
               ki_flag_wrong(usage, flag->name, value, "is no whole number below 2^32");
    case KI_FLAG_REAL_GIVEN:
        return ki_flag_fits(usage, flag->name, value, flags_set_real(flag->out, value));
    case KI_FLAG_LIST:
        return flags_set_list(flag->out, value) ||
               ki_flag_wrong(usage, flag->name, value, "is one more than the %d that are allowed", KI_FLAG_LIST_MAX);
    }
    abort();
}

/* Takes the flag at argv[*at], and its value.  Returns 0, or the exit code. */
static int flags_take(const struct ki_usage *usage, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + (argv[*at][1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct ki_flag *flag = flags_find(usage, name, len);
    if (!flag)
        return ki_usage_error(usage, "flag provided but not defined: -%.*s", (int)len, name);
    const char *value = equals ? equals + 1 : NULL;
    if (!value && flag->kind == KI_FLAG_BOOL)
        value = "true";
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value)
        return ki_usage_error(usage, "flag needs an argument: -%s", flag->name);
    if (!flags_set(usage, flag, value))
        return KI_EXIT_USAGE;
    ++*at;
    return 0;
}

static bool flags_is_help(const char *text)
{
    return strcmp(text, "-h") == 0 || strcmp(text, "-help") == 0 || strcmp(text, "--help") == 0;
}

bool ki_flags_parse(const struct ki_usage *usage, int argc, char **argv, int *first, int *exit_code)
{
    int at = 1;
    while (at < argc && argv[at][0] == '-' && argv[at][1] != '\0') {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (flags_is_help(argv[at])) {
            flags_print_help(usage);
            *exit_code = KI_EXIT_OK;
            return false;
        }
        *exit_code = flags_take(usage, argc, argv, &at);
        if (*exit_code != 0)
            return false;
    }
    int operands = argc - at;
    if (operands < usage->operands_min) {
        *exit_code = ki_usage_error(usage, "needs %s", usage->operands);
        return false;
    }
    if (usage->operands_max >= 0 && operands > usage->operands_max) {
        *exit_code =
            ki_usage_error(usage, "unexpected argument: %s", argv[at + usage->operands_max]);
        return false;
    }
    *first = at;
    return true;
}

static bool flags_is_flag(const char *word)
{
    const char *digits = word + 1 + (word[0] == '-' && word[1] == '.');
    return word[0] == '-' && word[1] != '\0' && (digits[0] < '0' || digits[0] > '9');
}

bool ki_flags_parse_around(const struct ki_usage *usage, int argc, char **argv, char ***operands, int *count,
                           int *exit_code)
{
    struct ki_usage before = *usage, behind = *usage;
    int first, none;
    before.operands_max = -1;
    behind.operands_min = behind.operands_max = 0;
    if (!ki_flags_parse(&before, argc, argv, &first, exit_code))
        return false;
    bool all = strcmp(argv[first - 1], "--") == 0;
    int most = usage->operands_max < 0 || argc - first < usage->operands_max ? argc - first : usage->operands_max;
    *operands = argv + first;
    *count = usage->operands_min;
    while (*count < most && (all || !flags_is_flag(argv[first + *count])))
        (*count)++;
    return ki_flags_parse(&behind, argc - first - *count + 1, argv + first + *count - 1, &none, exit_code);
}

int ki_sub_commands(const char *command, const struct ki_sub_command *subs, size_t count, int argc, char **argv)
{
    const struct ki_usage usage = {.command = command};
    if (argc < 2)
        return ki_usage_error(&usage, "needs a command");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(argv[1], subs[i].name) == 0)
            return subs[i].run(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "help") != 0 && !flags_is_help(argv[1]))
        return ki_usage_error(&usage, "no such command: %s", argv[1]);
    printf("Usage: kith %s <command> [options]\n\nCommands:\n", command);
    for (size_t i = 0; i < count; i++)
        printf("  %-12s  %s\n", subs[i].name, subs[i].summary);
    printf("\n'kith %s <command> -help' tells what it takes.\n", command);
    return KI_EXIT_OK;
}
