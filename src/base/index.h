/* A map (map.h) for millions of values: from some size on it is 256 maps, chosen by the hash, so that the growing of one
 * takes well under a millisecond.  Small, it is one map. */
#ifndef KI_INDEX_H
#define KI_INDEX_H

#include "base/map.h"

struct ki_index {
    struct ki_map one;   /* while it is small */
    struct ki_map *many; /* then these; else NULL */
    size_t count;
};

void ki_index_init(struct ki_index *index, struct ki_mem *mem);
void ki_index_free(struct ki_index *index); /* leaves an empty one, ready for use */
/* As in map.h. */
uint32_t ki_index_get(const struct ki_index *index, uint64_t hash, ki_map_equal equal, const void *owner,
                      const void *key);
bool ki_index_put(struct ki_index *index, uint64_t hash, uint32_t value);
/* After it, entering a value under the same hash cannot fail. */
void ki_index_remove(struct ki_index *index, uint64_t hash, uint32_t value);

#endif
