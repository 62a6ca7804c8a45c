"""What has just changed, for the pages that look at it: an in-memory hub."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Event(NamedTuple):
    """`kind` device, rollout or release: something about that row has changed.

    plan: what is rolled out to that product has changed for devices that are not named.
    """

    kind: str
    id: int


class Subscription:
    """The distinct events since the last look: a slow page costs a set, never a growing queue."""

    def __init__(self, tenant_id: int) -> None:
        self.tenant_id = tenant_id
        self.closed = False
        self._pending: dict[Event, None] = {}
        self._wake = asyncio.Event()

    def put(self, event: Event) -> None:
        self._pending[event] = None
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def take(self, timeout: float) -> list[Event]:
        """Events in the order of their first occurrence; none after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._wake.wait(), timeout)
        except TimeoutError:
            return []
        self._wake.clear()
        taken = list(self._pending)
        self._pending.clear()
        return taken


class Hub:
    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._listeners: list[Callable[[Event], None]] = []
        self.closed = False

    def listen(self, listener: Callable[[Event], None]) -> None:
        """`listener` hears every event at once, before any other code runs."""
        self._listeners.append(listener)

    def publish(self, tenant_id: int, *events: Event) -> None:
        """Tells every listener, and every page of the tenant. Call it after the commit, never before."""
        for listener in self._listeners:
            for event in events:
                listener(event)
        for subscription in self._subscriptions:
            if subscription.tenant_id == tenant_id:
                for event in events:
                    subscription.put(event)

    @contextmanager
    def subscribe(self, tenant_id: int) -> Iterator[Subscription]:
        subscription = Subscription(tenant_id)
        if self.closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """Ends every stream, so that a graceful stop need not wait for open pages."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.close()
