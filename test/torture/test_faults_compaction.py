"""Faults while files are merged, while a snapshot is taken, while old files are removed."""

import disk
import pytest

from faultcases import MODES, SNAPSHOT, Case, newest, sweep


class Compaction(Case):
    most = 6  # each waits for a second before it tries again

    def up_to_date(self, *levels):
        return all(newest(self.replica, n) == newest(self.replica, 0) for n in levels)

    def prepare(self):
        super().prepare()
        self.wait(self.is_done, "what is due at the start")
        while self.is_done():  # unless it is done before it can be struck at
            self.commit()
            self.wait_caught_up()


class Merge(Compaction):
    """One file of level 1 from the files of level 0."""

    config = {"levels": [{"interval": "300ms"}]}

    def is_done(self):
        return self.caught_up() and self.up_to_date(1)


class Snapshot(Compaction):
    """One snapshot, read from the database."""

    config = {"snapshot": {"interval": "300ms", "retention": "24h"}}

    def is_done(self):
        return self.caught_up() and self.up_to_date(SNAPSHOT)


class Retention(Compaction):
    """All of it at once, and the removal of what it makes needless, here and there."""

    may_miss = 0.7  # what comes first is up to the clock

    def trigger(self):
        self.commit()

    config = {
        "levels": [{"interval": "200ms"}],
        "snapshot": {"interval": "200ms", "retention": "1ms"},
        "l0-retention": "1ms",
        "l0-retention-check-interval": "50ms",
    }

    def is_done(self):
        return (
            self.caught_up()
            and self.up_to_date(1, SNAPSHOT)
            and len(disk.level_names(self.replica, 0)) == 1
            and len(disk.level_names(self.meta, 0)) == 1
            and len(disk.level_names(self.replica, SNAPSHOT)) <= 2
        )


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Compaction.make_template(tmp_path_factory.mktemp("template") / "compaction")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", [Merge, Snapshot, Retention])
def test_an_operation(tmp_path, template, operation, mode):
    sweep(operation, str(tmp_path), template, mode)
