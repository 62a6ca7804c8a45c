"""Alarms on their way: each delivery is tried until it arrives or has been tried often enough."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import structlog
from otaspec.errors import OtaError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import mail, outgoing
from otacloud.alarms import sound
from otacloud.db import Database
from otacloud.models import Alarm, Channel, Delivery, Device, Product
from otacloud.settings import Settings
from otacloud.vault import Vault

log = structlog.get_logger()

INTERVAL = 2.0
WAITS = (30, 300, 1_800, 7_200, 43_200)  # seconds after each failure; then it is given up
BATCH = 20
SILENCE_INTERVAL = 60
NAMED = 10  # devices named in an alarm about many


class NotDelivered(Exception):  # noqa: N818 - what happened
    """The receiver did not take it; the message says why."""


class Deliverer:
    def __init__(self, db: Database, vault: Vault, settings: Settings, now: Callable[[], int]) -> None:
        self._db = db
        self._vault = vault
        self._settings = settings
        self._now = now

    async def run(self) -> None:
        looked = 0
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.deliver()
                if self._now() >= looked + SILENCE_INTERVAL:
                    await self.look_for_silence(looked)
                    looked = self._now()
            except Exception as problem:
                log.error("alarms were not delivered", problem=repr(problem))

    async def deliver(self) -> int:
        """Tries what is due; how many were tried."""
        async with self._db.read() as session:
            query = (
                select(Delivery, Alarm, Channel)
                .join(Alarm, Alarm.id == Delivery.alarm_id)
                .join(Channel, Channel.id == Delivery.channel_id)
                .where(Delivery.state == "queued", Delivery.next_at <= self._now())
            )
            due = [(row[0], row[1], row[2]) for row in await session.execute(query.limit(BATCH))]
        for delivery, alarm, channel in due:
            problem = await self._try(alarm, channel)
            async with self._db.write() as session:
                _note(await session.get_one(Delivery, delivery.id), problem, self._now())
        return len(due)

    async def _try(self, alarm: Alarm, channel: Channel) -> str:
        """Empty where it arrived, else why not."""
        try:
            if channel.kind == "webhook":
                await self._post(alarm, channel)
            else:
                await self._mail(alarm, channel)
        except OtaError as refused:
            return refused.evidence
        except Exception as problem:
            return f"{type(problem).__name__}: {problem}"[:256]
        return ""

    async def _post(self, alarm: Alarm, channel: Channel) -> None:
        body = json.dumps(content(alarm)).encode()
        secret = self._vault.open(channel.secret_sealed, "webhook")
        headers = {"Driblet-Signature": outgoing.sign(secret, self._now(), body)}
        allowed = self._settings.outgoing_hosts
        status = await outgoing.post(channel.target, body, headers, allowed, outgoing.resolve)
        if not 200 <= status < 300:
            raise NotDelivered(f"the receiver answered {status}")

    async def _mail(self, alarm: Alarm, channel: Channel) -> None:
        if not self._settings.smtp_url:
            raise NotDelivered("DRIBLET_SMTP_URL is not set")
        url = self._settings.smtp_url.get_secret_value()
        text = f"{alarm.text}\n\n{json.dumps(alarm.data, indent=2)}\n"
        made = mail.message(self._settings.mail_from, channel.target, f"driblet: {alarm.text}", text)
        await asyncio.to_thread(mail.send, url, made)

    async def look_for_silence(self, since: int) -> None:
        """One alarm a product for the devices that have fallen silent since the last look."""
        async with self._db.write() as session:
            products = await session.scalars(select(Product).where(Product.silent_after > 0))
            for product in products.all():
                await self._silent(session, product, since)

    async def _silent(self, session: AsyncSession, product: Product, since: int) -> None:
        until = self._now() - product.silent_after
        quiet = (
            Device.product_id == product.id,
            Device.access == "approved",
            Device.last_seen_at.between(since - product.silent_after, until - 1),
        )
        count = await session.scalar(select(func.count()).select_from(Device).where(*quiet)) or 0
        if not count:
            return
        names = list(await session.scalars(select(Device.dn).where(*quiet).order_by(Device.dn).limit(NAMED)))
        more = f" and {count - len(names)} more" if count > len(names) else ""
        text = f"{product.pk}: silent for {product.silent_after} s: {', '.join(names)}{more}"
        at = self._now()
        await sound(
            session,
            product.tenant_id,
            product.id,
            "device.silent",
            product.pk,
            text,
            at,
            devices=names,
            count=count,
        )


def content(alarm: Alarm) -> dict[str, Any]:
    """What a webhook gets. `id` is the same at every try: receivers can drop what they have."""
    said = ("id", "kind", "object", "text", "data")
    return {name: getattr(alarm, name) for name in said} | {"at": alarm.created_at}


def _note(delivery: Delivery, problem: str, now: int) -> None:
    delivery.attempts += 1
    delivery.problem = problem
    if not problem:
        delivery.state = "done"
    elif delivery.attempts > len(WAITS):
        delivery.state = "failed"
    else:
        delivery.next_at = now + WAITS[delivery.attempts - 1]
