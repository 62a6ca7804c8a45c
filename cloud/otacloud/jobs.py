"""Packages in the making. The job table is the truth; the engine only executes."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import structlog
from otaspec.errors import OtaError
from sqlalchemy import func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import keys
from otacloud.alarms import sound
from otacloud.db import Database
from otacloud.engine import Engine, WorkerDied
from otacloud.errors import refuse
from otacloud.events import Event, Hub
from otacloud.models import Device, Job, Package, Product, Release, SigningKey
from otacloud.storage import Blob, Storage
from otacloud.vault import Vault
from otacloud.worker import Made, Work

log = structlog.get_logger()

MAX_ATTEMPTS = 3  # of a job whose worker died: the third time it is the job
MAX_BASES = 32  # deltas made at once for a new release, the most used versions first


def job_key(base_sha256: str, target_sha256: str, options: dict[str, Any]) -> str:
    """A package is a pure function of these."""
    canonical = json.dumps([base_sha256, target_sha256, options], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def new_job(release: Release, product: str, kid: str, base_sha256: str, now: int) -> Job:
    """A queued job; `base_sha256` empty for the full package."""
    options = {
        "product": product,
        "board": release.board,
        "chip": release.chip,
        "version": release.version,
        "seq": release.seq,
        "kid": kid,
    }
    if release.bundle_sha256:
        options["bundle"] = release.bundle_sha256
    return Job(
        tenant_id=release.tenant_id,
        product_id=release.product_id,
        release_id=release.id,
        key=job_key(base_sha256, release.image_sha256, options),
        base_sha256=base_sha256,
        target_sha256=release.image_sha256,
        options=options,
        state="queued",
        created_at=now,
    )


async def versions_in_use(session: AsyncSession, release: Release) -> list[str]:
    """Image hashes that devices of the product reported and that are releases of it, most used first."""
    count = func.count().label("count")
    query = (
        select(Device.image_sha256, count)
        .join(
            Release,
            (Release.product_id == Device.product_id) & (Release.image_sha256 == Device.image_sha256),
        )
        .where(
            Device.product_id == release.product_id,
            Release.board == release.board,
            or_(Device.image_sha256 != release.image_sha256, literal(bool(release.bundle_sha256))),
        )
        .group_by(Device.image_sha256)
        .order_by(count.desc())
        .limit(MAX_BASES)
    )
    return [str(row[0]) for row in await session.execute(query)]


async def bases_for(session: AsyncSession, release: Release) -> list[str]:
    """The versions in use; before any device has come, the release before this one."""
    used = await versions_in_use(session, release)
    if used:
        return used
    mine = (Release.product_id == release.product_id, Release.board == release.board)
    before = select(Release.image_sha256).where(*mine, Release.seq < release.seq)
    if not release.bundle_sha256:
        before = before.where(Release.image_sha256 != release.image_sha256)
    before = before.order_by(Release.seq.desc())
    return list(await session.scalars(before.limit(1)))


def _package(job: Job, blob: Blob, facts: dict[str, Any], now: int) -> Package:
    known = {name: facts[name] for name in ("payload_size", "codec", "ram", "staging")}
    return Package(
        tenant_id=job.tenant_id,
        product_id=job.product_id,
        release_id=job.release_id,
        base_sha256=job.base_sha256,
        sha256=blob.sha256,
        size=blob.size,
        facts=facts,
        created_at=now,
        **known,
    )


async def add_jobs(session: AsyncSession, release: Release, bases: list[str], now: int) -> int:
    """Queues what is not there yet of the packages for `bases`; how many were new."""
    made = set(await session.scalars(select(Job.base_sha256).where(Job.release_id == release.id)))
    missing = [base for base in bases if base not in made]
    if missing:
        product = await session.get_one(Product, release.product_id)
        key = await keys.current_key(session, product.id)
        session.add_all(new_job(release, product.pk, key.kid, base, now) for base in missing)
    return len(missing)


async def _sound_failure(session: AsyncSession, job: Job, problem: OtaError, now: int) -> None:
    pk, version = job.options["product"], job.options["version"]
    what = "a delta" if job.base_sha256 else "the full package"
    text = f"{pk}: {what} of {version} could not be made: {problem}"
    data = {"version": version, "base_sha256": job.base_sha256, "error": problem.name}
    await sound(session, job.tenant_id, job.product_id, "job.failed", f"{pk}/{version}", text, now, **data)


async def full_failed(session: AsyncSession, release: Release) -> bool:
    """Whether the package that every board can take could not be made."""
    query = select(Job.state).where(Job.release_id == release.id, Job.base_sha256 == "")
    return await session.scalar(query) == "failed"


class Runner:
    """Takes queued jobs, oldest first, and gives them to the engine."""

    def __init__(
        self, db: Database, storage: Storage, vault: Vault, hub: Hub, engine: Engine, now: Callable[[], int]
    ) -> None:
        self._db = db
        self._storage = storage
        self._vault = vault
        self._hub = hub
        self._engine = engine
        self._now = now
        self._wake = asyncio.Event()

    def kick(self) -> None:
        """Call it after the commit that queued a job."""
        self._wake.set()

    async def want_delta(self, release: Release, base_sha256: str) -> bool:
        """Queues the delta from `base_sha256` if that is an image we have and nobody asked before.

        True: it is on its way.
        """
        async with self._db.read() as session:
            query = select(Release.id).where(
                Release.product_id == release.product_id, Release.image_sha256 == base_sha256
            )
            if await session.scalar(query.limit(1)) is None:
                return False
        async with self._db.write() as session:
            added = await add_jobs(session, release, [base_sha256], self._now())
        if added:
            self.kick()
        return added > 0

    async def recover(self) -> None:
        """Puts back what was under way when the service ended, however it ended."""
        async with self._db.write() as session:
            await session.execute(update(Job).where(Job.state == "running").values(state="queued"))

    async def run(self, workers: int) -> None:
        """Works until it is cancelled."""
        await self.recover()
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    def close(self) -> None:
        self._engine.close()

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            job = await self._take()
            if job is None:
                await self._wake.wait()
            else:
                self._hub.publish(job.tenant_id, Event("release", job.release_id))
                await self._do(job)
                self._hub.publish(job.tenant_id, Event("release", job.release_id))

    async def _take(self) -> Job | None:
        async with self._db.write() as session:
            query = select(Job).where(Job.state == "queued").order_by(Job.id).limit(1)
            job = await session.scalar(query.with_for_update(skip_locked=True))
            if job is not None:
                job.state = "running"
                job.attempts += 1
                job.started_at = self._now()
            return job

    async def _do(self, job: Job) -> None:
        try:
            made = await self._engine.run(await self._collect(job))
            await self._publish(job, made)
        except WorkerDied:
            log.warning("a worker died", job=job.id, attempt=job.attempts)
            again = job.attempts < MAX_ATTEMPTS
            problem = refuse("JOB_FAILED", f"its worker died {job.attempts} times")
            await self._end(job, "queued" if again else "failed", None if again else problem)
        except OtaError as refused:
            await self._end(job, "failed", refused)
        except Exception as bug:
            log.error("job failed", job=job.id, exc_info=bug)
            await self._end(job, "failed", refuse("JOB_FAILED", repr(bug)))

    async def _collect(self, job: Job) -> Work:
        async with self._db.read() as session:
            query = select(SigningKey).where(
                SigningKey.product_id == job.product_id, SigningKey.kid == job.options["kid"]
            )
            key = (await session.scalars(query)).one()
        bundle = job.options.get("bundle", "")
        return Work(
            base=await self._storage.get("images", job.base_sha256) if job.base_sha256 else None,
            target=await self._storage.get("images", job.target_sha256),
            options=job.options,
            private_der=keys.private_der(key, self._vault),
            bundle=await self._storage.get("bundles", bundle) if bundle else b"",
        )

    async def _publish(self, job: Job, made: Made) -> None:
        """The bytes first, then the row that lets boards have them: a cut between leaves an unused object."""
        blob = await self._storage.put("packages", made.package)
        async with self._db.write() as session:
            row = await session.get_one(Job, job.id)
            row.state = "done"
            row.finished_at = self._now()
            session.add(_package(job, blob, made.facts, self._now()))

    async def _end(self, job: Job, state: str, problem: OtaError | None) -> None:
        async with self._db.write() as session:
            row = await session.get_one(Job, job.id)
            row.state = state
            if problem:
                row.finished_at = self._now()
                row.code = problem.code
                row.detail = problem.evidence
                await _sound_failure(session, row, problem, self._now())
