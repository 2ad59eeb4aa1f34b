"""A configuration or a command line that is wrong is refused with words that name the place
and the way out, and nothing on disk is touched. The cases are in bad_input.py.
"""

import hashlib
import os
import re

import pytest

import lib
from bad_input import (
    ARGUMENTS,
    BAD_REPLICA,
    FLAGS,
    NO_DAEMON,
    NOT_BUILT,
    NOT_YET,
    SECRET_CONFIGS,
    TYPES,
    UNREADABLE,
    WARNINGS,
    one,
)


class Place:
    """A database with some content, a replica folder with a file, and what they look like."""

    def __init__(self, folder):
        self.folder = str(folder / "data")
        self.db = os.path.join(self.folder, "app.db")
        self.replica = os.path.join(self.folder, "replica")
        self.config = str(folder / "litestream.yml")
        os.makedirs(self.replica)
        con = lib.connect(self.db, wal=False)
        con.execute("CREATE TABLE t (x)")
        con.execute("INSERT INTO t VALUES (1)")
        con.close()
        with open(os.path.join(self.replica, "kept"), "w", encoding="ascii") as f:
            f.write("kept")
        self.before = self.look()

    def look(self):
        """Name, kind, time and content of everything."""
        found = {}
        for base, folders, files in os.walk(self.folder):
            for name in folders + files:
                path = os.path.join(base, name)
                content = b""
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        content = hashlib.sha256(f.read()).digest()
                found[path] = (os.stat(path).st_mtime_ns, content)
        return found

    def unchanged(self):
        assert self.look() == self.before

    def fill_in(self, text):
        for name, value in (
            ("@DB7@", self.db[:7]),
            ("@DB@", self.db),
            ("@REPLICA@", self.replica),
            ("@DIR@", self.folder),
            ("@FILE@", self.config),
        ):
            text = text.replace(name, value)
        return text

    def write(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(self.fill_in(text))
        return self.config


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.unchanged()


def refused(litestream, args, message, **more):
    """It fails with exactly this message and says nothing else."""
    done = litestream.run(*args, status=1, timeout=30, **more)
    assert done.stderr == f"Error: {message}\n"
    assert done.stdout == ""


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=[k.replace(" ", "-") for k in table])


# --- configurations ----------------------------------------------------------------------


@cases(UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_by_every_command(litestream, place, case):
    text, message = case
    file = place.write(text)
    message = place.fill_in(f"@FILE@: {message}")
    refused(litestream, ["replicate", "-config", file], message)
    refused(litestream, ["databases", "-config", file], message)
    refused(litestream, ["restore", "-config", file, "-o", place.folder + "/new", place.db], message)
    refused(litestream, ["ltx", "-config", file, place.db], message)


@cases(BAD_REPLICA)
def test_a_bad_replica_is_refused_by_every_command_that_would_use_it(litestream, place, case):
    text, message = case
    file = place.write(text)
    message = place.fill_in(f"@FILE@: {message}")
    refused(litestream, ["replicate", "-config", file], message)
    refused(litestream, ["databases", "-config", file], message)
    refused(litestream, ["restore", "-config", file, "-o", place.folder + "/new", place.db], message)
    refused(litestream, ["ltx", "-config", file, place.db], message)


@cases(NO_DAEMON)
def test_what_only_the_daemon_cannot_do_is_refused_by_it(litestream, place, case):
    text, message = case
    file = place.write(text)
    refused(litestream, ["replicate", "-config", file], place.fill_in(f"@FILE@: {message}"))
    litestream.run("databases", "-config", file)


@cases(NOT_BUILT)
def test_what_is_not_built_yet_is_refused_and_never_ignored(litestream, place, case):
    text, where, what = case
    file = place.write(text)
    out = "use a folder, file:///PATH" if "of type" in what else "remove the key"
    message = place.fill_in(f"@FILE@: {where}: {NOT_YET} {what} yet; {out}")
    refused(litestream, ["replicate", "-config", file], message)
    litestream.run("databases", "-config", file)


def test_a_missing_file_is_named(litestream, place):
    missing = os.path.join(place.folder, "x", "..", "none.yml")
    clean = os.path.join(place.folder, "none.yml")
    for args in (["replicate"], ["databases"]):
        refused(litestream, [*args, "-config", missing], f"config file not found: {clean}")
        refused(
            litestream,
            args,
            f"config file not found: {clean}",
            env={"LITESTREAM_CONFIG": missing},
        )


def test_a_folder_is_no_file(litestream, place):
    done = litestream.run("databases", "-config", place.folder, status=1)
    assert done.stderr == (
        f"Error: cannot read config: read {place.folder}: is a directory\n"
    )


def test_variables_are_expanded_unless_that_is_switched_off(litestream, place):
    file = place.write(one("{type: $KIND, path: @REPLICA@}"))
    env = {"KIND": "tape"}
    line = place.fill_in("@FILE@: line 3: dbs[@DB@].replica: unknown replica type in config: ")
    refused(
        litestream, ["databases", "-config", file], f'{line}"tape" (must be {TYPES})', env=env
    )
    refused(
        litestream,
        ["databases", "-no-expand-env", "-config", file],
        f'{line}"$KIND" (must be {TYPES})',
        env=env,
    )


@cases(WARNINGS)
def test_what_has_no_effect_is_warned_about(litestream, place, case):
    text, line, note = case
    file = place.write(text)
    done = litestream.run("databases", "-config", file)
    assert done.stdout.splitlines()[0].split() == ["path", "replica"]
    warnings = done.stderr.splitlines()
    assert len(warnings) == 1 and "level=WARN" in warnings[0]
    assert f"file={file} line={line} " in warnings[0]
    assert f'note="{note}"' in warnings[0]


def test_a_part_of_a_url_without_effect_is_warned_about(litestream, place):
    url = f"file://{place.replica}?x=1"
    note = "what follows the `?` of a file URL is not used"
    done = litestream.run("ltx", url)
    assert note in done.stderr and "level=WARN" in done.stderr
    done = litestream.run("restore", "-o", place.folder + "/new.db", url, status=1)
    assert note in done.stdout and "level=WARN" in done.stdout


# --- command lines -----------------------------------------------------------------------


@cases(ARGUMENTS)
def test_wrong_arguments_are_refused(litestream, place, case):
    words, message, hint = case
    done = litestream.run(*map(place.fill_in, words), status=1, timeout=30)
    hint = f"Try: {hint}\n" if hint else ""
    assert done.stderr == place.fill_in(f"Error: {message}\n{hint}")
    assert done.stdout == ""


@cases(FLAGS)
def test_wrong_flags_are_refused_with_the_usage(litestream, place, case):
    words, message = case
    done = litestream.run(*map(place.fill_in, words), status=1, timeout=30)
    assert done.stderr == f"{message}\nError: {message}\n"
    assert re.search(rf"^Usage:\n\n\tlitestream {words[0]}", done.stdout, re.MULTILINE)


def test_the_old_name_of_ltx_has_its_messages_behind_a_warning(litestream, place):
    warning = "Warning: 'wal' command is deprecated, please use 'ltx' instead\n"
    done = litestream.run("wal", status=1)
    assert done.stderr.startswith(warning + "Error: database path or replica URL required\n")
    done = litestream.run("wal", "-level", "x", place.db, status=1)
    assert done.stderr.startswith(warning + 'invalid value "x" for flag -level: ')


@pytest.mark.parametrize("words", [[], ["-x"], ["--config=x"]], ids=str)
def test_without_a_command_there_is_only_the_usage(litestream, place, words):
    done = litestream.run(*words, status=1)
    assert "litestream <command> [flags] [arguments]" in done.stdout
    assert done.stderr == ""


def test_a_database_that_is_not_in_the_file_is_named(litestream, place):
    file = place.write(one("{path: @REPLICA@}"))
    other = os.path.join(place.folder, "other.db")
    for command in ("restore", "ltx"):
        refused(litestream, [command, "-config", file, other], f"database not found in config: {other}")


# --- secrets -----------------------------------------------------------------------------

SECRET = "hunter2secret"


@pytest.mark.parametrize("number", range(len(SECRET_CONFIGS)))
def test_no_message_has_a_secret_of_a_file_in_it(litestream, place, number):
    text = SECRET_CONFIGS[number].replace("@SECRET@", SECRET)
    file = place.write(text)
    done = litestream.run("replicate", "-config", file, status=1, timeout=30)
    assert done.stderr.startswith("Error: ")
    assert SECRET not in done.stdout + done.stderr
    done = litestream.run("databases", "-config", file, status=None, timeout=30)
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "sftp://u:@SECRET@@h/p",
        "sftp://u:@SECRET@@h:port/p",
        "sftp://:@SECRET@@h/p",
        "ftp://u:@SECRET@@h/p",
        "s3:/u:@SECRET@@b/p",
        "s3://b/p?sse-customer-key=@SECRET@",
        "nats://@SECRET@@h/b",
    ],
)
def test_no_message_has_a_secret_of_a_command_line_in_it(litestream, place, url):
    url = url.replace("@SECRET@", SECRET)
    new = os.path.join(place.folder, "new.db")
    for words in (
        ["replicate", place.db, url],
        ["restore", "-o", new, url],
        ["restore", url],
        ["ltx", url],
        ["ltx", "-config", "x.yml", url],
    ):
        if words[0] != "replicate" and "://" not in url:
            continue  # the name of a database, which is repeated
        if words[0] == "replicate" and re.match(r"s3://|sftp://u:.*@h/p$", url):
            continue  # good: the daemon runs, and tries again and again
        done = litestream.run(*words, status=1, timeout=30)
        assert done.stderr.startswith("Error: ")
        assert SECRET not in done.stdout + done.stderr


# --- the shipped sample ------------------------------------------------------------------

SAMPLE = os.path.join(os.environ["LITESTREAM_FIXTURES"], "..", "..", "packaging", "litestream.yml")
MARK = "(not in this build yet)"


def paragraphs():
    with open(SAMPLE, encoding="utf-8") as f:
        return f.read().split("\n\n")


def taken_into_use(text):
    """Takes the # away from lines that are settings."""
    return re.sub(r"^#(?=\S|  )", "", text, flags=re.MULTILINE)


def test_the_daemon_starts_with_what_the_sample_does_not_mark(litestream, tmp_path):
    usable = "\n".join(p for p in paragraphs() if MARK not in p)
    usable = taken_into_use(usable)
    for name in ("/var/lib/app", "/var/lib/tenants", "/var/backups", "/mnt/nas"):
        usable = usable.replace(name, str(tmp_path / os.path.basename(name)))
    for name in ("app/one", "app/two", "tenants/t"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        book = lib.Ledger(tmp_path / f"{name}.db")
        book.commit()
        book.close()
    daemon = litestream.replicate(config=usable)
    for name in ("backups/one", "backups/two", "nas/two", "backups/tenants/t.db"):
        litestream.wait_replicated(f"file://{tmp_path / name}", 1)
    assert not daemon.lines("level=(WARN|ERROR)")
    daemon.stop()


SETTING = re.compile(r"^( *[a-z0-9-]+: )(.*)$", re.MULTILINE)
OTHER = {"false": "true", '""': "':9'", "24h": "9h", "5m": "9m", "15s": "9s", "0s": "9s"}


def test_what_the_sample_marks_is_refused(litestream, place):
    n = 0
    for paragraph in paragraphs()[1:]:
        text = taken_into_use(paragraph)
        if MARK not in paragraph:
            continue
        head, body = "", "\n".join(x for x in text.splitlines() if not x.startswith("#"))
        if body.startswith(" "):
            head = "dbs:\n"
        if not re.search("^  - ", body, re.MULTILINE):
            # Not examples but defaults: they ask for nothing until they say something else.
            body = SETTING.sub(lambda m: m[1] + OTHER.get(m[2], m[2]), body)
            body = body.replace("heartbeat-url: ':9'", "heartbeat-url: http://hb.example")
        body = body.replace('heartbeat-url: ""', "heartbeat-url: http://hb.example")
        file = place.write(head + body + "\n")
        done = litestream.run("replicate", "-config", file, status=1, timeout=30)
        assert NOT_YET in done.stderr, body
        n += 1
    assert n > 0
