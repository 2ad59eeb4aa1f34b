"""Torture tests have the fixtures and helpers of the scenarios."""

import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIO = os.path.join(os.path.dirname(HERE), "scenario")
sys.path[:0] = [HERE, SCENARIO]

_spec = importlib.util.spec_from_file_location(
    "scenario_conftest", os.path.join(SCENARIO, "conftest.py")
)
_scenario = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_scenario)
litestream = _scenario.litestream
ledger = _scenario.ledger
replica = _scenario.replica
