#!/bin/bash
# Each installed header compiles on its own, in programs of C99 and of C++11, with a consumer's warnings as errors; and
# the examples are short enough to be read.
. "$KITH_SOURCE_DIR/tests/install/install.sh"

for header in "$prefix"/include/kith/*.h; do
    name=kith/${header##*/}
    # Twice, for the include guard.
    printf '#include <%s>\n#include <%s>\n' "$name" "$name" >"$work/use.c"
    cp "$work/use.c" "$work/use.cc"
    "$CC" -std=c99 "${strict[@]}" -Wstrict-prototypes -I"$prefix/include" -fsyntax-only "$work/use.c"
    g++ -std=c++11 "${strict[@]}" -Wold-style-cast -I"$prefix/include" -fsyntax-only "$work/use.cc"
    echo "$name: C99 and C++11"
done

for file in "$example" "$sim_example"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 200 ] || die "${file##*/} has $lines lines, wanted at most 200"
done
