/* What the agent was told: flags, environment, files. */
#ifndef KI_AGENT_CONFIG_H
#define KI_AGENT_CONFIG_H

#include "agent/log.h"
#include "agent/tags.h"
#include "kith/kith.h"

struct ki_strings {
    char **items;
    size_t count;
};

#define KI_LIMIT_MAX 48 /* rows of the table of limits, at most */

/* One field of kith_config that a number in a file or the environment sets. */
struct ki_limit {
    bool set;
    uint64_t value;
};

struct ki_config {
    char *node, *bind, *advertise, *encrypt, *keyring_file, *profile, *log_level, *log_format;
    char *rpc_addr, *rpc_auth, *rpc_socket, *resp_addr, *resp_auth;
    char *snapshot, *tags_file, *role, *label, *delegate_versions;
    struct ki_strings join, retry_join, config_files, config_dirs, handlers;
    struct ki_strings ignored; /* keys that were taken but have no effect yet */
    struct ki_tags tags;
    bool replay, rejoin, compression, coordinates, gauges, leave_on_terminate, skip_leave_on_interrupt;
    uint32_t protocol; /* Serf's; 0: the newest */
    uint32_t retry_max, retry_interval_ms;
    uint32_t handler_timeout_ms, handler_concurrency;
    char *data_dir, *fsync; /* of the store */
    uint64_t data_max, store_max, value_max, repair_rate;
    uint32_t resp_clients_max;
    uint32_t rpc_kept_max; /* events that kith-stream replays, and */
    uint64_t rpc_kept_bytes_max;
    struct ki_limit limits[KI_LIMIT_MAX];
};

#define KI_ERROR_TEXT 512

/* Reads flags, then with lower rank environment, directories, files and defaults.  argv[0] is the first flag.
 * Returns 0; 1: help was asked for; -1: usage error, told in `error`. */
int ki_config_read(struct ki_config *out, int argc, char **argv, char error[KI_ERROR_TEXT]);
void ki_config_free(struct ki_config *config);
/* Puts the limits that were set into the core's configuration. */
void ki_config_apply_limits(const struct ki_config *config, struct kith_config *core);
/* What -encrypt, -protocol, -delegate-versions, ... say, once all sources are read.  0, or -1 and `error`. */
int ki_config_check(const struct ki_config *config, char error[KI_ERROR_TEXT]);
/* Reads "2/5/5". */
bool ki_config_versions(const char *text, uint8_t out[3]);
/* Reads Go's durations ("1m30s", "500ms", "1.5h", "0") as milliseconds, parts of one rounded up. */
bool ki_duration_parse(const char *text, uint32_t *out_ms);

/* ---- between the files of the configuration ---- */

enum ki_option_kind {
    KI_OPTION_TEXT,
    KI_OPTION_BOOL,
    KI_OPTION_NOT,     /* a flag or key that turns a field off */
    KI_OPTION_NUMBER,  /* uint32_t */
    KI_OPTION_MS,      /* a duration into uint32_t milliseconds */
    KI_OPTION_BYTES,    /* uint64_t; K, M, G or T behind the number */
    KI_OPTION_LIMIT_MS, /* a duration into the field of kith_config at `offset` */
    KI_OPTION_LIST,
    KI_OPTION_HANDLERS, /* a list of event handlers, which hold commas: a variable has one on each line */
    KI_OPTION_TAGS,
    KI_OPTION_IGNORED, /* Serf's key, taken for compatibility, without effect yet */
    KI_OPTION_NOT_YET, /* Serf's key for something that kith does not do yet */
    KI_OPTION_NOT_YET_BOOL
};

struct ki_option {
    const char *flag; /* NULL: key and variable only */
    const char *key;  /* of the JSON file; NULL: flag and variable only */
    enum ki_option_kind kind;
    size_t offset;
    const char *argument; /* for the help, "=foo"; NULL: none */
    const char *help;     /* NULL: not in the help */
};

struct ki_limit_row {
    const char *key;
    size_t offset;
    bool wide; /* uint64_t rather than uint32_t */
};

extern const struct ki_option ki_options[];
extern const size_t ki_option_count;
extern const struct ki_limit_row ki_limits[];
extern const size_t ki_limit_count;

bool ki_option_is_bool(const struct ki_option *option);
const struct ki_option *ki_option_by_flag(const char *flag, size_t len);
const struct ki_option *ki_option_by_key(const char *key);
const struct ki_limit_row *ki_limit_by_key(const char *key);
/* KITH_ and the flag (or the key) in capitals. */
void ki_option_variable(const char *name, char *out, size_t cap);

/* Sets what `option` says from text, as a flag gives it.  name: how the user called it, for the error. */
int ki_option_set(struct ki_config *config, const struct ki_option *option, const char *name, const char *text,
                  char error[KI_ERROR_TEXT]);
int ki_limit_set(struct ki_config *config, const struct ki_limit_row *row, const char *name, const char *text,
                 char error[KI_ERROR_TEXT]);
int ki_config_read_environment(struct ki_config *config, char error[KI_ERROR_TEXT]);
int ki_config_read_file(struct ki_config *config, const char *path, char error[KI_ERROR_TEXT]);
int ki_config_read_dir(struct ki_config *config, const char *path, char error[KI_ERROR_TEXT]);
bool ki_strings_add(struct ki_strings *strings, const char *text);
void ki_strings_free(struct ki_strings *strings);
int ki_config_fail(char error[KI_ERROR_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
