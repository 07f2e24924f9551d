"""Writing a saved answer: the folder is there whole or not at all, and nothing that was in it is lost.

The files are written and flushed beside the folder, in one of another name, and then take its place. Into a folder
that holds something they go only if that is asked for, each in one step; what was not written by us, or was changed
since, is kept under another name. Modify this module when files are put in place otherwise.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from solver.domain.errors import InvalidProblem
from solver.domain.language import say
from solver.report.saved import documents, layout
from solver.report.saved.artefacts import sha256


def check_target(folder: Path, force: bool) -> None:
    """Refuse a folder that cannot be written; asked before the search, not after it.

    Raises:
        InvalidProblem: it holds something and `force` is not set, is a file, or its parent is not there or not ours.
    """
    target = _resolved(folder)
    with _told(folder):
        if target.exists() and not target.is_dir():
            raise InvalidProblem.of("--save", str(folder), say("is a file, a folder is needed"))
        if not target.parent.is_dir():
            raise InvalidProblem.of("--save", str(folder), say("no such folder: {parent}", parent=str(target.parent)))
        if not os.access(target if target.exists() else target.parent, os.W_OK | os.X_OK):
            raise InvalidProblem.of("--save", str(folder), say("cannot be written: permission denied"))
        if target.exists() and any(target.iterdir()) and not force:
            raise InvalidProblem.of(
                "--save", str(folder), say("is not empty; --force replaces what --save wrote there, and nothing else")
            )


def write(files: Mapping[str, bytes], folder: Path, force: bool = False) -> tuple[str, ...]:
    """Write the files of `artefacts` into a folder.

    Returns:
        The names under which files are kept that were in the way and not ours, or changed since we wrote them.

    Raises:
        InvalidProblem: as `check_target`, or the disk is full.
    """
    check_target(folder, force)
    target = _resolved(folder)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    with _told(folder):
        try:
            partial.mkdir()
            for name, data in files.items():
                _write(partial / name, data)
            _flush(partial)
            kept = (
                _put(partial, target, files) if target.exists() and any(target.iterdir()) else _rename(partial, target)
            )
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return kept


def _rename(partial: Path, target: Path) -> tuple[str, ...]:
    partial.rename(target)  # an empty folder of that name gives way
    _flush(target.parent)
    return ()


def _put(partial: Path, target: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Replace our files one by one; a folder whose manifest is gone was not finished, and says so when read."""
    ours = _written_before(target)
    kept = []
    for name in layout.NAMES:
        old = target / name
        there = old.is_symlink() or old.exists()
        if there and name != layout.MANIFEST and not _is_ours(old, ours.get(name)):
            kept.append(_aside(old).name)
    manifest = target / layout.MANIFEST
    if manifest.exists() and not ours:
        kept.append(_aside(manifest).name)
    manifest.unlink(missing_ok=True)
    _flush(target)
    for name in layout.NAMES:
        if name in files:
            (partial / name).replace(target / name)
        else:
            (target / name).unlink(missing_ok=True)
    _flush(target)
    return tuple(kept)


def _written_before(target: Path) -> dict[str, str]:
    """The hashes of what we wrote into the folder before; none where that cannot be told."""
    try:
        files = documents.parse_document((target / layout.MANIFEST).read_bytes(), layout.MANIFEST).get("files")
    except (OSError, InvalidProblem):
        return {}
    return {str(k): str(v) for k, v in files.items()} if isinstance(files, dict) else {}


def _is_ours(path: Path, written: str | None) -> bool:
    return path.is_file() and not path.is_symlink() and sha256(path.read_bytes()) == written


def _aside(path: Path) -> Path:
    """Move a file to a free name beside it."""
    number = 1
    while True:
        other = path.with_name(f"{path.name}.kept-{number}")
        if not (other.exists() or other.is_symlink()):
            path.rename(other)
            return other
        number += 1


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if path.suffix == ".sh":
        path.chmod(0o755)


def _flush(folder: Path) -> None:
    """Make the names in a folder durable; not every file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _resolved(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links; a NUL in it
        raise InvalidProblem.of("--save", str(folder), say("is not the name of a folder")) from None


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Tell what the operating system says of the folder as a fault of the option."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidProblem.of("--save", str(folder), say("cannot be written: {reason}", reason=reason)) from None
