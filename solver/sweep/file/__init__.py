"""Scenario files: YAML for people; CSV, XLSX and JSONL for thousands. Bytes -> `ScenarioFile`, nothing expanded yet.

What is wrong with the file as a whole is an error; what is wrong with one scenario stays with that scenario, by name,
file and line, and does not stop the others. The keys of a YAML file are the tables `TOP`, `SCENARIO` and `SWEEP`;
schema.py beside this folder describes the same to editors.

    written.py    what a file says: `Entry`, `Sweep`, `ScenarioFile`
    reading.py    the file as a whole, in any of its forms
    base.py       the base question
    scenarios.py  one scenario
    sweeps.py     one sweep

Modify this package when a file may say more.
"""

from solver.sweep.file.reading import TOP, VERSION, parse, parse_again, read
from solver.sweep.file.scenarios import SCENARIO
from solver.sweep.file.sweeps import SWEEP
from solver.sweep.file.written import ALL_PRICES, Entry, ScenarioFile, Sweep

__all__ = [
    "ALL_PRICES",
    "SCENARIO",
    "SWEEP",
    "TOP",
    "VERSION",
    "Entry",
    "ScenarioFile",
    "Sweep",
    "parse",
    "parse_again",
    "read",
]
