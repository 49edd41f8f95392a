/* A file is replaced so that whoever reads it, after a crash as well, finds the old bytes or the new ones, whole:
 *
 *     write PATH.tmp, sync it -> rename it to PATH -> sync the directory
 *
 * PATH.tmp is made anew, so that it has our mode and is nobody's link; what a crash left of it is removed.
 *
 * Not done here: keeping owner and mode of the old file, following a link at PATH (it is replaced). */
#include "agent/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

int ki_replace_file(const char *path, const void *bytes, size_t len)
{
    char beside[PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.tmp", path) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return -1;
    }
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
    if (good && rename(beside, path) == 0)
        return replace_sync_directory(path);
    why = good ? errno : why;
    unlink(beside);
    errno = why;
    return -1;
}
