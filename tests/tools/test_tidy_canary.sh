#!/bin/bash
# tools/tidy refuses what it should, one planted fault at a time.
. "$KITH_SOURCE_DIR/tests/tools/canary.sh"
tidy=$KITH_SOURCE_DIR/tools/tidy

head='/*\n * A file.\n *\n * It has an idea.\n */\n'
repeat() { for ((i = 0; i < $1; i++)); do printf '%s\n' "$2"; done; }

# plant PATH PRINTF-TEXT [MORE]: a tree with this one file in it.
plant() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/${1%/*}"
    { printf "$2"; printf '%s' "${3-}"; } >"$work/tree/$1"
}

plant src/base/good.c "${head}int good(int a)\n{\n    return a;\n}\n"
accepts "a good file" "$tidy" "$work/tree"

plant src/base/long.c "$head" "$(repeat 596 'extern int a;')"$'\n'
refuses "a file of 601 lines" '^src/base/long.c:601: file of 601 lines' "$tidy" "$work/tree"
plant src/base/long.c "$head" "$(repeat 595 'extern int a;')"$'\n'
accepts "a file of 600 lines" "$tidy" "$work/tree"
plant tests/unit/test_long.c "$head" "$(repeat 796 'extern int a;')"$'\n'
refuses "a test of 801 lines" '^tests/unit/test_long.c:801: file of 801 lines' "$tidy" "$work/tree"

plant agent/long.c "${head}int f(int a)\n{\n" "$(repeat 61 '    a++;')"$'\n}\n'
refuses "a function of 61 lines" '^agent/long.c:7: function of 61 lines' "$tidy" "$work/tree"
plant agent/long.c "${head}int f(int a)\n{\n" "$(repeat 60 '    a++;')"$'\n}\n'
accepts "a function of 60 lines" "$tidy" "$work/tree"
plant agent/brace.c "${head}int f(int a) {\n" "$(repeat 61 '    a++;')"$'\n}\n'
refuses "a function that hides its length by its brace" '^agent/brace.c:6: the brace' "$tidy" "$work/tree"

for call in strcpy strcat sprintf gets strtok rand srand alloca setjmp; do
    plant cli/call.c "${head}void f(void)\n{\n    $call(a);\n}\n"
    refuses "$call in the command line" "^cli/call.c:8: $call\(\) is banned" "$tidy" "$work/tree"
done
for call in time clock_gettime printf malloc free; do
    plant src/swim/call.c "${head}void f(void)\n{\n    $call(a);\n}\n"
    refuses "$call in the library" "^src/swim/call.c:8: $call\(\) is banned" "$tidy" "$work/tree"
    plant cli/call.c "${head}void f(void)\n{\n    $call(a);\n}\n"
    accepts "$call in the command line" "$tidy" "$work/tree"
done
plant src/swim/names.c "${head}/* strcpy(a) */\nconst char *f(void)\n{\n    ki_time(a);\n    return \"malloc(a)\";\n}\n"
accepts "banned names in comments, strings and other names" "$tidy" "$work/tree"

plant net/tab.c "${head}int f(int a)\n{\n\treturn a;\n}\n"
refuses "a tab" '^net/tab.c:8: tab' "$tidy" "$work/tree"
plant net/blank.c "${head}int f(int a); \n"
refuses "a trailing blank" '^net/blank.c:6: tab or trailing blank' "$tidy" "$work/tree"
plant net/gap.c "${head}\n\nint f(int a);\n"
refuses "two blank lines" '^net/gap.c:7: two blank lines' "$tidy" "$work/tree"
plant net/wide.c "${head}" "int $(printf 'a%.0s' {1..121});"$'\n'
refuses "a line of 126 columns" '^net/wide.c:6: 126 columns' "$tidy" "$work/tree"
plant net/headless.c "int f(int a);\n"
refuses "a file that does not say its idea" '^net/headless.c:1: opens with' "$tidy" "$work/tree"
rm -rf "$work/tree"; mkdir "$work/tree"
refuses "an empty tree" '0 files' "$tidy" "$work/tree"
verdict
