"""The run store: every result durable before it is counted, and the audit of who asked what, when, on which prices.

SQLite in WAL mode with synchronous=FULL: a row acknowledged is on the disk. Results are append-only (triggers), their
key is (run, position), so a scenario is never stored twice, and all that an answer depends on is kept by its hash:
the catalogue, the input as it was read. One writer at a time; readers never wait.

    runs.py         `Store`: an open store, and all that is done with it
    records.py      `Run` and `Counts`, and the columns they come from
    tables.py       the tables and triggers, as numbered steps from version to version
    transaction.py  all of it, or nothing
"""

from solver.sweep.store.records import Counts, Run
from solver.sweep.store.runs import Store, default_path, now

__all__ = ["Counts", "Run", "Store", "default_path", "now"]
