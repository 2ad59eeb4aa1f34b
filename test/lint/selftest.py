#!/usr/bin/python3
"""selftest.py - each check passes a good tree and fails a bad one."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import static

HERE = os.path.dirname(os.path.abspath(__file__))


def header(path, *lines):
    guard = path.replace("/", "_").replace(".", "_").upper()
    body = [f"#ifndef {guard}", f"#define {guard}", *lines, "#endif"]
    return "\n".join(body) + "\n"


GOOD = {
    "common/base/a.h": header("common/base/a.h"),
    "common/base/a.c": '#include "common/base/a.h"\n\n#include <stdio.h>\n',
    "config/load.c": '#include <yaml.h>\n\n#include "common/base/a.h"\n',
    "drivers/d.h": header("drivers/d.h", '#include "common/base/a.h"'),
    "workers/w.c": '#include <sqlite3.h>\n\n#include "drivers/d.h"\n',
    "supervisor/spawn.c": '#include "drivers/d.h"\nint x(void) { return fork(); }\n',
    "test/unit/t.c": '#include <sqlite3.h>\n\n#include "drivers/d.h"\nint y = fork();\n',
    "packaging/sqlite/gate.c": "#include <sqlite3.h>\n",
}


class Checks(unittest.TestCase):
    def run_check(self, check, extra):
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**GOOD, **extra}.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
            command = [sys.executable, "-B", os.path.join(HERE, check + ".py"), root]
            return subprocess.run(command, capture_output=True, text=True)

    def passes(self, check, extra):
        done = self.run_check(check, extra)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def fails(self, check, name, text, words):
        done = self.run_check(check, {name: text})
        self.assertEqual(done.returncode, 1, f"{name} passed: {text}\n{done.stderr}")
        self.assertIn(name, done.stdout)
        self.assertIn(words, done.stdout)

    def test_a_good_tree_passes_every_check(self):
        for check in ("floors", "headers", "length", "words"):
            self.passes(check, {})

    def test_situations_sees_a_test_that_is_gone_and_a_row_that_is_missing(self):
        rows = [f"| {n} | what | `a/b`, `test_x.py::test_*` |" for n in range(1, 239)]
        table = "test/torture/README.md"
        tests = {
            "test/unit/a.c": "Test(a, b)\n",
            "test/scenario/test_x.py": "def test_y():\n    pass\n",
        }
        self.passes("situations", {**tests, table: "\n".join(rows) + "\n"})
        for row, words in [
            ("| 7 | what | `a/c` |", "no test a/c"),
            ("| 7 | what | not yet |", "neither"),
            ("| 8 | what | `a/b` |", "one row"),
        ]:
            text = "\n".join([*rows[:6], row, *rows[7:]]) + "\n"
            done = self.run_check("situations", {**tests, table: text})
            self.assertEqual(done.returncode, 1, row)
            self.assertIn(words, done.stdout)

    def test_floors_sees_a_lower_folder_use_a_higher_one(self):
        for name, used in (
            ("common/base/b.c", "config/config.h"),
            ("common/base/b.h", "workers/w.h"),
            ("common/ipc/b.def", "supervisor/s.h"),
            ("config/b.c", "drivers/d.h"),
            ("drivers/b.c", "workers/w.h"),
            ("workers/tail/b.c", "supervisor/s.h"),
            ("supervisor/b.c", "test/unit/support/tmp.h"),
            ("packaging/b.c", "common/base/a.h"),
        ):
            words = f"{name.split('/')[0]}/ must not use {used}"
            self.fails("floors", name, f'  #  include "{used}"\n', words)

    def test_floors_sees_a_library_in_the_wrong_folder(self):
        words = "belongs to"
        self.fails("floors", "common/b.c", "#include <yaml.h>\n", words)
        self.fails("floors", "test/b.c", "#include <yaml.h>\n", words)
        self.fails("floors", "drivers/b.c", "#include <sqlite3.h>\n", words)
        self.fails("floors", "packaging/b.c", "#include <sqlite3.h>\n", words)

    def test_floors_sees_fork_outside_its_file(self):
        words = "fork() belongs to"
        self.fails("floors", "workers/b.c", "int x = fork();\n", words)
        self.fails("floors", "supervisor/b.c", "int x = /* now */ fork ( );\n", words)
        self.passes("floors", {"workers/b.c": '/* fork() */ char *s = "fork()"; // fork()\n'})
        self.passes("floors", {"workers/b.c": "int x = on_fork();\n"})

    def test_floors_sees_sources_and_relative_names_in_includes(self):
        self.fails("floors", "test/b.c", '#include "common/base/a.c"\n', "source file")
        self.fails("floors", "common/base/b.c", '#include "a.h"\n', "root of the tree")
        self.passes("floors", {"common/base/b.c": '#include "generated.h"\n'})

    def test_floors_is_not_fooled_by_comments(self):
        text = '/*\n#include "workers/w.h"\n*/\n// #include <yaml.h>\n'
        self.passes("floors", {"common/base/b.c": text})

    def test_headers_sees_a_wrong_or_missing_guard(self):
        words = "include guard must be COMMON_BASE_B_H"
        for text in (
            "int x;\n",
            "#ifndef B_H\n#define B_H\n#endif\n",
            "#ifndef COMMON_BASE_B_H\n#define COMMON_BASE_C_H\n#endif\n",
            "#include <stdio.h>\n" + header("common/base/b.h"),
            "#pragma once\n",
        ):
            self.fails("headers", "common/base/b.h", text, words)
        text = "/* #define X */\n" + header("common/base/b.h", "#define X")
        self.passes("headers", {"common/base/b.h": text})

    def test_headers_sees_an_own_header_that_is_not_first(self):
        words = 'the first include must be "drivers/d.h"'
        self.fails("headers", "drivers/d.c", '#include <stdio.h>\n#include "drivers/d.h"\n', words)
        self.fails("headers", "drivers/d.c", "int x;\n", words)

    def test_length_sees_a_file_that_is_too_long(self):
        self.passes("length", {"common/b.c": "\n" * 700})
        self.fails("length", "common/b.c", "\n" * 701, "701 lines")

    def test_words_sees_them_in_text_bytes_and_names(self):
        word = "shared" + "/spec"
        self.fails("words", "docs/x.md", f"a\nsee {word} 1\n", "docs/x.md:2: " + word)
        self.fails("words", "data.bin", f"\0\0{word}\0", word)
        self.fails("words", word + "/x", "text", "in its name")

    @unittest.skipUnless(shutil.which("clang-format-14"), "clang-format-14 is not here")
    def test_format_sees_a_file_that_is_not_formatted(self):
        style = {".clang-format": "BasedOnStyle: LLVM\n"}
        text = "int x ( void ) ;\n"
        done = self.run_check("format", {**style, "common/b.c": text})
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("common/b.c", done.stdout)
        self.assertNotIn("common/base/a.c", done.stdout)
        self.assertNotIn("b.def", self.run_check("format", {**style, "b.def": text}).stdout)

    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not here")
    def test_shell_sees_what_shellcheck_warns_of(self):
        self.passes("shell", {"test/good.sh": "#!/bin/sh\nset -eu\necho \"$1\"\n"})
        self.fails("shell", "test/bad.sh", "#!/bin/sh\ncd /tmp\n", "SC2164")
        self.fails("shell", "test/bad.sh", "#!/bin/sh\nif true; then\n", "error")


class StaticAnalysers(unittest.TestCase):
    GOOD = "int f(int x);\nint f(int x) { return x; }\n"
    BAD = "int f(void);\nint f(void) { int x; return x; }\n"

    def analyse(self, tool, text):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "f.c")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            compiler = "clang-14" if tool == "clang-tidy" else "gcc"
            command = f"{compiler} -c {path} -o f.o"
            entry = {"directory": folder, "file": path, "command": command}
            with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as f:
                json.dump([entry], f)
            shutil.copy(os.path.join(static.ROOT, ".clang-tidy"), folder)
            done = subprocess.run(
                static.TOOLS[tool](entry, folder),
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            return done.returncode, done.stdout

    def see_it(self, tool, program):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not here")
        status, output = self.analyse(tool, self.GOOD)
        self.assertEqual(status, 0, output)
        status, output = self.analyse(tool, self.BAD)
        self.assertNotEqual(status, 0, output)
        self.assertIn("f.c:2:", output)

    def test_cppcheck(self):
        self.see_it("cppcheck", "cppcheck")

    def test_clang_tidy(self):
        self.see_it("clang-tidy", "clang-tidy-14")

    def test_gcc_analyzer(self):
        self.see_it("gcc-analyzer", "gcc")


class Count(unittest.TestCase):
    """What test/run.sh counts of a report of ctest."""

    CRITERION = "[====] Synthesis: Tested: {} | Passing: {} | Failing: {} | Crashing: {} \n"

    def count(self, status, output="", skipped=None):
        inner = f'<skipped message="{skipped}"/>' if skipped else ""
        report = (
            f'<testsuite><testcase name="t" status="{status}">{inner}'
            f"<system-out>{output}</system-out></testcase></testsuite>"
        )
        with tempfile.NamedTemporaryFile("w", suffix=".xml", encoding="utf-8") as f:
            f.write(report)
            f.flush()
            command = [sys.executable, "-B", os.path.join(HERE, "../count.py"), f.name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return tuple(map(int, done.stdout.split("\n")[0].split()))

    def test_programs_without_cases_count_as_one(self):
        self.assertEqual(self.count("run"), (1, 0, 0))
        self.assertEqual(self.count("fail"), (0, 1, 0))

    def test_cases_are_counted(self):
        self.assertEqual(self.count("run", self.CRITERION.format(7, 7, 0, 0)), (7, 0, 0))
        self.assertEqual(self.count("fail", self.CRITERION.format(7, 5, 2, 0)), (5, 2, 0))
        self.assertEqual(self.count("fail", self.CRITERION.format(7, 6, 0, 1)), (6, 1, 0))
        self.assertEqual(self.count("run", "12 passed in 3.45s\n"), (12, 0, 0))
        self.assertEqual(
            self.count("fail", "1 failed, 2 passed, 3 skipped, 1 error in 0.1s\n"), (2, 2, 3)
        )
        self.assertEqual(self.count("run", "1 passed, 1 xfailed in 61.00s (0:01:01)\n"), (1, 0, 1))

    def test_nothing_run_is_no_success(self):
        self.assertEqual(self.count("run", self.CRITERION.format(0, 0, 0, 0)), (0, 1, 0))
        self.assertEqual(self.count("run", "3 deselected in 0.02s\n"), (0, 1, 0))
        self.assertEqual(self.count("notrun", "", "Unable to find executable"), (0, 1, 0))

    def test_death_after_the_report_is_a_failure(self):
        self.assertEqual(self.count("fail", self.CRITERION.format(7, 7, 0, 0)), (7, 1, 0))

    def test_skipped_programs_are_told(self):
        self.assertEqual(self.count("notrun", "", "SKIP_RETURN_CODE=77"), (0, 0, 1))


if __name__ == "__main__":
    unittest.main()
