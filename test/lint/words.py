#!/usr/bin/python3
"""words.py ROOT - the tree does not speak of the place where it was written.

Names of files and their bytes are searched, text or not.
"""

import os
import sys

import tree

# Put together here, so that this file does not hold them.
WORDS = ["/wo" + "rk/", "shared" + "/spec"]


def check_file(root, name):
    with open(os.path.join(root, name), "rb") as f:
        data = f.read()
    for word in WORDS:
        at = data.find(word.encode())
        if at >= 0:
            yield f"{name}:{data.count(10, 0, at) + 1}: {word}"
        if word in "/" + name:
            yield f"{name}:1: {word} in its name"


def main():
    root = sys.argv[1]
    names = tree.files(root)
    tree.report([p for n in names for p in check_file(root, n)], len(names))


if __name__ == "__main__":
    main()
