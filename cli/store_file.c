/* The file of a backup.
 *
 *     kith-backup 1 LF      the format and its version
 *     rows (8)  bytes (8)   how many rows follow, and how many bytes they take; the highest byte first
 *     the rows              as KITH.BACKUP gives them: name's length (1), value's length (4), name, value
 *     SHA-256 (32)          of all before it
 *
 * It is written to FILE.tmp, brought to the disk, and renamed: FILE is always a whole backup, the former or the new one.
 * Only its owner may read it, for it holds all values, and the secret of the pool's stores.
 *
 * A backup that is to be restored is first read through, so that one which was cut off, damaged or is none is refused before
 * anything is done.  Its rows are hashed again as they are taken: a file that changes meanwhile must not be restored either.
 * Standard input cannot be read twice, so it is first copied to a file without a name.
 *
 * Not here: what rows mean.  The agent checks them. */
#include "cli/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

static const char file_magic[] = "kith-backup 1\n";

#define FILE_MAGIC ((size_t)14)
#define FILE_HEAD  (FILE_MAGIC + 16)

static bool file_fail(struct ki_backup_file *backup, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool file_fail(struct ki_backup_file *backup, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(backup->error, sizeof backup->error, format, args);
    va_end(args);
    return false;
}

/* Of a call on the file. */
static bool file_failed(struct ki_backup_file *backup, const char *what)
{
    return file_fail(backup, "%s: %s", what, errno ? strerror(errno) : "input/output error");
}

/* ---- writing ---- */

static bool file_write(struct ki_backup_file *backup, const void *bytes, size_t len)
{
    errno = 0;
    return fwrite(bytes, 1, len, backup->file) == len || file_failed(backup, "cannot write");
}

static bool file_create(struct ki_backup_file *backup)
{
    size_t len = strlen(backup->path);
    backup->part = malloc(len + sizeof ".tmp");
    if (!backup->part)
        return file_fail(backup, "out of memory");
    memcpy(backup->part, backup->path, len);
    memcpy(backup->part + len, ".tmp", sizeof ".tmp");
    int fd = open(backup->part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd >= 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0)
        backup->file = fdopen(fd, "wb");
    if (backup->file)
        return true;
    (void)file_failed(backup, "cannot create its .tmp");
    if (fd >= 0)
        close(fd);
    free(backup->part);
    backup->part = NULL;
    return false;
}

bool ki_backup_create(struct ki_backup_file *backup, const char *path, uint64_t rows, uint64_t bytes)
{
    uint8_t head[FILE_HEAD];
    *backup = (struct ki_backup_file){.path = path, .rows = rows, .bytes = bytes, .left = bytes};
    memcpy(head, file_magic, FILE_MAGIC);
    ki_store_be(head + FILE_MAGIC, rows, 8);
    ki_store_be(head + FILE_MAGIC + 8, bytes, 8);
    sha256_init(&backup->hash);
    sha256_update(&backup->hash, sizeof head, head);
    if (strcmp(path, "-") == 0)
        backup->file = stdout;
    else if (!file_create(backup))
        return false;
    return file_write(backup, head, sizeof head);
}

bool ki_backup_put(struct ki_backup_file *backup, struct ki_span bytes)
{
    if (bytes.len > backup->left)
        return file_fail(backup, "more rows came than were announced");
    backup->left -= bytes.len;
    sha256_update(&backup->hash, bytes.len, bytes.ptr);
    return file_write(backup, bytes.ptr, bytes.len);
}

bool ki_backup_finish(struct ki_backup_file *backup)
{
    if (backup->left > 0)
        return file_fail(backup, "fewer rows came than were announced");
    sha256_digest(&backup->hash, sizeof backup->digest, backup->digest);
    if (!file_write(backup, backup->digest, sizeof backup->digest))
        return false;
    if (fflush(backup->file) != 0 || (backup->part && fsync(fileno(backup->file)) != 0))
        return file_failed(backup, "cannot write");
    if (backup->part && rename(backup->part, backup->path) != 0)
        return file_failed(backup, "cannot rename its .tmp");
    free(backup->part);
    backup->part = NULL;
    return true;
}

/* ---- reading ---- */

/* Standard input, as a file that can be read twice. */
static bool file_copy_input(struct ki_backup_file *backup)
{
    char buf[65536];
    size_t len;
    backup->file = tmpfile();
    if (!backup->file)
        return file_failed(backup, "cannot make a temporary file");
    while ((len = fread(buf, 1, sizeof buf, stdin)) > 0) {
        if (!file_write(backup, buf, len))
            return false;
    }
    if (ferror(stdin))
        return file_failed(backup, "cannot read");
    return fseeko(backup->file, 0, SEEK_SET) == 0 || file_failed(backup, "cannot seek");
}

/* Reads exactly so much; *whole is false at an early end. */
static bool file_read(struct ki_backup_file *backup, void *to, size_t len, bool *whole)
{
    errno = 0;
    *whole = fread(to, 1, len, backup->file) == len;
    return *whole || !ferror(backup->file) || file_failed(backup, "cannot read");
}

static bool file_read_head(struct ki_backup_file *backup)
{
    uint8_t head[FILE_HEAD];
    const size_t word = FILE_MAGIC - 2; /* up to the version */
    bool whole;
    if (!file_read(backup, head, sizeof head, &whole))
        return false;
    if (!whole || memcmp(head, file_magic, word) != 0)
        return file_fail(backup, "is no backup of a kith store");
    if (memcmp(head, file_magic, FILE_MAGIC) != 0)
        return file_fail(backup, "is a backup of another version than this kith reads (1): use a newer one");
    backup->rows = ki_load_be(head + FILE_MAGIC, 8);
    backup->bytes = backup->left = ki_load_be(head + FILE_MAGIC + 8, 8);
    sha256_init(&backup->hash);
    sha256_update(&backup->hash, sizeof head, head);
    return true;
}

/* Reads up to the end, and compares. */
static bool file_check(struct ki_backup_file *backup)
{
    uint8_t buf[65536];
    bool whole;
    while (backup->left > 0) {
        size_t len = backup->left < sizeof buf ? (size_t)backup->left : sizeof buf;
        if (!file_read(backup, buf, len, &whole))
            return false;
        if (!whole)
            return file_fail(backup, "is cut off: its end is missing, so nothing was restored");
        sha256_update(&backup->hash, len, buf);
        backup->left -= len;
    }
    sha256_digest(&backup->hash, sizeof backup->digest, backup->digest);
    if (!file_read(backup, buf, sizeof backup->digest, &whole))
        return false;
    if (!whole)
        return file_fail(backup, "is cut off: its end is missing, so nothing was restored");
    if (memcmp(buf, backup->digest, sizeof backup->digest) != 0 || fgetc(backup->file) != EOF)
        return file_fail(backup, "is damaged: its checksum is another one, so nothing was restored");
    return true;
}

bool ki_backup_open(struct ki_backup_file *backup, const char *path)
{
    *backup = (struct ki_backup_file){.path = path};
    if (strcmp(path, "-") == 0) {
        if (!file_copy_input(backup))
            return false;
    } else if (!(backup->file = fopen(path, "rbe"))) {
        return file_failed(backup, "cannot open");
    }
    if (!file_read_head(backup) || !file_check(backup))
        return false;
    if (fseeko(backup->file, 0, SEEK_SET) != 0)
        return file_failed(backup, "cannot seek (of a pipe, give -)");
    return file_read_head(backup);
}

bool ki_backup_take(struct ki_backup_file *backup, uint8_t *buf, size_t cap, size_t *len)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    bool whole;
    *len = backup->left < cap ? (size_t)backup->left : cap;
    if (*len > 0) {
        if (!file_read(backup, buf, *len, &whole))
            return false;
        sha256_update(&backup->hash, *len, buf);
        backup->left -= *len;
        return whole || file_fail(backup, "was changed while it was read, so nothing was restored");
    }
    sha256_digest(&backup->hash, sizeof digest, digest);
    return memcmp(digest, backup->digest, sizeof digest) == 0 ||
           file_fail(backup, "was changed while it was read, so nothing was restored");
}

void ki_backup_close(struct ki_backup_file *backup)
{
    if (backup->file && backup->file != stdout)
        fclose(backup->file);
    if (backup->part)
        unlink(backup->part);
    free(backup->part);
    backup->file = NULL;
    backup->part = NULL;
}
