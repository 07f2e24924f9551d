"""Slots shared by calls and batches of runs: who goes first, who overtakes, and that none is lost or made."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from server import admission as module
from server.admission import Admission, QueueFull, Slot
from server.metrics import Metrics


async def now(entering: Coroutine[Any, Any, Slot]) -> Slot | None:
    """The slot, if it is to be had at once."""
    task = asyncio.ensure_future(entering)
    for _ in range(3):
        await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


def test_one_slot_is_left_to_calls() -> None:
    """Tests that batches take all slots but one, and the only one where there is one."""

    async def run(slots: int) -> int:
        admission = Admission(slots, 4, Metrics())
        taken = 0
        while await now(admission.enter_background()) is not None:
            taken += 1
        return taken

    assert [asyncio.run(run(slots)) for slots in (1, 2, 3, 8)] == [1, 1, 2, 7]


def test_a_call_goes_before_batches() -> None:
    """Tests that a slot given back goes to the call that waits, though a batch came first."""

    async def run() -> list[str]:
        admission, order = Admission(1, 4, Metrics()), []
        held = await admission.enter()

        async def enter(name: str, entering: Coroutine[Any, Any, Slot]) -> None:
            slot = await entering
            order.append(name)
            slot.release()

        waiting = [asyncio.ensure_future(enter("batch", admission.enter_background()))]
        await asyncio.sleep(0)
        waiting += [asyncio.ensure_future(enter(name, admission.enter())) for name in ("first", "second")]
        await asyncio.sleep(0)
        held.release()
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(run()) == ["first", "second", "batch"]


def test_a_batch_that_waits_long_goes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that runs go on though calls never cease."""
    monkeypatch.setattr(module, "_PATIENCE_S", -1.0)

    async def run() -> bool:
        admission = Admission(1, 4, Metrics())
        held = await admission.enter()
        batch = asyncio.ensure_future(admission.enter_background())
        call = asyncio.ensure_future(admission.enter())
        await asyncio.sleep(0)
        held.release()
        await asyncio.sleep(0)
        before = batch.done() and not call.done()
        (await batch).release()
        await call
        return before

    assert asyncio.run(run())


def test_a_call_overtakes_a_batch() -> None:
    """Tests that a call takes the slot of a batch while a spare process stands by, and none where there is none."""

    async def run(spare: int) -> list[bool]:
        admission = Admission(1, 4, Metrics(), spare)
        batch = await admission.enter_background()
        call = await now(admission.enter())
        second = await now(admission.enter())
        other = await now(admission.enter_background())
        batch.release()
        after = await now(admission.enter())
        return [call is not None, second is not None, other is not None, after is not None]

    assert asyncio.run(run(0)) == [False, False, False, True]
    assert asyncio.run(run(1)) == [True, False, False, False]


def test_a_call_that_waits_overtakes_before_one_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests the batch that has waited long and goes next: the call it went before takes its slot, not a newcomer."""
    monkeypatch.setattr(module, "_PATIENCE_S", -1.0)

    async def run() -> tuple[bool, bool, bool]:
        admission = Admission(1, 4, Metrics(), 1)
        held = await admission.enter()
        batch = asyncio.ensure_future(admission.enter_background())
        waiting = asyncio.ensure_future(admission.enter())
        await asyncio.sleep(0)
        held.release()
        newcomer = await now(admission.enter())
        return batch.done(), waiting.done(), newcomer is not None

    assert asyncio.run(run()) == (True, True, False)


@pytest.mark.parametrize("seed", range(40))
def test_slots_are_neither_lost_nor_made(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests random sequences of entering, leaving while waiting, and giving back.

    Never are more at once than there are, and calls get their slots in the order in which they came.
    """
    rng = random.Random(seed)
    slots, spare = rng.randint(1, 4), rng.randint(0, 2)
    if seed % 2:
        monkeypatch.setattr(module, "_PATIENCE_S", -1.0)

    async def run() -> None:
        admission = Admission(slots, 5, Metrics(), spare)
        waiting: list[tuple[bool, asyncio.Future[Slot]]] = []
        for _ in range(400):
            kind = rng.random()
            if kind < 0.3:
                waiting.append((False, asyncio.ensure_future(admission.enter())))
            elif kind < 0.5:
                waiting.append((True, asyncio.ensure_future(admission.enter_background())))
            elif waiting:
                _, chosen = waiting.pop(rng.randrange(len(waiting)))
                if chosen.done() and chosen.exception() is None:
                    chosen.result().release()
                else:
                    chosen.cancel()
                    await asyncio.gather(chosen, return_exceptions=True)
            for _ in range(rng.randint(0, 3)):
                await asyncio.sleep(0)
            waiting = [(b, f) for b, f in waiting if not (f.done() and isinstance(f.exception(), QueueFull))]
            calls = sum(not background and future.done() for background, future in waiting)
            batches = sum(background and future.done() for background, future in waiting)
            order = [future.done() for background, future in waiting if not background]
            assert order == sorted(order, reverse=True)
            assert calls <= slots
            assert batches <= admission.background_slots
            assert calls + batches <= slots + spare
        for _, future in waiting:
            if future.done():
                future.result().release()
            else:
                future.cancel()
        await asyncio.gather(*(future for _, future in waiting), return_exceptions=True)
        await asyncio.wait_for(admission.idle(), 1)
        assert all([await now(admission.enter()) is not None for _ in range(slots)])
        assert await now(admission.enter()) is None

    asyncio.run(run())
