/* kith store backup and kith store restore.
 *
 * A backup is what the agent's store holds at one moment: values, and what is known of deletes.  So restoring is not
 * copying: the pool meets the backup as it would meet a member that was away since then.  What was deleted meanwhile, and
 * this agent knows of, stays deleted; what was written meanwhile stays; the rest comes back.
 *
 * A file that is no whole backup is refused before the agent is asked anything, and the agent takes nothing in before all of
 * it has come.
 *
 * With FILE - the bytes go to standard output, and what is said of them to standard error. */
#include "cli/store.h"

#include <stdlib.h>
#include <string.h>

#include "cli/store_file.h"

#define BACKUP_PIECE ((size_t)4 << 20) /* bytes of rows in one request */

static int backup_file_failed(const struct ki_door *door, const struct ki_backup_file *file)
{
    fprintf(stderr, "kith %s: ", door->command);
    ki_print_safe(stderr, ki_door_span(strcmp(file->path, "-") != 0 ? file->path : "the standard stream"));
    fprintf(stderr, ": %s\n", file->error);
    return KI_EXIT_FAILED;
}

/* Asks for what goes through all of the store, or a large part of it. */
static bool backup_ask(struct ki_door *door, const char *command, const char *sub, const struct ki_span *more,
                       struct ki_reply *reply)
{
    struct ki_span args[3] = {ki_door_span(command), ki_door_span(sub)};
    if (more)
        args[2] = *more;
    return ki_resp_call(&door->client, args, more ? 3 : 2, KI_RESP_WAIT_LONG_MS, reply);
}

/* Reads an array of numbers. */
static bool backup_numbers(struct ki_door *door, struct ki_reply reply, int64_t *out, size_t count)
{
    if (!ki_reply_has(reply, count))
        return ki_resp_odd(&door->client);
    struct ki_reply at = ki_reply_first(reply);
    for (size_t i = 0; i < count; i++, at = ki_reply_next(at)) {
        if (!ki_reply_is(at, KI_REPLY_INTEGER) || ki_reply_node(at)->integer < 0)
            return ki_resp_odd(&door->client);
        out[i] = ki_reply_node(at)->integer;
    }
    return true;
}

/* ---- backup ---- */

static int backup_fetch(struct ki_door *door, struct ki_backup_file *file, int64_t id)
{
    char text[24];
    struct ki_reply reply;
    struct ki_span word = ki_span(text, (size_t)snprintf(text, sizeof text, "%lld", (long long)id));
    for (;;) {
        if (!backup_ask(door, "KITH.BACKUP", "NEXT", &word, &reply) ||
            (!ki_reply_is(reply, KI_REPLY_BULK) && !ki_resp_odd(&door->client)))
            return ki_door_failed(door, NULL);
        struct ki_span rows = ki_reply_text(reply);
        if (rows.len == 0)
            return ki_backup_finish(file) ? KI_EXIT_OK : backup_file_failed(door, file);
        if (!ki_backup_put(file, rows))
            return backup_file_failed(door, file);
    }
}

static int backup_report(const struct ki_door *door, const struct ki_backup_file *file)
{
    bool to_output = strcmp(file->path, "-") == 0;
    if (door->json && !to_output) {
        json_t *document = json_pack("{s:o, s:I, s:I}", "file", ki_json_bytes(ki_door_span(file->path)), "rows",
                                     (json_int_t)file->rows, "bytes", (json_int_t)file->bytes);
        return ki_json_print(document, 0);
    }
    FILE *to = to_output ? stderr : stdout;
    fputs("Backed up ", to);
    ki_print_safe(to, ki_door_span(door->addr));
    fprintf(to, ": %llu rows, %llu bytes\n", (unsigned long long)file->rows, (unsigned long long)file->bytes);
    return KI_EXIT_OK;
}

static int backup_run(struct ki_door *door, const char *path)
{
    struct ki_reply reply;
    struct ki_backup_file file;
    int64_t numbers[3] = {0, 0, 0}; /* id, rows, bytes */
    if (!backup_ask(door, "KITH.BACKUP", "BEGIN", NULL, &reply) || !backup_numbers(door, reply, numbers, 3))
        return ki_door_failed(door, NULL);
    bool open = ki_backup_create(&file, path, (uint64_t)numbers[1], (uint64_t)numbers[2]);
    int code = open ? backup_fetch(door, &file, numbers[0]) : backup_file_failed(door, &file);
    if (code == KI_EXIT_OK)
        code = backup_report(door, &file);
    ki_backup_close(&file);
    return code;
}

int ki_cmd_store_backup(int argc, char **argv)
{
    struct ki_door door = ki_door("store backup");
    const struct ki_flag flags[] = {KI_DOOR_FLAGS(door)};
    const struct ki_usage usage = {
        "store backup", "file",
        "Writes all that the agent's store holds at this moment to a file, - for standard output.\n"
        "  The file is replaced when the backup is whole.  It holds every value and the pool's secret.",
        flags, KI_COUNT(flags), 1, 1};
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK)
        code = backup_run(&door, operands[0]);
    ki_door_close(&door);
    return code;
}

/* ---- restore ---- */

static int restore_report(const struct ki_door *door, const struct ki_backup_file *file, const int64_t keys[2],
                          struct ki_span replica)
{
    if (door->json) {
        json_t *document =
            json_pack("{s:o, s:I, s:I, s:I, s:o}", "file", ki_json_bytes(ki_door_span(file->path)), "rows",
                      (json_int_t)file->rows, "keys_before", (json_int_t)keys[0], "keys_after", (json_int_t)keys[1],
                      "replica", ki_json_bytes(replica));
        return ki_json_print(document, 0);
    }
    printf("Restored %llu rows to ", (unsigned long long)file->rows);
    ki_print_safe(stdout, ki_door_span(door->addr));
    printf(": %lld keys before, %lld after; its store goes on as replica ", (long long)keys[0], (long long)keys[1]);
    ki_print_safe(stdout, replica);
    putchar('\n');
    return KI_EXIT_OK;
}

static int restore_run(struct ki_door *door, struct ki_backup_file *file, uint8_t *buf)
{
    struct ki_reply reply;
    int64_t keys[2] = {0, 0}; /* before, after */
    size_t len;
    if (!backup_ask(door, "KITH.RESTORE", "BEGIN", NULL, &reply))
        return ki_door_failed(door, NULL);
    do {
        if (!ki_backup_take(file, buf, BACKUP_PIECE, &len))
            return backup_file_failed(door, file);
        struct ki_span rows = ki_span(buf, len);
        if (len > 0 && !backup_ask(door, "KITH.RESTORE", "ROWS", &rows, &reply))
            return ki_door_failed(door, NULL);
    } while (len > 0);
    if (!backup_ask(door, "KITH.RESTORE", "COMMIT", NULL, &reply) || !backup_numbers(door, reply, keys, 2) ||
        (!ki_reply_has(reply, 3) && !ki_resp_odd(&door->client)))
        return ki_door_failed(door, NULL);
    struct ki_reply replica = ki_reply_next(ki_reply_next(ki_reply_first(reply)));
    return restore_report(door, file, keys, ki_reply_text(replica));
}

int ki_cmd_store_restore(int argc, char **argv)
{
    struct ki_door door = ki_door("store restore");
    const struct ki_flag flags[] = {KI_DOOR_FLAGS(door)};
    const struct ki_usage usage = {
        "store restore", "file",
        "Takes a backup in, from a file or - for standard input.  What was written since stays, and what\n"
        "  the agent knows to have been deleted since stays deleted.",
        flags, KI_COUNT(flags), 1, 1};
    struct ki_backup_file file;
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    uint8_t *buf = malloc(BACKUP_PIECE);
    code = ki_backup_open(&file, operands[0]) ? KI_EXIT_OK : backup_file_failed(&door, &file);
    if (code == KI_EXIT_OK && !buf) {
        fprintf(stderr, "kith store restore: out of memory\n");
        code = KI_EXIT_FAILED;
    }
    if (code == KI_EXIT_OK)
        code = ki_door_open(&door);
    if (code == KI_EXIT_OK)
        code = restore_run(&door, &file, buf);
    ki_door_close(&door);
    ki_backup_close(&file);
    free(buf);
    return code;
}
