/* A file is replaced so that whoever reads it, after a crash as well, finds the old bytes or the new ones, whole:
 *
 *     write PATH.tmp, sync it -> rename it to PATH -> sync the directory
 *
 * PATH.tmp is made anew, so that it has our mode and is nobody's link; what a crash left of it is removed.  When PATH is a
 * link, all this happens where it leads: whoever keeps a file elsewhere by a link finds the new bytes there.
 *
 * Not done here: keeping owner and mode of the old file, making what a link leads to (the link is replaced then). */
#include "agent/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLACE_READ_MAX ((size_t)64 << 20) /* bytes; what is larger is none of our files, and may have no end */

/* ---- reading ---- */

/* Returns 0 or an errno; *text is to be freed in either case. */
static int replace_read(FILE *file, char **text, size_t *len)
{
    for (size_t cap = 4096; cap <= REPLACE_READ_MAX; cap *= 2) {
        char *more = realloc(*text, cap);
        if (!more)
            return ENOMEM;
        *text = more;
        *len += fread(more + *len, 1, cap - 1 - *len, file);
        more[*len] = '\0';
        if (*len < cap - 1)
            return ferror(file) ? errno : 0;
    }
    return EFBIG;
}

char *ki_read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    *len = 0;
    if (!file)
        return NULL;
    int why = replace_read(file, &text, len);
    fclose(file);
    if (why == 0)
        return text;
    free(text);
    errno = why;
    return NULL;
}

/* ---- replacing ---- */

static bool replace_write(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return fsync(fd) == 0;
}

/* Makes the name durable. */
static int replace_sync_directory(const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 2; /* with its slash: "/" is one, too */
    memcpy(directory, slash ? path : "./", len);         /* shorter than what has been opened */
    directory[len] = '\0';
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd);
    int why = errno;
    close(fd);
    errno = why;
    return result;
}

/* Where the bytes go: the path, or what it leads to. */
static bool replace_target(const char *path, char target[PATH_MAX])
{
    if (realpath(path, target))
        return true;
    if (errno != ENOENT)
        return false;
    errno = ENAMETOOLONG;
    return snprintf(target, PATH_MAX, "%s", path) < PATH_MAX;
}

static int replace_whole(const char *target, const char *beside, const void *bytes, size_t len)
{
    if (unlink(beside) != 0 && errno != ENOENT)
        return -1;
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    bool good = replace_write(fd, bytes, len);
    int why = errno;
    if (close(fd) != 0 && good) {
        good = false;
        why = errno;
    }
    if (good && rename(beside, target) == 0)
        return replace_sync_directory(target);
    why = good ? errno : why;
    unlink(beside);
    errno = why;
    return -1;
}

int ki_replace_file(const char *path, const void *bytes, size_t len)
{
    char target[PATH_MAX];
    char beside[PATH_MAX];
    if (!replace_target(path, target))
        return -1;
    if (snprintf(beside, sizeof beside, "%s.tmp", target) < (int)sizeof beside)
        return replace_whole(target, beside, bytes, len);
    errno = ENAMETOOLONG;
    return -1;
}
