/* Flags as Go programs, and so `serf`, take them: -name value, -name=value, --name; a switch is -name
 * or -name=false. The first argument that is no flag ends them, and so does "--". */
#ifndef KI_CLI_FLAGS_H
#define KI_CLI_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KI_FLAG_LIST_MAX 256

struct ki_flag_uint { /* for defaults that hang on other flags */
    uint32_t value;
    bool given;
};

struct ki_flag_real {
    double value; /* finite */
    bool given;
};

struct ki_flag_list {
    const char *items[KI_FLAG_LIST_MAX];
    size_t count;
};

enum ki_flag_kind {
    KI_FLAG_BOOL, /* bool * */
    KI_FLAG_TEXT, /* const char ** */
    KI_FLAG_UINT, /* uint32_t * */
    KI_FLAG_UINT_GIVEN, /* struct ki_flag_uint * */
    KI_FLAG_REAL_GIVEN, /* struct ki_flag_real * */
    KI_FLAG_LIST  /* struct ki_flag_list *: may be given many times */
};

struct ki_flag {
    const char *name;
    enum ki_flag_kind kind;
    void *out;         /* holds the default before, and the value after */
    const char *value; /* what the help calls the value */
    const char *help;  /* may be of several lines */
};

struct ki_usage {
    const char *command;  /* "members" */
    const char *operands; /* "address ...", or "" */
    const char *about;    /* what it does */
    const struct ki_flag *flags;
    size_t flag_count;
    int operands_min;
    int operands_max; /* -1: any number */
};

/* Reads the flags of argv[1..]; the operands begin at argv[*first].  Returns true to go on; otherwise
 * the help or the error has been printed, and *exit_code says how to end. */
bool ki_flags_parse(const struct ki_usage *usage, int argc, char **argv, int *first,
                    int *exit_code);

/* The same, but flags may also stand behind the operands (usage->operands_min of them are taken whatever they look like,
 * further ones up to a word that begins with '-' and is no number).
 * Out: operands, count  borrowed from argv. */
bool ki_flags_parse_around(const struct ki_usage *usage, int argc, char **argv, char ***operands, int *count,
                           int *exit_code);

/* Reads a finite decimal number, and nothing else.  Out: NULL, or what is wrong, to be put behind the number. */
const char *ki_flag_real(const char *text, double *out);

/* Prints "kith COMMAND: reason" and where to find help to standard error.  Returns the exit code for
 * wrong usage. */
int ki_usage_error(const struct ki_usage *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A command whose first word is again one: "store backup". */
struct ki_sub_command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is its name */
};
/* Runs the one that argv[1] names, or prints what there is.  Returns the exit code. */
int ki_sub_commands(const char *command, const struct ki_sub_command *subs, size_t count, int argc, char **argv);

/* What is wrong with a flag's value, always said in one way: "kith COMMAND: -FLAG VALUE: reason".  Each returns whether the
 * value will do, so that they can be strung together with &&; KI_EXIT_USAGE is then how to end. */

/* Returns false. */
bool ki_flag_wrong(const struct ki_usage *usage, const char *flag, const char *value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* In: wrong  the reason; NULL: there is none, and the value will do. */
bool ki_flag_fits(const struct ki_usage *usage, const char *flag, const char *value, const char *wrong);
/* A number from min to max. */
bool ki_flag_within(const struct ki_usage *usage, const char *flag, uint32_t value, uint32_t min, uint32_t max);
/* One of some words.  Out: index  which of them. */
bool ki_flag_choice(const struct ki_usage *usage, const char *flag, const char *value, const char *const words[],
                    size_t count, size_t *index);

#endif
