/* The file of a backup: written whole or not at all, and read only after it has been found whole. */
#ifndef KI_CLI_STORE_FILE_H
#define KI_CLI_STORE_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include <nettle/sha2.h>

#include "base/base.h"

struct ki_backup_file {
    FILE *file;
    const char *path;
    char *part; /* what is written first; NULL: standard output, or reading */
    struct sha256_ctx hash;
    uint64_t rows, bytes; /* what its head says: rows, and the bytes they take */
    uint64_t left;        /* of these bytes */
    uint8_t digest[SHA256_DIGEST_SIZE]; /* reading: what was checked */
    char error[256]; /* of the last failure: what was wrong, and with what */
};

/* All return whether it worked, and otherwise say in error why not.  Path "-" is standard output, or input.  Close it in
 * either case: a file that was not finished leaves nothing behind, and what had its name before is still there. */

bool ki_backup_create(struct ki_backup_file *backup, const char *path, uint64_t rows, uint64_t bytes);
bool ki_backup_put(struct ki_backup_file *backup, struct ki_span bytes);
/* All bytes have been put: now it is a file of its name, on the disk. */
bool ki_backup_finish(struct ki_backup_file *backup);

/* Opens it, and reads all of it once. */
bool ki_backup_open(struct ki_backup_file *backup, const char *path);
/* Takes some of the rows' bytes; *len 0: there are no more, and they were those that were checked. */
bool ki_backup_take(struct ki_backup_file *backup, uint8_t *buf, size_t cap, size_t *len);

void ki_backup_close(struct ki_backup_file *backup);

#endif
