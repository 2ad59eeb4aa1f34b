#!/usr/bin/python3
"""man.py ROOT LITESTREAM MAN_OPTIONS [write] - the man pages tell what the program has.

litestream(1) has a section for each command and in it each flag that the command's help
shows, and no other. The list of keys in litestream.yml(5) is what MAN_OPTIONS prints; with
"write" it is put there. All pages are free of formatting mistakes, as far as groff can tell.
"""

import os
import re
import shutil
import subprocess
import sys

import tree

BEGIN = '.\\" The keys, as the option table has them: begin\n'
END = '.\\" The keys: end\n'
HELP_COMMAND = re.compile(r"^\t([a-z]+) ", re.MULTILINE)
HELP_FLAG = re.compile(r"^\t-([a-z0-9-]+)", re.MULTILINE)
PAGE_FLAG = re.compile(r"^\.TP\n\.BI? \\-((?:[a-z0-9]|\\-)+)", re.MULTILINE)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def sections(page):
    """{title: text} of the subsections of COMMANDS."""
    commands = re.search(r"^\.SH COMMANDS\n(.*?)^\.SH ", page, re.MULTILINE | re.DOTALL)[1]
    found = re.findall(r"^\.SS (\S+)\n(.*?)(?=^\.SS |\Z)", commands, re.MULTILINE | re.DOTALL)
    return dict(found)


def check_flags(page, litestream, name):
    described = sections(page)
    commands = HELP_COMMAND.findall(output(litestream, "help").split("Commands:")[1])
    for command in sorted(set(commands) | set(described)):
        if command not in described:
            yield f"{name}: the command {command} is missing"
            continue
        if command not in commands:
            yield f"{name}: there is no command {command}"
            continue
        flags = set(HELP_FLAG.findall(output(litestream, command, "-h")))
        listed = {f.replace("\\", "") for f in PAGE_FLAG.findall(described[command])}
        for flag in sorted(flags - listed):
            yield f"{name}: -{flag} of {command} is missing"
        for flag in sorted(listed - flags):
            yield f"{name}: {command} has no -{flag}"


def check_keys(root, name, keys, write):
    text = tree.read(root, name)
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        yield f"{name}: the lines around the keys are missing"
    elif write:
        with open(os.path.join(root, name), "w", encoding="utf-8") as f:
            f.write(before + BEGIN + keys + END + after)
    elif text != before + BEGIN + keys + END + after:
        yield f"{name}: the keys are not those of the option table; see man.py, write"


def check_format(root, name):
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", os.path.join(root, name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield from (f"{name}: {line}" for line in done.stdout.splitlines())


def main():
    root, litestream, options = sys.argv[1:4]
    problems = []
    if shutil.which("groff") is None:
        problems.append("groff is not here: apt-get install groff-base")
    names = tree.files(root, (".1", ".5"))
    problems += check_flags(
        tree.read(root, "packaging/man/litestream.1"), litestream, "packaging/man/litestream.1"
    )
    problems += check_keys(
        root, "packaging/man/litestream.yml.5", output(options), sys.argv[4:] == ["write"]
    )
    if shutil.which("groff") is not None:
        problems += [p for n in names for p in check_format(root, n)]
    tree.report(problems, len(names))


if __name__ == "__main__":
    main()
