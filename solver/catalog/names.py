"""Cards as people write them: "RTX A6000 48G", "A100 80G PCIe", "4090涡轮" -> the card of the catalogue, or a refusal.

Every word written must fit the card, and every word that tells the card from its sisters must be written; else the
match is uncertain and refused with the candidates. Modify this module when vendors write a card in a new way.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from solver.domain.catalog import Card

MAX_CHARS = 200


def _listed(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_BRANDS = _listed(
    "nvidia amd geforce quadro tesla radeon rtx gtx pro leadtek pny asus msi gigabyte colorful galax zotac gainward",
    "maxsun supermicro 英伟达 丽台 华硕 微星 技嘉 七彩虹 影驰 索泰 耕升 铭瑄 超微",
)
"""Words that may be left out or added: who makes the chip or board, and the family it is sold in."""
_NOISE = _listed(
    "gpu graphics card cards video new used ai gddr5 gddr6 gddr6x gddr7 hbm hbm2 hbm2e hbm3 memory vram dual slot",
    "generation gen edition 显卡 图形卡 专业卡 专业显卡 图形显卡 计算卡 加速卡 运算卡 显存 版 款 型 型号 全新 原装",
    "正品 行货 国行 盒装 工包 新 二手 拆机 深度学习 双宽 双槽 张 块 片",
)
"""Words that say nothing about which card it is."""
_SAME = {
    "涡轮": "blower",
    "涡轮版": "blower",
    "涡轮卡": "blower",
    "涡轮扇": "blower",
    "turbo": "blower",
    "blower": "blower",
    "blowers": "blower",
    "被动": "passive",
    "被动散热": "passive",
    "风扇": "axial",
    "三风扇": "axial",
    "双风扇": "axial",
    "风扇版": "axial",
    "公版": "axial",
    "pcie4": "pcie",
    "pcie5": "pcie",
    "pci": "pcie",
    "pcie版": "pcie",
    "maxq": "max-q",
    "workstation": "ws",
    "工作站版": "ws",
    "工作站": "ws",
    "modded": "mod",
    "魔改": "mod",
    "改": "mod",
    "魔改版": "mod",
}
_FAMILIES = re.compile(r"(?<![a-z])(rtx|gtx|quadro|tesla|geforce|nvidia|radeon)(?=[a-z]*\d)")
_SUFFIX = re.compile(r"(?<![a-z0-9])(\d{4})(ti|d)(?![a-z0-9])")
_SPACED_A = re.compile(r"(?<![a-z0-9])a (\d{2,4})(?![a-z0-9])")
_MEMORY = re.compile(r"(?<![a-z0-9.])(\d{1,4})\s*g(?:i?b)?(?![a-z0-9])")
_WORD = re.compile(r"[a-z0-9]+(?:\.[0-9]+)?|[\u4e00-\u9fff]+")


@dataclass(frozen=True)
class Words:
    """A name taken apart: the words that matter, the memory in GB if it is written, all else aside."""

    words: frozenset[str]
    memory_gb: frozenset[int]


@dataclass(frozen=True)
class Match:
    """The id of the card, or None with the ids it might be, best first."""

    item_id: str | None
    candidates: tuple[str, ...] = ()


def plain(text: str) -> str:
    """Full-width to half-width, lower case, spaces as one."""
    return " ".join(unicodedata.normalize("NFKC", text[:MAX_CHARS]).lower().split())


@lru_cache(maxsize=20_000)
def words_of(text: str) -> Words:
    """Take a name apart."""
    spaced = plain(text).replace("max-q", "maxq").replace("pci-e", "pcie").replace("4.0", " ").replace("5.0", " ")
    spaced = _FAMILIES.sub(r"\1 ", spaced.replace("_", " ").replace("-", " "))
    spaced = _SUFFIX.sub(r"\1 \2", spaced)
    spaced = _SPACED_A.sub(r"a\1", spaced)
    memory = {int(found) for found in _MEMORY.findall(spaced)}
    words: set[str] = set()
    for word in _WORD.findall(_MEMORY.sub(" ", spaced)):
        for part in _chinese_parts(word):
            words.add(_SAME.get(part, part))
    return Words(frozenset(words - _NOISE), frozenset(memory))


_KNOWN_CHINESE = sorted(
    (word for word in (*_NOISE, *_BRANDS, *_SAME) if "\u4e00" <= word[0] <= "\u9fff"), key=len, reverse=True
)


def _chinese_parts(word: str) -> list[str]:
    """Chinese has no spaces: cut off the words that are known, longest first; what is left is a word of its own."""
    if not "\u4e00" <= word[0] <= "\u9fff":
        return [word]
    parts = []
    rest = word
    for known in _KNOWN_CHINESE:
        if known in rest:
            parts.append(known)
            rest = rest.replace(known, "")
    return [*parts, rest] if rest else parts


class CardNames:
    """All cards by the words of their names. Made once per file, asked once per row."""

    def __init__(self, cards: Iterable[Card], other_ids: Iterable[str] = ()) -> None:
        """Take the names apart.

        Args:
            cards: the cards that may be meant.
            other_ids: further ids (platforms), matched only as they stand.
        """
        self._cards = {card.id: card for card in cards}
        self._words = {card.id: words_of(card.name) for card in self._cards.values()}
        self._as_written = {item.lower(): item for item in (*self._cards, *other_ids)}
        self._by_name: dict[str, set[str]] = {}
        self._by_word: dict[str, set[str]] = {}
        self._by_figure: dict[str, set[str]] = {}
        for card in self._cards.values():
            self._by_name.setdefault(plain(card.name), set()).add(card.id)
            for word in (*self._words[card.id].words, card.cooling):
                self._by_word.setdefault(word, set()).add(card.id)
            for figure in _figures(self._words[card.id]):
                self._by_figure.setdefault(figure, set()).add(card.id)

    def match(self, text: str) -> Match:
        """Find the card that a name means, as a vendor wrote it."""
        written = plain(text)
        if written in self._as_written:
            return Match(self._as_written[written])
        same_name = self._by_name.get(written, set())
        if len(same_name) == 1:
            return Match(next(iter(same_name)))
        said = words_of(text)
        fitting = self._fitting(said)
        certain = {item for item in fitting if self._is_told(said, item)}
        if len(certain) == 1:
            return Match(next(iter(certain)))
        likely = certain or fitting or set().union(*(self._by_figure.get(f, set()) for f in _figures(said)))
        if likely:
            return Match(None, tuple(sorted(likely, key=lambda item: (self._distance(said, item), item))[:5]))
        return Match(None, tuple(difflib.get_close_matches(written, self._as_written, n=3, cutoff=0.5)))

    def _fitting(self, said: Words) -> set[str]:
        """Cards that nothing written speaks against."""
        telling = said.words - _BRANDS
        if not telling:
            return set()
        fitting = set.intersection(*(self._by_word.get(word, set()) for word in telling))
        return {item for item in fitting if not said.memory_gb or said.memory_gb <= self._memory_gb(item)}

    def _is_told(self, said: Words, item: str) -> bool:
        """All that tells the card from others is written: every word and memory figure of its own name."""
        name = self._words[item]
        return name.words <= said.words | _BRANDS and name.memory_gb <= said.memory_gb

    def _memory_gb(self, item: str) -> frozenset[int]:
        """What the card's memory is called: its name's figure, or the driver's in whole GB (49,140 MiB is 48)."""
        return self._words[item].memory_gb or frozenset({round(self._cards[item].vram_mib / 1024)})

    def _distance(self, said: Words, item: str) -> int:
        return len(said.words ^ self._words[item].words)


def _figures(name: Words) -> set[str]:
    """The figures of a name's words: 'RTX 3090 Ti' is not an RTX 3090, but may be meant as one."""
    return {figure for word in name.words for figure in re.findall(r"\d{2,}", word)}
