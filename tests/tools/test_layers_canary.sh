#!/bin/bash
# tools/layers refuses what it should, one planted include at a time.
. "$KITH_SOURCE_DIR/tests/tools/canary.sh"
layers=$KITH_SOURCE_DIR/tools/layers
tree=$work/tree

mkdir -p "$tree"/{include/kith,src/{base,wire,swim,serf,store,node},net,agent,cli}
for file in include/kith/kith src/{base/base,wire/msgpack,wire/seal,swim/probe,serf/clock,store/dot,node/node} net/loop \
    agent/agent cli/cli; do
    echo '#include <stdint.h>' >"$tree/$file.h"
done
accepts "a good tree" "$layers" "$tree"

# include FILE LINE: the file with that include, and only while it is judged.
refuse() {
    printf '%s\n' "$2" >"$tree/$1"
    refuses "$2 in $1" "^$1:1: " "$layers" "$tree"
    rm -f "$tree/$1"
}
accept() {
    printf '%s\n' "$2" >"$tree/$1"
    accepts "$2 in $1" "$layers" "$tree"
    rm -f "$tree/$1"
}

refuse src/base/x.c '#include "wire/msgpack.h"'
refuse src/base/x.c '#include "src/wire/msgpack.h"'
refuse src/base/x.c '#include "../wire/msgpack.h"'
refuse src/base/x.c '# include <wire/msgpack.h>'
refuse src/base/x.c '#include <nettle/gcm.h>'
refuse src/base/x.c '#include <time.h>'
refuse src/base/x.c '#include <stdlib.h>'
refuse src/wire/x.c '#include "swim/probe.h"'
refuse src/wire/x.c '#include <sys/socket.h>'
refuse src/wire/x.c '#include <stdio.h>'
refuse src/swim/x.c '#include "serf/clock.h"'
refuse src/serf/x.c '#include "swim/probe.h"'
refuse src/serf/x.c '#include "node/node.h"'
refuse src/serf/x.c '#include "store/dot.h"'
refuse src/store/x.c '#include "swim/probe.h"'
refuse src/store/x.c '#include <kith/kith.h>'
refuse src/serf/x.c '#include <kith/kith.h>'
refuse src/swim/x.c '#include <mpack.h>'
refuse src/node/x.c '#include "net/loop.h"'
refuse src/node/x.c '#include <unistd.h>'
refuse src/node/x.c '#include "nowhere.h"'
refuse net/x.c '#include "src/node/node.h"'
refuse net/x.c '#include "agent/agent.h"'
refuse agent/x.c '#include "src/wire/seal.h"'
refuse agent/x.c '#include "cli/cli.h"'
refuse cli/x.c '#include "src/swim/probe.h"'
refuse include/kith/x.h '#include <sys/socket.h>'
refuse include/kith/x.h '#include "src/base/base.h"'

accept src/base/crng.c '#include <nettle/chacha.h>'
accept src/wire/x.c '#include <mpack.h>'
accept src/node/x.c '#include <kith/kith.h>'
accept src/node/x.c '#include "serf/clock.h"'
accept src/store/x.c '#include "wire/msgpack.h"'
accept src/node/x.c '#include "store/dot.h"'
accept net/x.c '#include <kith/kith.h>'
accept agent/x.c '#include "src/wire/msgpack.h"'
accept cli/x.c '#include "agent/agent.h"'
accept cli/x.c '#include <sys/socket.h>'
rm -rf "$tree"; mkdir "$tree"
refuses "an empty tree" '0 files' "$layers" "$tree"
verdict
