#!/bin/bash
# tools/symbols refuses what it should: a library of a few lines, with one planted fault at a time.
. "$KITH_SOURCE_DIR/tests/tools/canary.sh"
symbols=$KITH_SOURCE_DIR/tools/symbols
cd "$work" || exit 1
mkdir include
cat >include/kith.h <<'H'
#define KITH_API __attribute__((visibility("default")))
/* KITH_API int kith_in_a_comment(void); */
KITH_API int kith_good(int a);
KITH_API const char *
kith_split(void);
H

# judge JUDGEMENT... -- C-TEXT: builds the good library plus the text, and judges it.
judge() {
    local judgement=()
    while [ "$1" != -- ]; do
        judgement+=("$1")
        shift
    done
    printf '%s\n' '#include "kith.h"' '#include <string.h>' '#include <stdlib.h>' '#include <stdio.h>' '#include <time.h>' \
        'int kith_good(int a) { return a; }' 'static const char *const names[] = {"a", "b"};' \
        'const char *kith_split(void) { return names[strlen(names[0])]; }' "$2" >lib.c
    # On its own so that a fault of the test does not pass for a refusal.
    "${CC:-cc}" -fPIC -O1 -fvisibility=hidden -Iinclude -c lib.c -o lib.o && "${CC:-cc}" -shared lib.o -o libkith.so || exit 1
    rm -f libkith.a
    ar rcs libkith.a lib.o
    "${judgement[@]}" "$symbols" libkith.a libkith.so include
}

judge accepts "a good library" -- ''
for call in 'time(0)' 'rand()' 'clock()' 'getenv("a") != 0' 'printf("%d", 1)' 'fopen("a", "r") != 0'; do
    name=${call%%(*}
    [ "$name" != printf ] || name='(printf|putchar|__printf_chk)'
    judge refuses "a call of $call" "lib.o asks for $name" -- "int hidden(void); int hidden(void) { return (int)($call); }"
done
judge refuses "a global that starts at zero" 'lib.o keeps counter' -- 'int counter;'
judge refuses "a global with a value" 'lib.o keeps counter' -- 'int counter = 7;'
judge refuses "a static inside a function" 'lib.o keeps calls' -- 'int ki_f(void); int ki_f(void) { static int calls; return calls++; }'
judge refuses "a name that a program may have" 'takes the name helper from programs' -- 'int helper(void); int helper(void) { return 1; }'
judge refuses "an export nobody declared" 'libkith.so shows kith_extra' -- 'KITH_API int kith_extra(void) { return 1; }'
echo 'KITH_API int kith_gone(void);' >>include/kith.h
judge refuses "a declaration without its function" 'libkith.so lacks kith_gone' -- ''
verdict
