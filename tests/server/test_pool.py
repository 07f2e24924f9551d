"""The pool of solver processes, in this process: what comes in an order that a whole server takes only at times."""

from __future__ import annotations

import asyncio

from server.frames import Config
from server.metrics import Metrics
from server.pool import SolverPool
from tests.server.running import alive


def test_a_forking_process_is_replaced_before_its_end_is_heard() -> None:
    """Tests that what is heard late of a dead one does no harm to the one that has taken its place."""

    async def run() -> tuple[list[int], list[int]]:
        pool = SolverPool(Config({}, 4096, 1000, 1), 1, Metrics())
        try:
            await pool.start()
            before = pool.pids
            assert pool._forker._parent is not None
            pool._forker._parent.kill()
            pool._forker._parent.wait()  # nothing of the pool runs until the next line, which finds it dead
            pool._target = 2
            await pool._launch()
            async with asyncio.timeout(30):
                while pool.warm < 2 or set(before) & set(pool.pids):
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)  # long enough for harm to be done
            assert all(alive(pid) for pid in pool.pids)
            return before, pool.pids
        finally:
            await pool.close()

    before, after = asyncio.run(run())
    assert len(before) == 1
    assert len(set(after) - set(before)) == 2
