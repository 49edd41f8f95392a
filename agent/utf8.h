/* Characters of UTF-8, for whoever prints or logs what came from the network. */
#ifndef KI_AGENT_UTF8_H
#define KI_AGENT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed character of more than one byte at `at`, of which `left` bytes can be read (1 at least).
 * Returns 0 for ASCII, for what is broken, and for C1 controls, which terminals obey. */
size_t ki_utf8_len(const uint8_t *at, size_t left);

#endif
