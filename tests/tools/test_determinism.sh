#!/bin/bash
# One run is one number, whoever compiled it: the library and the simulator, built here by the other compiler and at
# another level of optimisation, live the same life as this build's, and again when run twice. (What else makes two
# runs one or two, tests/sim/test_sim_world.c asks.)
set -euo pipefail
cd "$KITH_SOURCE_DIR"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
    echo "FAILED: $*" >&2
    exit 1
}

other=gcc
if "$CC" --version | grep -i 'gcc\|free software foundation' >/dev/null; then
    other=$(command -v clang-14 || command -v clang) || die "there is no clang to compare with"
fi
flags=(-std=c17 -O1 -ffp-contract=off -D_GNU_SOURCE -Iinclude -Isrc -I. -Itests)
compile() { # compile FILE...
    for file in "$@"; do
        "$other" "${flags[@]}" -c "$file" -o "$work/${file//\//_}.o"
    done
}
sources=(src/*/*.c sim/*.c sim/*/*.c tests/sim/test_sim_world.c)
half=$((${#sources[@]} / 2))
compile "${sources[@]:0:half}" &
compile "${sources[@]:half}"
wait $!
# shellcheck disable=SC2046
"$other" "$work"/*.o $(pkg-config --libs nettle libpcre2-8 cmocka) -lmpack -lm -o "$work/world"

digest() { # digest PROGRAM
    "$1" 2>&1 | sed -n 's/^digest world //p'
}
ours=$(digest "$KITH_BUILD_DIR/sim_sim_world")
[[ $ours =~ ^[0-9a-f]{16}$ ]] || die "no digest: $ours"
again=$(digest "$KITH_BUILD_DIR/sim_sim_world")
theirs=$(digest "$work/world")
echo "$CC: $ours, again $again; $other: $theirs"
[ "$ours" = "$again" ] || die "another digest when run twice"
[ "$ours" = "$theirs" ] || die "another digest by $other"
