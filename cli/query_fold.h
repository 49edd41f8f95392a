/* kith query -fold. */
#ifndef KI_CLI_QUERY_FOLD_H
#define KI_CLI_QUERY_FOLD_H

#include "cli/fold_answer.h"
#include "cli/pool_query.h"

#define KI_QUERY_GAUGE "_kith_gauge" /* members answer it themselves: the payload names one */

/* Asks, and prints the answer.  Returns the exit code. */
int ki_query_fold(const struct ki_client_options *options, const struct ki_pool_query *query, enum ki_fold_want want);

#endif
