#!/bin/bash
# The examples are built as their head comments say, by pkg-config, against the installed shared library and, without it,
# against the static one; and the installation is relocatable by DESTDIR as packagers do it.
. "$KITH_SOURCE_DIR/tests/install/install.sh"

# The .pc file was written for the prefix of the build; pkg-config moves it to where it lies.
pkg() { pkg-config --define-variable=prefix="$prefix" --define-variable=libdir="$libdir" \
    --define-variable=includedir="$prefix/include" "$@"; }

# The flags are words.
# shellcheck disable=SC2046
"$CC" -std=c17 -D_POSIX_C_SOURCE=200809L "${strict[@]}" "$example" $(pkg --cflags --libs kith) -o "$work/poll-shared"
uses_shared "$work/poll-shared" yes
runs "$work/poll-shared"
# shellcheck disable=SC2046
"$CC" -std=c17 "${strict[@]}" "$sim_example" $(pkg --cflags --libs kith-sim) -o "$work/sim-shared"
uses_shared "$work/sim-shared" yes
passes "$work/sim-shared"

rm -f "$libdir"/libkith.so*
# shellcheck disable=SC2046
"$CC" -std=c17 -D_POSIX_C_SOURCE=200809L "${strict[@]}" "$example" $(pkg --static --cflags --libs kith) \
    -o "$work/poll-static"
uses_shared "$work/poll-static" no
runs "$work/poll-static"
# shellcheck disable=SC2046
"$CC" -std=c17 "${strict[@]}" "$sim_example" $(pkg --static --cflags --libs kith-sim) -o "$work/sim-static"
uses_shared "$work/sim-static" no
passes "$work/sim-static"

version=$(pkg --modversion kith)
grep -q "^#define KITH_VERSION \"$version\"" "$prefix/include/kith/kith.h" ||
    die "kith.pc says version $version, kith.h another"

DESTDIR=$work/dest "$CMAKE" --install "$KITH_BUILD_DIR" --prefix /usr >>"$work/install.log"
for file in bin/kith include/kith/kith.h include/kith/sim.h lib/systemd/system/kith.service; do
    [ -e "$work/dest/usr/$file" ] || die "make install DESTDIR=... leaves no $file"
done
