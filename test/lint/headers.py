#!/usr/bin/python3
"""headers.py ROOT - include guards carry the path; a .c includes its own header first."""

import os
import re
import sys

import tree

DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def guard_of(name):
    return re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def check_header(root, name):
    found = DIRECTIVE.findall(tree.without_comments(tree.read(root, name)))
    guard = guard_of(name)
    if found[:2] != [("ifndef", guard), ("define", guard)] or found[-1][0] != "endif":
        yield f"{name}:1: the include guard must be {guard}"


def check_source(root, name):
    own = name[:-2] + ".h"
    if not os.path.exists(os.path.join(root, own)):
        return
    found = tree.includes(tree.read(root, name))
    if not found or found[0][2] != own:
        line = found[0][0] if found else 1
        yield f'{name}:{line}: the first include must be "{own}"'


def main():
    root = sys.argv[1]
    headers = tree.files(root, (".h",))
    sources = tree.files(root, (".c",))
    problems = [p for n in headers for p in check_header(root, n)]
    problems += [p for n in sources for p in check_source(root, n)]
    tree.report(problems, len(headers) + len(sources))


if __name__ == "__main__":
    main()
