#!/usr/bin/python3
"""shell.py ROOT - shell scripts parse, and shellcheck has nothing to warn of.

Without shellcheck the check is skipped (77).
"""

import os
import shutil
import subprocess
import sys

import tree

SKIPPED = 77


def is_script(root, name):
    path = os.path.join(root, name)
    if name.endswith(".sh"):
        return True
    if not os.access(path, os.X_OK):
        return False
    with open(path, "rb") as f:
        return f.readline().rstrip() in (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")


def main():
    root = sys.argv[1]
    if shutil.which("shellcheck") is None:
        print("shellcheck is not here")
        sys.exit(SKIPPED)
    names = [n for n in tree.files(root) if is_script(root, n)]
    problems = []
    for name in names:
        done = subprocess.run(
            ["shellcheck", "-S", "warning", "-f", "gcc", name],
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        problems += done.stdout.splitlines()
    tree.report(problems, len(names))


if __name__ == "__main__":
    main()
