"""A saved answer: the folder that `solver-cli optimize --save DIR` writes, read back as records and checked.

    layout.py     what the files are called, and the day an answer is of
    record.py     `Saved` and `load(folder)`: the records behind the files
    documents.py  JSON documents and records, both ways

Everything in the folder is made from one `Saved`, so a number cannot differ between two files. Nothing here knows the
solver. Modify this package when a buyer should take away another file.
"""

from solver.report.saved.record import Saved, load

__all__ = ["Saved", "load"]
