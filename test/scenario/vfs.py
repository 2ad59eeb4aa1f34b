"""vfs - the reader and writer of Litestream 0.5.17 itself: its SQLite extension.

The extension is loaded into the sqlite3 shell. It reads a replica as if it were a database
(`sql`, `Reader`), can make a copy of it (`image`, its "hydration"), and adds transactions to
it (`write`). One shell that writes makes one transaction and one LTX file, at its end.
"""

import contextlib
import os
import shutil
import subprocess

import lib

NPM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "servers/npm.sh")


def extension():
    folder = subprocess.run([NPM, "vfs"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return os.path.join(
        folder.strip(), "node_modules/litestream-vfs-linux-amd64/litestream-vfs.so"
    )


class Vfs:
    def __init__(self, folder, url):
        self.folder = str(folder)
        self.url = url
        self.open = (
            f".load {extension()} sqlite3_litestreamvfs_init\n"
            '.open "file:peer.db?vfs=litestream"\n'
        )
        self.n = 0

    def _environment(self, **more):
        """Its own folder for each shell."""
        self.n += 1
        own = os.path.join(self.folder, f"peer-{self.n}")
        os.mkdir(own)
        env = {k: v for k, v in os.environ.items() if not k.startswith("LITESTREAM_")}
        env["TMPDIR"] = own
        env["LITESTREAM_REPLICA_URL"] = self.url
        env["LITESTREAM_BUFFER_PATH"] = os.path.join(own, "buffer")
        env["LITESTREAM_LOG_FILE"] = os.path.join(own, "log")
        env["LITESTREAM_LOG_LEVEL"] = "DEBUG"
        env.update(more)
        return env

    def _run(self, sql, env):
        done = subprocess.run(
            ["sqlite3", "-batch", "-bail"],
            input=self.open + sql + "\n",
            capture_output=True,
            text=True,
            env=env,
            timeout=120 * lib.SLOW,
        )
        assert done.returncode == 0 and done.stderr == "", done.stdout[-2000:] + done.stderr
        return done.stdout

    def sql(self, sql):
        return self._run(sql, self._environment())

    def write(self, sql):
        env = self._environment(LITESTREAM_WRITE_ENABLED="true", LITESTREAM_SYNC_INTERVAL="1h")
        return self._run(sql, env)

    def reader(self):
        return Reader(self)

    def image(self, path):
        """The whole database as the extension puts it together."""
        copy = os.path.join(self.folder, f"hydrated-{self.n}.db")
        env = self._environment(
            LITESTREAM_HYDRATION_ENABLED="true", LITESTREAM_HYDRATION_PATH=copy
        )
        with contextlib.closing(Reader(self, env)) as shell:
            shell.ask("SELECT count(*) FROM sqlite_schema;")
            lib.wait_until(lambda: "hydration complete" in shell.log(), 30, "hydration")
            shutil.copyfile(copy, path)
        return str(path)


class Reader:
    """A shell that stays open; the extension looks for new files every second."""

    def __init__(self, peer, env=None):
        self.env = env or peer._environment()
        self.errors = open(self.env["LITESTREAM_LOG_FILE"] + ".stderr", "w+", encoding="utf-8")
        self.shell = subprocess.Popen(
            ["sqlite3", "-batch", "-bail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=self.env,
        )
        self.shell.stdin.write(peer.open)

    def ask(self, sql):
        """The lines of the answer."""
        self.shell.stdin.write(sql + "\n.print end-of-answer\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line == "end-of-answer\n":
                return lines
            lines.append(line.rstrip("\n"))
        self.errors.seek(0)
        raise AssertionError(f"the shell has ended: {lines} {self.errors.read()}")

    def log(self):
        with open(self.env["LITESTREAM_LOG_FILE"], encoding="utf-8") as f:
            return f.read()

    def close(self):
        self.shell.stdin.close()
        self.shell.stdout.close()
        self.shell.wait(30 * lib.SLOW)
        self.errors.close()
