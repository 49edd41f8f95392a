/* A look at the file before LMDB maps it.
 *
 * LMDB trusts its file: it checks a magic number and a version, and takes the rest as it is.  A header that says nonsense
 * ends in a division by zero, a file that a full disk or a copy has cut off in SIGBUS.  So the two headers (pages 0 and 1;
 * the one with the newer transaction counts) are read here first, as bytes, and then the trees behind it (disk_walk.c).
 *
 * That the file is shorter than the last page of its header is no fault by itself: pages that a transaction took at the end
 * and gave back are never written.  What matters is that every page in use is there.
 *
 * Not here: whether the values are right.  The core judges its rows (disk_open.c). */
#include "agent/disk_internal.h"
#include "agent/disk_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_read(int fd, off_t at, struct ki_lmdb_header *out)
{
    ssize_t got = pread(fd, out, sizeof *out, at);
    return got == (ssize_t)sizeof *out ? 0 : got < 0 ? -1 : 1;
}

static int check_one(const struct ki_lmdb_header *header, char *why, size_t cap)
{
    uint32_t size = header->trees[0].page_size;
    if (header->magic != KI_LMDB_MAGIC || !(header->page.flags & KI_LMDB_META)) {
        snprintf(why, cap, "it is no LMDB file");
        return KI_DISK_FOREIGN;
    }
    if (header->version != KI_LMDB_VERSION) {
        snprintf(why, cap, "it is of LMDB's data version %" PRIu32 ", and this program reads version %d",
                 header->version, KI_LMDB_VERSION);
        return KI_DISK_FOREIGN;
    }
    if (size < KI_LMDB_PAGE_MIN || size > KI_LMDB_PAGE_MAX || (size & (size - 1)) != 0) {
        snprintf(why, cap, "its header is damaged (a page size of %" PRIu32 ")", size);
        return KI_DISK_DAMAGED;
    }
    return 0;
}

static int check_file(int fd, uint64_t size, char *why, size_t cap)
{
    struct ki_lmdb_header first;
    struct ki_lmdb_header second;
    int got = check_read(fd, 0, &first);
    int result = got == 0 ? check_one(&first, why, cap) : 0;
    if (result != 0)
        return result;
    if (got == 0)
        got = check_read(fd, (off_t)first.trees[0].page_size, &second);
    if (got != 0) {
        snprintf(why, cap, "%s", got < 0 ? strerror(errno) : "it is cut off in its header");
        return KI_DISK_DAMAGED;
    }
    if (check_one(&second, why, cap) != 0)
        return KI_DISK_DAMAGED;
    if (second.trees[0].page_size != first.trees[0].page_size) {
        snprintf(why, cap, "its header is damaged (two page sizes)");
        return KI_DISK_DAMAGED;
    }
    return ki_disk_walk(fd, size, second.transaction > first.transaction ? &second : &first, first.trees[0].page_size,
                        why, cap);
}

int ki_disk_check(const char *path, bool *is_new, char *why, size_t cap)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *is_new = fd < 0 && errno == ENOENT;
    if (*is_new)
        return 0;
    if (fd < 0 || fstat(fd, &info) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    int result = 0;
    if (!S_ISREG(info.st_mode)) {
        snprintf(why, cap, "it is no regular file");
        result = KI_DISK_FOREIGN;
    } else if (info.st_size == 0) {
        *is_new = true;
    } else {
        result = check_file(fd, (uint64_t)info.st_size, why, cap);
    }
    close(fd);
    return result;
}
