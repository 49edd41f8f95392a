/* The keys of encryption, which share `kith keys` with those of the store. */
#ifndef KI_CLI_KEYRING_H
#define KI_CLI_KEYRING_H

#include "cli/cli.h"

/* Whether the arguments of `kith keys` are about encryption: there is a -install, -use, -remove or -list. */
bool ki_keyring_asked(int argc, char **argv);
int ki_cmd_keyring(int argc, char **argv);

#endif
