"""The newest key set of each product, in memory: polls ask for it."""

from sqlalchemy import func, select

from otacloud.db import Database
from otacloud.models import KeySetRow

_LIFE = 60  # seconds: another instance of the service may have a newer one


class KeySetCache:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._newest: dict[int, tuple[int, int]] = {}  # by product: (number, when it was read)

    def forget(self, product_id: int) -> None:
        self._newest.pop(product_id, None)

    async def following(self, product_id: int, pk: str, has: object, now: int) -> dict[str, object] | None:
        """The `keys` member of an answer to a board that has set `has`; None: nothing to fetch."""
        if type(has) is not int or has < 1:
            return None
        found = self._newest.get(product_id)
        if found is None or now - found[1] >= _LIFE:
            query = select(func.max(KeySetRow.version)).where(KeySetRow.product_id == product_id)
            async with self._db.read() as session:
                found = self._newest[product_id] = (await session.scalar(query) or 0, now)
        if has >= found[0]:
            return None
        return {"version": has + 1, "url": f"/v1/keysets/{pk}/{has + 1}"}
