/* Small files that are written whole: tags, keys. */
#ifndef KI_AGENT_REPLACE_H
#define KI_AGENT_REPLACE_H

#include <stddef.h>

/* Replaces the file, or makes it: with mode 0600, and on the disk when this returns.  After a failure the old file is still
 * there, whole.  Returns 0, or -1 with errno. */
int ki_replace_file(const char *path, const void *bytes, size_t len);

#endif
