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

    config = {"shutdown-sync-timeout": "1s"}

    def trigger(self):
        self.commit()
        self.ending = True
        self.daemon.signal(15)

    def suffer(self):
        """It ends all the same."""

    def survive(self, mode):
        if self.daemon is not None and not mode.kills:
            status = self.daemon.wait(60)
            assert status == 0 or self.has_told(), f"status {status} without a word"
            self.daemon = None
        self.ending = False
        super().survive(mode)

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
