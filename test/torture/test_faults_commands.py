"""Faults in commands that do one thing and end."""

import os

import lib
import pytest

from faultcases import MODES, CommandCase, sweep


class Restore(CommandCase):
    """Nothing is at the output, or all of it."""

    @property
    def copy(self):
        return os.path.join(self.root, "copy.db")

    def arguments(self):
        return ["restore", "-o", self.copy, self.url]

    def check(self, status):
        if status == 0:
            assert os.path.exists(self.copy), "status 0 without an output"
        if os.path.exists(self.copy):
            lib.assert_same(self.db, self.copy)
            lib.remove_database(self.copy)


class Reset(CommandCase):
    """Local files go, and the next daemon goes on all the same."""

    def arguments(self):
        return ["reset", self.db]

    def survive(self, mode):
        super().survive(mode)
        self.start()
        self.commit(2)
        self.wait_caught_up()


class Once(CommandCase):
    """All of it in one life."""

    def prepare(self):
        super().prepare()
        self.commit(3)

    def arguments(self):
        config = self.run.config(self.configuration())
        return ["replicate", "-config", config, "-once", "-force-snapshot", "-enforce-retention"]

    def check(self, status):
        if status == 0:
            assert self.caught_up()

    def between(self):
        self.commit(2)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Once.make_template(tmp_path_factory.mktemp("template") / "commands")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", [Restore, Reset, Once])
def test_a_command(tmp_path, template, operation, mode):
    sweep(operation, str(tmp_path), template, mode)
