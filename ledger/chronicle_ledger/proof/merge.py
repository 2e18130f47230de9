"""Walking through sorted sources side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class Source(Generic[T]):
    """A sorted source with one item of look-ahead. `key` gives the id that an item belongs to."""

    def __init__(self, items: AsyncIterator[T], key: Callable[[T], UUID]) -> None:
        self._items = items
        self._key = key
        self._next: T | None = None
        self._begun = False

    async def peek(self) -> UUID | None:
        """The id of the next item; None at the end."""
        if not self._begun:
            self._begun = True
            await self._advance()
        return None if self._next is None else self._key(self._next)

    async def _advance(self) -> None:
        self._next = await anext(self._items, None)

    async def of(self, id_: UUID) -> AsyncIterator[T]:
        """The items of `id_`, which must be the next one or one that has none."""
        while await self.peek() == id_ and self._next is not None:
            item = self._next
            await self._advance()
            yield item

    async def one(self, id_: UUID) -> T | None:
        """The item of `id_`, where there is one at most."""
        found = None
        async for item in self.of(id_):
            found = item
        return found


async def in_order(*sources: Source[Any]) -> AsyncIterator[UUID]:
    """Each id that any source has, in order. Take all items of an id before asking for the next one."""
    while heads := [head for source in sources if (head := await source.peek()) is not None]:
        yield min(heads, key=lambda id_: id_.int)


async def each(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, one by one, as a source wants them."""
    for item in items:
        yield item
