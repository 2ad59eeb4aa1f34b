#!/usr/bin/python3
"""length.py ROOT - a C file of more than 700 lines is two modules (docs/style.md)."""

import sys

import tree

LINES_MAX = 700


def main():
    root = sys.argv[1]
    names = tree.files(root, (".c", ".h"))
    problems = []
    for name in names:
        n = tree.read(root, name).count("\n")
        if n > LINES_MAX:
            problems.append(f"{name}:{LINES_MAX + 1}: {n} lines, at most {LINES_MAX}")
    tree.report(problems, len(names))


if __name__ == "__main__":
    main()
