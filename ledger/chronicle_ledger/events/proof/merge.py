"""Walking through sorted sources side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class Source(Generic[T]):
    """A sorted source with one item of look-ahead. `key` gives an item's account."""

    def __init__(self, items: AsyncIterator[T], key: Callable[[T], UUID]) -> None:
        self._items = items
        self._key = key
        self._next: T | None = None
        self._begun = False

    async def peek(self) -> UUID | None:
        """The account of the next item; None at the end."""
        if not self._begun:
            self._begun = True
            await self._advance()
        return None if self._next is None else self._key(self._next)

    async def _advance(self) -> None:
        self._next = await anext(self._items, None)

    async def of(self, account: UUID) -> AsyncIterator[T]:
        """The items of `account`, which must be the next one or one that has none."""
        while await self.peek() == account and self._next is not None:
            item = self._next
            await self._advance()
            yield item

    async def one(self, account: UUID) -> T | None:
        """The item of `account`, where there is one at most."""
        found = None
        async for item in self.of(account):
            found = item
        return found
