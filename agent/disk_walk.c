/* Follows every pointer of an LMDB file before LMDB does.
 *
 * From the header's two roots, and the roots of the databases found there, every branch and leaf is read (pread: an error
 * of the disk is an errno, not a signal) and held against the file: a page is inside it, is the page it says it is, of the
 * kind its depth asks for; its nodes lie inside it; runs of overflow pages lie inside the file.  Then LMDB's reading goes
 * nowhere that is not there.
 *
 * Damage cannot make it run for ever: a page is seen once in a whole file, so it stops after as many as there are.  What it
 * reads is what the load reads next, from the page cache by then.
 *
 * Not here: the order of keys, what values say, which pages are free.  Those mislead, but do not kill. */
#include "agent/disk_internal.h"
#include "agent/disk_layout.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum walk_level {
    WALK_FREE, /* lists of free pages */
    WALK_MAIN, /* names of databases */
    WALK_NAMED
};

struct walk {
    int fd;
    enum walk_level level;
    uint64_t size, last_page, seen;
    uint32_t page_size;
    char *why;
    size_t cap;
};

static int walk_damaged(const struct walk *walk, uint64_t number, const char *what)
{
    snprintf(walk->why, walk->cap, "page %" PRIu64 " %s", number, what);
    return KI_DISK_DAMAGED;
}

static int walk_read(struct walk *walk, uint64_t number, void *out, size_t len)
{
    if (number < 2 || number > walk->last_page || ++walk->seen > walk->last_page)
        return walk_damaged(walk, number, "is pointed to and cannot be: it is damaged");
    if (number >= walk->size / walk->page_size)
        return walk_damaged(walk, number, "is missing: it is cut off");
    ssize_t got = pread(walk->fd, out, len, (off_t)(number * walk->page_size));
    if (got == (ssize_t)len)
        return 0;
    return walk_damaged(walk, number, got < 0 ? strerror(errno) : "is missing: it is cut off");
}

/* A value in overflow pages; first: the eight bytes it begins with. */
static int walk_overflow(struct walk *walk, uint64_t number, uint64_t len, size_t *first)
{
    unsigned char bytes[sizeof(struct ki_lmdb_page) + sizeof(size_t)];
    struct ki_lmdb_page page;
    uint32_t pages;
    if (walk_read(walk, number, bytes, sizeof bytes) != 0)
        return KI_DISK_DAMAGED;
    memcpy(&page, bytes, sizeof page);
    memcpy(&pages, bytes + offsetof(struct ki_lmdb_page, lower), sizeof pages);
    memcpy(first, bytes + sizeof page, sizeof *first);
    if (page.number != number || !(page.flags & KI_LMDB_OVERFLOW) || pages == 0 ||
        pages > walk->last_page - number + 1 || sizeof page + len > (uint64_t)pages * walk->page_size)
        return walk_damaged(walk, number, "is damaged");
    if (number + pages > walk->size / walk->page_size)
        return walk_damaged(walk, number + pages - 1, "is missing: it is cut off");
    walk->seen += pages - 1;
    return 0;
}

static int walk_tree(struct walk *walk, const struct ki_lmdb_tree *tree);

/* A node of a leaf at `at` of the page; room: bytes from there to the page's end. */
static int walk_leaf_node(struct walk *walk, uint64_t number, const unsigned char *at, size_t room)
{
    struct ki_lmdb_node node;
    struct ki_lmdb_tree tree;
    memcpy(&node, at, sizeof node);
    uint32_t len;
    memcpy(&len, node.words, sizeof len); /* low and high word, in the machine's order */
    uint16_t flags = node.words[2];
    size_t used = sizeof node + node.key_len;
    size_t value = flags & KI_LMDB_BIG ? sizeof(size_t) : len;
    size_t first = 0;
    if (node.key_len == 0 || node.key_len > KI_LMDB_KEY_MAX || used > room || value > room - used ||
        (flags & ~(KI_LMDB_BIG | KI_LMDB_TREE)) != 0)
        return walk_damaged(walk, number, "is damaged");
    if (value >= sizeof first)
        memcpy(&first, at + used, sizeof first);
    if ((flags & KI_LMDB_BIG) && walk_overflow(walk, first, len, &first) != 0)
        return KI_DISK_DAMAGED;
    if (walk->level == WALK_FREE && (len < sizeof first || first > len / sizeof first - 1))
        return walk_damaged(walk, number, "is damaged"); /* a list of pages that is longer than itself */
    if (!(flags & KI_LMDB_TREE))
        return 0;
    if (len != sizeof tree || walk->level != WALK_MAIN)
        return walk_damaged(walk, number, "is damaged");
    memcpy(&tree, at + used, sizeof tree);
    walk->level = WALK_NAMED;
    int result = walk_tree(walk, &tree);
    walk->level = WALK_MAIN;
    return result;
}

static int walk_page(struct walk *walk, uint64_t number, unsigned depth);

static int walk_branch_node(struct walk *walk, uint64_t number, const unsigned char *at, size_t room, unsigned depth)
{
    struct ki_lmdb_node node;
    uint32_t low;
    memcpy(&node, at, sizeof node);
    memcpy(&low, node.words, sizeof low);
    if (node.key_len > KI_LMDB_KEY_MAX || node.key_len > room - sizeof node)
        return walk_damaged(walk, number, "is damaged");
    uint64_t child = sizeof(size_t) > 4 ? low | (uint64_t)node.words[2] << 32 : low;
    return walk_page(walk, child, depth - 1);
}

static int walk_nodes(struct walk *walk, uint64_t number, unsigned depth, const unsigned char *bytes)
{
    struct ki_lmdb_page page;
    memcpy(&page, bytes, sizeof page);
    if (page.number != number || (page.flags & 0xF) != (depth > 1 ? KI_LMDB_BRANCH : KI_LMDB_LEAF) ||
        page.lower < sizeof page || page.lower > page.upper || page.upper > walk->page_size)
        return walk_damaged(walk, number, "is damaged");
    size_t count = (page.lower - sizeof page) / sizeof(uint16_t);
    if (count < (depth > 1 && walk->level != WALK_FREE ? 2 : 1)) /* LMDB asserts as much */
        return walk_damaged(walk, number, "is damaged");
    for (size_t i = 0; i < count; i++) {
        uint16_t at;
        memcpy(&at, bytes + sizeof page + i * sizeof at, sizeof at);
        if (at < page.upper || at > walk->page_size - sizeof(struct ki_lmdb_node))
            return walk_damaged(walk, number, "is damaged");
        size_t room = walk->page_size - at;
        int result = depth > 1 ? walk_branch_node(walk, number, bytes + at, room, depth)
                               : walk_leaf_node(walk, number, bytes + at, room);
        if (result != 0)
            return result;
    }
    return 0;
}

static int walk_page(struct walk *walk, uint64_t number, unsigned depth)
{
    unsigned char *bytes = malloc(walk->page_size);
    if (!bytes) {
        return ENOMEM;
    }
    int result = walk_read(walk, number, bytes, walk->page_size);
    if (result == 0)
        result = walk_nodes(walk, number, depth, bytes);
    free(bytes);
    return result;
}

static int walk_tree(struct walk *walk, const struct ki_lmdb_tree *tree)
{
    if (walk->level != WALK_FREE && tree->flags != 0) { /* kith's trees have no options */
        snprintf(walk->why, walk->cap, "it is another program's");
        return KI_DISK_FOREIGN;
    }
    if (tree->root == KI_LMDB_NONE)
        return 0;
    if (tree->depth == 0 || tree->depth > KI_LMDB_DEPTH_MAX)
        return walk_damaged(walk, tree->root, "is a root and cannot be: it is damaged");
    return walk_page(walk, tree->root, tree->depth);
}

int ki_disk_walk(int fd, uint64_t size, const struct ki_lmdb_header *header, uint32_t page_size, char *why,
                 size_t cap)
{
    struct walk walk = {.fd = fd,
                        .level = WALK_FREE,
                        .size = size,
                        .last_page = header->last_page,
                        .page_size = page_size,
                        .why = why,
                        .cap = cap};
    int result = walk_tree(&walk, &header->trees[0]);
    walk.level = WALK_MAIN;
    return result == 0 ? walk_tree(&walk, &header->trees[1]) : result;
}
