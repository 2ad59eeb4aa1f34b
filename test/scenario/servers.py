"""servers - real servers for scenarios, started by the scripts of test/servers."""

import os
import subprocess

import lib

SCRIPTS = os.path.join(os.path.dirname(lib.HERE), "servers")


class Server:
    """One server: .env is what its script tells about it. It ends with stop(), or when this
    process ends, which closes its standard input."""

    def __init__(self, script, prefix=(), **settings):
        show = 'env -0 | tr "\\n\\0" "\\a\\n"; echo; exec cat'
        self._process = subprocess.Popen(
            [*prefix, os.path.join(SCRIPTS, script), "sh", "-c", show],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings},
        )
        self.env = {}
        for line in iter(self._process.stdout.readline, ""):
            if line == "\n":
                return
            name, _, value = line.rstrip("\n").partition("=")
            self.env[name] = value.replace("\a", "\n")
        raise RuntimeError(f"{script} ended with {self._process.wait()}")

    def __getitem__(self, name):
        return self.env[name]

    def children(self):
        """Pids of the server and what it has started, without the script."""
        return [p for p in lib.descendants(self._process.pid) if p != self._process.pid]

    def stop(self):
        self._process.stdin.close()
        self._process.wait(30 * lib.SLOW)
        self._process.stdout.close()
