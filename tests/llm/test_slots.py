"""Who is at work, and who is next."""

from __future__ import annotations

import asyncio

import pytest

from llmguide.llm.slots import Slots


def test_never_more_than_the_slots_are_at_work():
    at_work, most = 0, 0

    async def work(slots: Slots) -> None:
        nonlocal at_work, most
        async with slots.held():
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0)
            at_work -= 1

    async def main() -> None:
        slots = Slots(3)
        await asyncio.gather(*(work(slots) for _ in range(20)))

    asyncio.run(main())
    assert most == 3


def test_the_highest_priority_is_next_and_equals_keep_their_order():
    served = []

    async def work(slots: Slots, name: str, priority: float) -> None:
        async with slots.held(priority):
            served.append(name)

    async def main() -> None:
        slots = Slots(1)
        async with slots.held():
            waiting = [("a", 0.0), ("b", 2.0), ("c", 1.0), ("d", 2.0), ("e", 0.0)]
            tasks = [asyncio.create_task(work(slots, *each)) for each in waiting]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert served == ["b", "d", "c", "a", "e"]


@pytest.mark.parametrize("moment", ["while it waits", "when its turn has come", "at work"])
def test_who_is_cancelled_leaves_no_slot_stuck(moment: str):
    async def work(slots: Slots) -> None:
        async with slots.held():
            await asyncio.sleep(10)

    async def main() -> None:
        slots = Slots(1)
        async with slots.held():
            doomed = asyncio.create_task(work(slots))
            await asyncio.sleep(0)
            if moment == "while it waits":
                doomed.cancel()
        if moment == "when its turn has come":
            doomed.cancel()
        if moment == "at work":
            await asyncio.sleep(0)
            doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        async with asyncio.timeout(1), slots.held():
            pass

    asyncio.run(main())


def test_an_error_at_work_gives_the_slot_back():
    async def main() -> None:
        slots = Slots(1)
        with pytest.raises(ZeroDivisionError):
            async with slots.held():
                raise ZeroDivisionError
        async with asyncio.timeout(1), slots.held():
            pass

    asyncio.run(main())


def test_slots_serve_one_event_loop_after_another():
    slots = Slots(1)

    async def main() -> None:
        async with slots.held():
            await asyncio.sleep(0)

    async def crowd() -> None:
        await asyncio.gather(*(main() for _ in range(5)))

    for _ in range(3):
        asyncio.run(crowd())


def test_slots_may_become_fewer_or_more_while_they_are_held():
    at_work = []

    async def work(slots: Slots, until: asyncio.Event) -> None:
        async with slots.held():
            at_work.append(1)
            await until.wait()
            at_work.pop()

    async def main() -> None:
        slots, first, rest = Slots(3), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(work(slots, first if i < 3 else rest)) for i in range(8)]
        await asyncio.sleep(0)
        assert len(at_work) == 3
        slots.resize(1)
        first.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(at_work) == 1
        slots.resize(4)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(at_work) == 4
        rest.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
