#!/usr/bin/python3
"""static.py TOOL BUILD [JOBS] - runs a static analyser over the program's own sources.

TOOL is cppcheck, clang-tidy (BUILD made by clang) or gcc-analyzer (BUILD made by gcc);
BUILD holds compile_commands.json. Every finding is a failure; the last line tells how many
files passed and failed.
"""

import concurrent.futures
import json
import os
import shlex
import subprocess
import sys

import floors

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What cppcheck 2.10 gets wrong in this tree.
CPPCHECK_OFF = [
    "missingInclude",
    "unknownEvaluationOrder",  # designated initialisers inside compound literals
]


def own_sources(build):
    """{file: compiler command} of the files in the program's folders."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        entries = json.load(f)
    folders = tuple(os.path.join(ROOT, folder) + os.sep for folder in floors.FLOORS)
    return {e["file"]: e for e in entries if e["file"].startswith(folders)}


def cppcheck(entry, build):
    macros = [w for w in shlex.split(entry["command"]) if w.startswith("-D")]
    command = ["cppcheck", "--quiet", "--std=c11", "--enable=warning,portability,performance"]
    command += ["--inline-suppr", "--error-exitcode=1", "-D__linux__", "-I", ROOT, *macros]
    return command + ["--suppress=" + s for s in CPPCHECK_OFF] + [entry["file"]]


def clang_tidy(entry, build):
    return ["clang-tidy-14", "--quiet", "-p", build, entry["file"]]


def gcc_analyzer(entry, build):
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = "/dev/null"
    if "-MF" in words:
        words[words.index("-MF") + 1] = "/dev/null"
    return words + ["-fanalyzer", "-Werror"]


TOOLS = {"cppcheck": cppcheck, "clang-tidy": clang_tidy, "gcc-analyzer": gcc_analyzer}


def main():
    tool, build = TOOLS[sys.argv[1]], os.path.abspath(sys.argv[2])
    jobs = int(sys.argv[3]) if len(sys.argv) > 3 else os.cpu_count()
    try:
        entries = own_sources(build)
    except FileNotFoundError as e:
        sys.exit(f"{e.filename} is missing: {build} was not configured")

    def run(name):
        return name, subprocess.run(
            tool(entries[name], build),
            cwd=entries[name]["directory"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, done in pool.map(run, sorted(entries)):
            if done.returncode != 0:
                failed += 1
                print(f"--- {os.path.relpath(name, ROOT)}\n{done.stdout}", flush=True)
    print(f"{len(entries) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not entries else 0)


if __name__ == "__main__":
    main()
