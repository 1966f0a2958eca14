"""Infinite scrolling: pages are fetched as one goes on; what is new comes in at the top; nothing is lost or shown twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from syncterm.widgets.paged_table import PAGE, PagedSource
from syncterm.widgets.table_model import TableQuery

QUERY = TableQuery()


@dataclass
class Store:
    """Numbers, of which the greatest is the newest."""

    newest: int
    calls: list[int | None] = field(default_factory=list)

    async def page(self, before: int | None, limit: int) -> Sequence[int]:
        self.calls.append(before)
        top = self.newest if before is None else before - 1
        return list(range(top, max(0, top - limit), -1))

    def source(self) -> PagedSource[int]:
        return PagedSource(self.page, str, lambda number: {"number": str(number)})


async def test_a_page_at_a_time_down_to_the_oldest() -> None:
    store = Store(2 * PAGE + 5)
    source = store.source()
    assert not source.want_more()
    counts = [len(await source.keys(QUERY))]
    while source.want_more():
        counts.append(len(await source.keys(QUERY)))
    assert counts == [PAGE, 2 * PAGE, 2 * PAGE + 5]
    assert source.complete
    assert await source.rows(["1", "9999"]) == {"1": {"number": "1"}}


@given(st.integers(0, 3 * PAGE), st.lists(st.tuples(st.integers(0, 2 * PAGE), st.booleans()), max_size=6))
async def test_the_loaded_items_are_always_an_unbroken_run_from_the_newest(first: int, steps: list[tuple[int, bool]]) -> None:
    store = Store(first)
    source = store.source()
    await source.keys(QUERY)
    for arrived, more in steps:
        store.newest += arrived
        if more:
            source.want_more()
        keys = [int(key) for key in await source.keys(QUERY)]
        assert keys == list(range(store.newest, store.newest - len(keys), -1))
        assert not source.complete or not keys or keys[-1] == 1


async def test_items_that_look_different_are_told() -> None:
    items = {"a": 1, "b": 2}

    async def page(before: tuple[str, int] | None, limit: int) -> Sequence[tuple[str, int]]:
        return [] if before else list(items.items())

    source: PagedSource[tuple[str, int]] = PagedSource(page, lambda item: item[0], lambda item: {"n": str(item[1])})
    told: list[Sequence[str]] = []
    source.changed = told.append
    await source.keys(QUERY)
    items["b"] = 3
    await source.keys(QUERY)
    assert told == [[], ["b"]]
    source.reset()
    assert not source.items
