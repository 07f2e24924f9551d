"""Cards as people write them: what is matched, and what is refused with its candidates."""

from __future__ import annotations

import pytest

from solver.catalog import default_library
from solver.catalog.names import CardNames

CATALOG = default_library().catalog
NAMES = CardNames(CATALOG.cards, CATALOG.platform_by_id)

CERTAIN = {
    "RTX A6000 48G": "rtx-a6000",
    "A6000": "rtx-a6000",
    "rtx_a6000": "rtx-a6000",
    "ＲＴＸ　Ａ６０００": "rtx-a6000",
    "丽台 RTX A6000 48GB GDDR6 专业显卡": "rtx-a6000",
    "RTX A6000 48G 二手": "rtx-a6000",
    "A100 80G PCIe": "a100-80gb-pcie",
    "NVIDIA A100-PCIE-80GB": "a100-80gb-pcie",
    "全新 A800 80G PCIE": "a800-80gb-pcie",
    "H100 80G PCIe": "h100-pcie-80gb",
    "H100 NVL 94GB": "h100-nvl-94gb",
    "V100 PCIe 32G": "v100-pcie-32gb",
    "RTX4090": "rtx-4090",
    "RTX 4090 24G 三风扇": "rtx-4090",
    "4090涡轮": "rtx-4090-blower",
    "英伟达RTX4090涡轮显卡": "rtx-4090-blower",
    "RTX 4090D": "rtx-4090-d",
    "3090 turbo 24G": "rtx-3090-blower",
    "NVIDIA RTX 6000 Ada Generation": "rtx-6000-ada",
    "6000 Ada 48G": "rtx-6000-ada",
    "2080Ti 22G 魔改": "rtx-2080-ti-22g",
    "RTX PRO 6000 Blackwell Max-Q 96G": "rtx-pro-6000-blackwell-max-q",
    "RTX PRO 6000 Blackwell 工作站版": "rtx-pro-6000-blackwell-ws",
    "W7900": "radeon-pro-w7900",
    "L40S 48G": "l40s",
    "guide-base": "guide-base",
}
UNCERTAIN = {
    "A100": "a100-80gb-pcie",  # 40 or 80 GB, PCIe or SXM
    "A100 80G": "a100-80gb-pcie",
    "A100 SXM4 80GB": "a100-80gb-pcie",
    "A100 40G PCIe": "a100-80gb-pcie",
    "RTX A6000 24G": "rtx-a6000",
    "A6000 Ada": "rtx-a6000",
    "RTX 6000": "rtx-6000-ada",  # or the Quadro RTX 6000
    "RTX 3090 Ti": "rtx-3090",
    "H100": "h100-pcie-80gb",
    "L40": "l40s",
    "RTX PRO 6000": "rtx-pro-6000-blackwell-ws",
    "4090 x8": "rtx-4090",
    "guide-bse": "guide-base",
}


@pytest.mark.parametrize("card", CATALOG.cards, ids=lambda card: str(card.id))
def test_own_name_and_id(card: object) -> None:
    """Tests that every card is found by its id and by its name, in any case."""
    for text in (card.id, card.name, card.name.upper()):  # type: ignore[attr-defined]
        assert NAMES.match(text).item_id == card.id  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "item"), CERTAIN.items())
def test_certain(text: str, item: str) -> None:
    """Tests that a card is found as vendors write it."""
    assert NAMES.match(text).item_id == item


@pytest.mark.parametrize(("text", "candidate"), UNCERTAIN.items())
def test_uncertain_is_refused_with_candidates(text: str, candidate: str) -> None:
    """Tests that a name which leaves something open, or says something else, names no card but offers the near ones."""
    match = NAMES.match(text)
    assert match.item_id is None
    assert candidate in match.candidates


@pytest.mark.parametrize("text", ["", " ", "显卡", "48G", "NVIDIA", "foo", "RTX", "\x00", "9" * 5000])
def test_says_nothing(text: str) -> None:
    """Tests that text which names no card is no card."""
    assert NAMES.match(text).item_id is None
