/* Elements of keys: chains of cells, and the groups that list them. */
#ifndef KI_STORE_GROUPS_H
#define KI_STORE_GROUPS_H

#include "store/cells.h"

/* Links a cell, whose record is filled, into its element, which may be new.  false: memory is out, nothing changed. */
bool ki_group_enter(struct ki_cells *cells, uint32_t id);
void ki_group_leave(struct ki_cells *cells, uint32_t id);
void ki_group_drop(struct ki_cells *cells, struct ki_key *key, struct ki_group *group);

#endif
