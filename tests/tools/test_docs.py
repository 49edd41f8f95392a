#!/usr/bin/env python3
"""test_docs: what README.md, ARCHITECTURE.md and CHANGELOG.md name exists, what they quote is verbatim.

Checked: links and paths; functions written as name(); code blocks marked as an excerpt of a file; the length of
ARCHITECTURE.md; `make` targets. Every check is first tried on a planted fault, which it must find.
"""
import os
import re
import sys
from pathlib import Path

ROOT = Path(os.environ.get("KITH_SOURCE_DIR", Path(__file__).parent.parent.parent)).resolve()
PAGES = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")
LINES_MAX = {"ARCHITECTURE.md": 430}
FOLDERS = "include src net sim agent cli tests tools bench examples packaging docs".split()
PLANNED = {"src/aggregate"}  # ARCHITECTURE.md, "What comes next"
# Functions of C, POSIX and other programs that the pages may name.
FOREIGN = {"poll", "name", "main"}


def sources():
    files = (p for top in ("include", "src", "net", "sim", "agent", "cli", "examples") for p in (ROOT / top).rglob("*.[ch]"))
    return {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in files}


def anchors(text):
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-")
            for head in re.findall(r"^#+ (.*)$", text, re.M)}


def check_links(text):
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if path and not (ROOT / path).exists():
            yield "link to nothing: " + target
        elif anchor and anchor not in anchors((ROOT / path).read_text(encoding="utf-8") if path else text):
            yield "link to no such heading: " + target


def check_paths(text, code):
    for path in re.findall(r"`([\w./*-]+)`", text):
        bare = path.rstrip("/")
        if path.split("/")[0] not in FOLDERS or "/" not in path or bare in PLANNED:
            continue
        if not list(ROOT.glob(bare)) and not any((ROOT / "src").glob(bare)):
            yield "no such file: " + path
    for name in re.findall(r"`(\w+\.[ch])`", text):
        if not any(path.endswith("/" + name) or path == name for path in code) and not list(ROOT.glob("tests/**/" + name)):
            yield "no such source file: " + name


def check_functions(text, code):
    everything = "\n".join(code.values())
    for name in set(re.findall(r"\b(\w+)\(\)", text)) - FOREIGN:
        if not re.search(r"\b%s\(" % name, everything):
            yield "no such function: %s()" % name


def check_excerpts(text, code):
    for path, quoted in re.findall(r"^<!-- excerpt (\S+) -->\n```c\n(.*?)^```$", text, re.S | re.M):
        if quoted not in code.get(path, ""):
            yield "not verbatim in %s:\n%s" % (path, quoted)


def check_targets(text):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make (\w+)`", text) + re.findall(r"^make (\w+)", text, re.M):
        if not re.search(r"^%s:" % target, makefile, re.M):
            yield "no such target: make " + target


def check(text, code, lines_max=None):
    yield from check_links(text)
    yield from check_paths(text, code)
    yield from check_functions(text, code)
    yield from check_excerpts(text, code)
    yield from check_targets(text)
    if lines_max and text.count("\n") > lines_max:
        yield "%d lines (limit %d)" % (text.count("\n"), lines_max)


PLANTED = ("[x](no-such-file.md)", "[x](README.md#no-such-heading)", "`src/node/no-such-file.c`", "`nosuchfile.c`",
           "`ki_no_such_function()`", "<!-- excerpt examples/poll.c -->\n```c\nint no_such_line;\n```", "`make nosuch`")


def main():
    code = sources()
    faults = 0
    for planted in PLANTED:
        if len(list(check(planted + "\n", code))) != 1:
            print("canary: a planted fault is not found: " + planted)
            faults += 1
    if not list(check("\n" * 11, code, 10)):
        print("canary: a page that is too long is not found")
        faults += 1
    for page in PAGES:
        for fault in check((ROOT / page).read_text(encoding="utf-8"), code, LINES_MAX.get(page)):
            print("%s: %s" % (page, fault))
            faults += 1
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for example in ("examples/poll.c", "examples/sim_test.c"):
        if "<!-- excerpt %s -->" % example not in readme:
            print("README.md: quotes nothing of " + example)
            faults += 1
        if len(code[example].splitlines()) > 200:
            print(example + ": more than 200 lines")
            faults += 1
    print("docs: %d pages, %d faults" % (len(PAGES), faults))
    return 1 if faults else 0


sys.exit(main())
