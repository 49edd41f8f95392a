/* Small files that are read and written whole: configuration, tags, keys. */
#ifndef KI_AGENT_REPLACE_H
#define KI_AGENT_REPLACE_H

#include <stddef.h>

/* The whole file, with a NUL after it, which *len does not count; to be freed.  NULL with errno; EFBIG: above 64 MiB. */
char *ki_read_file(const char *path, size_t *len);

/* Replaces the file (behind a link the one that it leads to), or makes it: with mode 0600, and on the disk when this
 * returns.  After a failure the old file is still there, whole.  Returns 0, or -1 with errno. */
int ki_replace_file(const char *path, const void *bytes, size_t len);

#endif
