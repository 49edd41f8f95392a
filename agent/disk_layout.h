/* How LMDB 0.9 lays out its file (data version 1), in this machine's sizes and byte order; and the look at it before use. */
#ifndef KI_AGENT_DISK_LAYOUT_H
#define KI_AGENT_DISK_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define KI_LMDB_MAGIC     0xBEEFC0DE
#define KI_LMDB_VERSION   1
#define KI_LMDB_PAGE_MIN  512
#define KI_LMDB_PAGE_MAX  32768
#define KI_LMDB_DEPTH_MAX 32 /* of a cursor's stack */
#define KI_LMDB_KEY_MAX   511
#define KI_LMDB_NONE      SIZE_MAX /* the root of an empty tree */

enum { /* flags of a page */
       KI_LMDB_BRANCH = 1,
       KI_LMDB_LEAF = 2,
       KI_LMDB_OVERFLOW = 4,
       KI_LMDB_META = 8
};
enum {                  /* flags of a node of a leaf */
       KI_LMDB_BIG = 1, /* its value is the number of a run of overflow pages */
       KI_LMDB_TREE = 2 /* its value is a struct ki_lmdb_tree */
};

/* The head of every page.  Then, but for overflow pages, come the offsets of the nodes, two bytes each. */
struct ki_lmdb_page {
    size_t number;
    uint16_t pad, flags;
    uint16_t lower, upper; /* the free room; or (overflow) one count of pages of four bytes */
};
struct ki_lmdb_node {
    uint16_t words[3]; /* branch: number of the child; leaf: length of the value in two, then flags */
    uint16_t key_len;
};
struct ki_lmdb_tree {
    uint32_t page_size; /* of the first of a header's trees; unused in others */
    uint16_t flags, depth;
    size_t branches, leaves, overflows, entries, root;
};
struct ki_lmdb_header {
    struct ki_lmdb_page page;
    uint32_t magic, version;
    void *address;
    size_t map_size;
    struct ki_lmdb_tree trees[2]; /* of free pages; of everything else */
    size_t last_page, transaction;
};
_Static_assert(sizeof(void *) != 8 || (sizeof(struct ki_lmdb_page) == 16 && sizeof(struct ki_lmdb_tree) == 48 &&
                                       sizeof(struct ki_lmdb_header) == 152),
               "as LMDB lays it out");

/* disk_walk.c: follows every pointer of the trees.  Returns as ki_disk_check() does. */
int ki_disk_walk(int fd, uint64_t size, const struct ki_lmdb_header *header, uint32_t page_size, char *why,
                 size_t cap);

#endif
