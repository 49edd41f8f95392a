# Sourced by the tests of the installed tree: $prefix is a fresh installation of this build, gone when the test ends.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
"$CMAKE" --install "$KITH_BUILD_DIR" --prefix "$prefix" >"$work/install.log"
libdir=$(dirname "$(find "$prefix" -name libkith.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
example=$KITH_SOURCE_DIR/examples/poll.c
sim_example=$KITH_SOURCE_DIR/examples/sim_test.c
strict=(-Wall -Wextra -Wpedantic -Werror)

die() {
    echo "FAILED: $*" >&2
    exit 1
}

# uses_shared PROGRAM yes|no: whether the loader will look for libkith.so.0.
uses_shared() {
    local found=no
    if readelf -d "$1" | grep 'NEEDED.*\[libkith\.so\.0\]' >/dev/null; then
        found=yes
    fi
    [ "$found" = "$2" ] || die "${1##*/} needs libkith.so.0: $found, wanted $2"
    echo "${1##*/} needs libkith.so.0: $found"
}

# runs PROGRAM: it starts and explains its usage (no arguments), or says why not; anything but a crash of the loader.
runs() {
    local status=0
    LD_LIBRARY_PATH=$libdir timeout 20 "$1" >"$work/out" 2>&1 </dev/null || status=$?
    cat "$work/out"
    [ $status -lt 124 ] || die "${1##*/} without arguments ends with status $status"
}

# passes PROGRAM: it ends well.
passes() {
    LD_LIBRARY_PATH=$libdir timeout 100 "$1" || die "${1##*/} ends with status $?"
}
