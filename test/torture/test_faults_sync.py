"""Faults while a commit becomes a local file and goes up to the replica."""

import pytest

from faultcases import MODES, Case, sweep


class Sync(Case):
    """One commit: a local file, which is uploaded."""

    @classmethod
    def forgives(cls, kind, path):
        if kind in ("read", "stat") and path in ("/app.db", "/app.db-wal"):
            return "is there anything new? It is asked again"
        if kind == "stat" and path.startswith("/replica/") and path.endswith(".ltx"):
            return "a file that is there already is found out when the new one gets its name"
        if kind == "stat" and path.startswith("/.app.db-litestream/"):
            return "the size decides how a file is copied"
        return None

    def trigger(self):
        self.commit(1, fill_bytes=10000)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Sync.make_template(tmp_path_factory.mktemp("template") / "sync")


@pytest.mark.parametrize("mode", MODES)
def test_a_commit(tmp_path, template, mode):
    sweep(Sync, str(tmp_path), template, mode, 20)
