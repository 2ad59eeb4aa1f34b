"""Faults in the first and the last moments of a worker."""

import pytest

from faultcases import MODES, SNAPSHOT, Case, newest, sweep


class Start(Case):
    """A daemon finds its place in a WAL that has gone on without it."""

    def prepare(self):
        self.open_app()
        self.commit(2)

    def trigger(self):
        self.start()


class First(Case):
    """The first image of a database, its upload, the first snapshot and the first merge."""

    @classmethod
    def make_template(cls, folder):
        case = cls(folder)
        case.open_app()
        case.commit(50, fill_bytes=8000)
        case.keep_wal()
        return case.root

    def prepare(self):
        self.open_app()

    def trigger(self):
        self.start()

    def is_done(self):
        return self.caught_up() and newest(self.replica, SNAPSHOT) > 0 and newest(self.replica, 1) > 0


class Stop(Case):
    """A commit just before the end: the final sync saves it."""

    def trigger(self):
        self.commit()
        self.daemon.signal(15)

    def wait(self, condition, what, timeout=60):
        if self.daemon is not None and not self.daemon.running():
            self.daemon = None
        super().wait(condition, what, timeout)

    def is_done(self):
        return self.daemon is None or not self.daemon.running()

    def is_well(self):
        return self.caught_up()


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return {
        cls: cls.make_template(tmp_path_factory.mktemp("template") / cls.__name__)
        for cls in (Start, First, Stop)
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", [Start, First, Stop])
def test_an_operation(tmp_path, templates, operation, mode):
    sweep(operation, str(tmp_path), templates[operation], mode)
