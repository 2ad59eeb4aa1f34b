"""Faults while a commit becomes a local file and goes up to the replica."""

import pytest

from faultcases import MODES, Case, sweep


class Sync(Case):
    """One commit: a local file, which is uploaded."""

    def trigger(self):
        self.commit(1, fill_bytes=10000)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Sync.make_template(tmp_path_factory.mktemp("template") / "sync")


@pytest.mark.parametrize("mode", MODES)
def test_a_commit(tmp_path, template, mode):
    sweep(Sync, str(tmp_path), template, mode)
