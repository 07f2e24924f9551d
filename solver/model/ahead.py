"""Load OR-Tools' compiled part on another core while records are made: a seventh of the time of a cold `optimize`.

Loading it is the system's work (mapping, relocations, the library's own start) and needs no interpreter. The import
that comes later finds it in place. Modify this module when another compiled module carries the model.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
import threading
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

COMPILED = "ortools.sat.python.cp_model_helper"


def load_ahead() -> threading.Thread | None:
    """Begin to load OR-Tools' compiled part, without importing anything of it.

    While one library loads, every other waits: import first what is compiled and needed at once.

    Returns:
        The thread that loads it; None where it is imported already, or not found (its import says so then).
    """
    path = None if COMPILED in sys.modules else _library()
    if path is None:
        return None
    thread = threading.Thread(target=_load, args=(path,), name="loads OR-Tools")
    thread.start()
    return thread


def _library() -> Path | None:
    package, *inner, name = COMPILED.split(".")
    found = importlib.util.find_spec(package)
    folders = [] if found is None else found.submodule_search_locations or []
    paths = (Path(folder, *inner, name + suffix) for folder in folders for suffix in EXTENSION_SUFFIXES)
    return next((path for path in paths if path.exists()), None)


def _load(path: Path) -> None:
    """Load a library as an import does; what is wrong with it is left for the import to say."""
    # A function called through ctypes lets other threads run, `ctypes.CDLL(path)` does not. No dlopen, no head start.
    with contextlib.suppress(OSError, TypeError, AttributeError):
        load = ctypes.CDLL(None).dlopen
        load.restype = ctypes.c_void_p
        load(bytes(path), sys.getdlopenflags())
