"""Faults while the worker checkpoints: SQLite's own calls are among them."""

import pytest

from faultcases import MODES, Case, sweep


class Checkpoint(Case):
    """One transaction that is large enough for a checkpoint."""

    settings = {"min-checkpoint-page-count": 20}
    seen = 0

    def checkpoints(self):
        return sum(len(p.lines("msg=checkpoint .*complete=true")) for p in self.run.processes)

    def trigger(self):
        self.seen = self.checkpoints()
        self.commit(1, fill_bytes=100000)

    def is_done(self):
        return self.checkpoints() > self.seen and self.caught_up()

    def is_well(self):
        if self.checkpoints() == self.seen:  # what was copied may be enough: give it more
            self.commit(1, fill_bytes=100000)
        return self.is_done()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Checkpoint.make_template(tmp_path_factory.mktemp("template") / "checkpoint")


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint(tmp_path, template, mode):
    sweep(Checkpoint, str(tmp_path), template, mode)
