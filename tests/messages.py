"""The texts of the code and the catalogues of their translations: `make messages` brings the second after the first.

Texts are found with Babel in the calls of `say`, `say_many`, `message`, `message_many` and `message_as`. What is new
stands in the .po files without a translation afterwards, what is gone is dropped; the .mo files that the program reads
are compiled from them. Modify this module when texts are marked in another way; docs/languages.md tells more.
"""

from __future__ import annotations

import datetime
import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
LOCALE = ROOT / "solver" / "locale"
KEYWORDS = {
    "say": None,
    "message": None,
    "say_many": (1, 2),
    "message_many": (1, 2),
    "message_as": ((1, "c"), 2),
}
Key = tuple[str | tuple[str, ...], str | None]


def found() -> Catalog:
    """All texts of the code, without translations."""
    made = Catalog()
    for folder in ("solver", "server"):
        for _, _, text, _, context in extract_from_dir(ROOT / folder, [("**.py", "python")], keywords=KEYWORDS):
            made.add(text, context=context)
    return made


def catalogue(language: str) -> Catalog:
    """The translations of a language as they stand in its .po file."""
    with (LOCALE / language / "LC_MESSAGES" / "solver.po").open("rb") as file:
        return read_po(file, locale=language)


def compiled(translated: Catalog) -> bytes:
    """The .mo file of a catalogue."""
    # Without a date of their own, catalogues are of now, and no two of them would be alike.
    translated.creation_date = translated.revision_date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    buffer = io.BytesIO()
    write_mo(buffer, translated)
    return buffer.getvalue()


def updated(language: str) -> Catalog:
    """The catalogue of a language with exactly the texts that the code has."""
    made, old = Catalog(locale=language), catalogue(language)
    for text in found():
        if text.id:
            held = old.get(text.id[0] if isinstance(text.id, tuple) else text.id, text.context)
            made.add(text.id, held.string if held is not None else "", context=text.context)
    return made


def main() -> int:
    """Bring every catalogue up to date; name what waits for a translation."""
    waiting = 0
    for folder in sorted(LOCALE.iterdir()):
        made = updated(folder.name)
        buffer = io.BytesIO()
        write_po(buffer, made, width=0, no_location=True, sort_output=True, omit_header=True)
        plurals = f'"Plural-Forms: {made.plural_forms}\\n"\n'
        header = f'msgid ""\nmsgstr ""\n"Language: {folder.name}\\n"\n{plurals}'
        header += '"Content-Type: text/plain; charset=utf-8\\n"\n'
        (folder / "LC_MESSAGES" / "solver.po").write_bytes(header.encode() + b"\n" + buffer.getvalue())
        (folder / "LC_MESSAGES" / "solver.mo").write_bytes(compiled(catalogue(folder.name)))
        for text in made:
            if text.id and not text.string:
                waiting += 1
                print(f"{folder.name}: not translated: {text.id!r}", file=sys.stderr)
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main())
