"""A typed client of the management API: for the command line, users' CI and the demo."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
from otaspec.errors import TABLE, OtaError, ServerError, code, error
from pydantic import BaseModel

from otacloud import schemas

Model = TypeVar("Model", bound=BaseModel)
Progress = Callable[[int, int], None]  # bytes so far, bytes in all

CHUNK = 64 * 1024
UPLOAD_TIMEOUT = 600.0
PATIENCE = 600.0  # seconds for which a watcher waits for a server that is away


def _problem(answer: httpx.Response) -> OtaError:
    """The error that the server named."""
    try:
        body = answer.json()
        number, evidence = int(body["code"]), str(body.get("evidence") or "")
    except (ValueError, KeyError, TypeError):
        number, evidence = 0, ""
    if number not in TABLE:
        return error(code("HTTP_STATUS"), f"{answer.request.url.path}: {answer.status_code}")
    return error(number, evidence)


class Client:
    """`with Client(url, token) as cloud: cloud.products()`. Every call raises OtaError where it is refused.

    `ca`: PEM file of the authority that signed the server's certificate, where the system does not know it.
    """

    def __init__(self, server: str, token: str, ca: Path | None = None, timeout: float = 30.0) -> None:
        self.server = server
        headers = {"Authorization": f"Bearer {token}"}
        verify: Any = str(ca) if ca else True
        self._http = httpx.Client(base_url=server, headers=headers, timeout=timeout, verify=verify)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, "/api/v1" + path, **options)
        except httpx.TimeoutException:
            raise error(code("SERVER_TIMEOUT"), self.server) from None
        except (httpx.TransportError, httpx.InvalidURL) as problem:
            raise error(code("SERVER_UNREACHABLE"), f"{self.server}: {problem}"[:120]) from None
        if answer.is_error:
            raise _problem(answer)
        return answer.json() if answer.content else None

    def _get(self, model: type[Model], path: str, **query: Any) -> Model:
        known = {name: value for name, value in query.items() if value is not None}
        return model.model_validate(self._call("GET", path, params=known))

    def _post(self, model: type[Model], path: str, body: BaseModel | None = None) -> Model:
        options = {"json": body.model_dump(mode="json")} if body else {}
        return model.model_validate(self._call("POST", path, **options))

    def patiently(self, look: Callable[[], Model]) -> Model:
        """What `look` gives; a server that cannot be reached is asked again for PATIENCE seconds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return look()
            except ServerError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(2)

    def _patch(self, model: type[Model], path: str, body: dict[str, Any], **query: Any) -> Model:
        known = {name: value for name, value in query.items() if value is not None}
        return model.model_validate(self._call("PATCH", path, json=body, params=known))

    # people and tokens

    def me(self) -> schemas.Me:
        return self._get(schemas.Me, "/me")

    def create_user(self, given: schemas.UserIn) -> schemas.UserOut:
        body = {"name": given.name, "role": given.role, "password": given.password.get_secret_value()}
        return schemas.UserOut.model_validate(self._call("POST", "/users", json=body))

    def users(self) -> schemas.UserList:
        return self._get(schemas.UserList, "/users")

    def change_user(self, name: str, change: schemas.UserChange) -> schemas.UserOut:
        body = change.model_dump(exclude_none=True, exclude={"password"})
        if change.password:
            body["password"] = change.password.get_secret_value()
        return schemas.UserOut.model_validate(self._call("PATCH", f"/users/{name}", json=body))

    def create_token(self, given: schemas.TokenIn) -> schemas.TokenSecret:
        return self._post(schemas.TokenSecret, "/tokens", given)

    def tokens(self) -> schemas.TokenList:
        return self._get(schemas.TokenList, "/tokens")

    def revoke_token(self, token_id: int) -> schemas.TokenOut:
        return self._post(schemas.TokenOut, f"/tokens/{token_id}/revoke")

    def audit(self, limit: int = 100) -> schemas.AuditList:
        return self._get(schemas.AuditList, "/audit", limit=limit)

    def check_audit(self) -> schemas.AuditCheck:
        return self._get(schemas.AuditCheck, "/audit/check")

    # products

    def create_product(self, given: schemas.ProductIn) -> schemas.ProductSecret:
        return self._post(schemas.ProductSecret, "/products", given)

    def products(self) -> list[schemas.ProductOut]:
        return [schemas.ProductOut.model_validate(row) for row in self._call("GET", "/products")]

    def product_secret(self, pk: str) -> schemas.ProductSecret:
        return self._get(schemas.ProductSecret, f"/products/{pk}/secret")

    def product(self, pk: str) -> schemas.ProductOut:
        return self._get(schemas.ProductOut, f"/products/{pk}")

    def change_product(self, pk: str, change: schemas.ProductChange) -> schemas.ProductOut:
        body = change.model_dump(exclude_none=True)
        return schemas.ProductOut.model_validate(self._call("PATCH", f"/products/{pk}", json=body))

    def add_key_set(self, pk: str, signed: bytes) -> schemas.KeySetOut:
        found = self._call("POST", f"/products/{pk}/keysets", content=signed)
        return schemas.KeySetOut.model_validate(found)

    def key_sets(self, pk: str) -> schemas.KeySetList:
        return self._get(schemas.KeySetList, f"/products/{pk}/keysets")

    # devices

    def create_device(self, pk: str, given: schemas.DeviceIn) -> schemas.DeviceSecret:
        body = given.model_dump(exclude_unset=True)
        return schemas.DeviceSecret.model_validate(self._call("POST", f"/products/{pk}/devices", json=body))

    def devices(
        self, pk: str, offset: int = 0, limit: int = 100, access: str | None = None
    ) -> schemas.DevicePage:
        query = {"offset": offset, "limit": limit, "access": access}
        return self._get(schemas.DevicePage, f"/products/{pk}/devices", **query)

    def device(self, pk: str, dn: str) -> schemas.DeviceDetail:
        return self._get(schemas.DeviceDetail, f"/products/{pk}/devices/{dn}")

    def watch_device(self, pk: str, dn: str, interval: float = 1.0) -> Iterator[schemas.DeviceDetail]:
        """The device again and again, until its update has ended."""
        while True:
            shown = self.patiently(lambda: self.device(pk, dn))
            yield shown
            if shown.state in ("confirmed", "failed", "reverted"):
                return
            time.sleep(interval)

    def approve_device(self, pk: str, dn: str) -> schemas.DeviceOut:
        return self._post(schemas.DeviceOut, f"/products/{pk}/devices/{dn}/approve")

    def revoke_device(self, pk: str, dn: str) -> schemas.DeviceOut:
        return self._post(schemas.DeviceOut, f"/products/{pk}/devices/{dn}/revoke")

    def reissue_device(self, pk: str, dn: str) -> schemas.DeviceSecret:
        return self._post(schemas.DeviceSecret, f"/products/{pk}/devices/{dn}/reissue")

    def change_device(self, pk: str, dn: str, change: schemas.DeviceChange) -> schemas.DeviceOut:
        body = change.model_dump(exclude_unset=True)
        return schemas.DeviceOut.model_validate(
            self._call("PATCH", f"/products/{pk}/devices/{dn}", json=body)
        )

    def import_devices(self, pk: str, file: Path) -> schemas.Imported:
        try:
            body = file.read_bytes()
        except OSError as problem:
            raise error(code("FILE_UNREADABLE"), f"{file}: {problem.strerror}"[:120]) from None
        path = f"/products/{pk}/devices/import"
        headers = {"Content-Type": "text/csv"}
        return schemas.Imported.model_validate(self._call("POST", path, content=body, headers=headers))

    # groups

    def create_group(self, pk: str, given: schemas.GroupIn) -> schemas.GroupOut:
        return self._post(schemas.GroupOut, f"/products/{pk}/groups", given)

    def groups(self, pk: str) -> schemas.GroupList:
        return self._get(schemas.GroupList, f"/products/{pk}/groups")

    def change_group(self, pk: str, name: str, change: schemas.GroupChange) -> schemas.GroupOut:
        body = change.model_dump(exclude_unset=True)
        return self._patch(schemas.GroupOut, f"/products/{pk}/groups/{name}", body)

    def delete_group(self, pk: str, name: str) -> None:
        self._call("DELETE", f"/products/{pk}/groups/{name}")

    # alarms

    def create_channel(self, given: schemas.ChannelIn) -> schemas.ChannelSecret:
        return self._post(schemas.ChannelSecret, "/channels", given)

    def channels(self) -> schemas.ChannelList:
        return self._get(schemas.ChannelList, "/channels")

    def disable_channel(self, channel_id: int) -> None:
        self._call("DELETE", f"/channels/{channel_id}")

    def alarms(self, open_only: bool = False, limit: int = 100) -> schemas.AlarmList:
        return self._get(schemas.AlarmList, "/alarms", open_only=open_only, limit=limit)

    def acknowledge_alarm(self, alarm_id: int) -> None:
        self._call("POST", f"/alarms/{alarm_id}/acknowledge")

    # releases

    def upload_release(
        self,
        pk: str,
        version: str,
        image: Path,
        board: str | None = None,
        notes: str = "",
        progress: Progress | None = None,
        channel: str = "stable",
        bundle: bytes = b"",
    ) -> schemas.ReleaseOut:
        """Sends the app image, after its bundle; its packages are made afterwards (`wait_release`)."""
        try:
            size = image.stat().st_size
            with image.open("rb") as file:
                chunks = _chunks(lambda: file.read(CHUNK), size, progress)
                query = {"version": version, "notes": notes, "channel": channel}
                query |= {"board": board} if board else {}
                query |= {"bundle_size": str(len(bundle))} if bundle else {}
                chunks = itertools.chain([bundle], chunks) if bundle else chunks
                length = str(size + len(bundle))
                headers = {"Content-Type": "application/octet-stream", "Content-Length": length}
                answer = self._call(
                    "POST",
                    f"/products/{pk}/releases",
                    params=query,
                    content=chunks,
                    headers=headers,
                    timeout=UPLOAD_TIMEOUT,
                )
        except OSError as problem:
            raise error(code("FILE_UNREADABLE"), f"{image}: {problem.strerror}"[:120]) from None
        return schemas.ReleaseOut.model_validate(answer)

    def releases(self, pk: str) -> list[schemas.ReleaseOut]:
        return [
            schemas.ReleaseOut.model_validate(row) for row in self._call("GET", f"/products/{pk}/releases")
        ]

    def release(self, pk: str, version: str, board: str | None = None) -> schemas.ReleaseOut:
        return self._get(schemas.ReleaseOut, f"/products/{pk}/releases/{version}", board=board)

    def retry_release(self, pk: str, version: str) -> schemas.ReleaseOut:
        return self._post(schemas.ReleaseOut, f"/products/{pk}/releases/{version}/retry")

    def change_release(
        self, pk: str, version: str, change: schemas.ReleaseChange, board: str | None = None
    ) -> schemas.ReleaseOut:
        body = change.model_dump(exclude_none=True)
        return self._patch(schemas.ReleaseOut, f"/products/{pk}/releases/{version}", body, board=board)

    def fit_release(self, pk: str, version: str, board: str | None = None) -> schemas.ReleaseFit:
        return self._get(schemas.ReleaseFit, f"/products/{pk}/releases/{version}/fit", board=board)

    def reissue_release(
        self, pk: str, version: str, new_version: str, board: str | None = None, bundle: bytes = b""
    ) -> schemas.ReleaseOut:
        """`bundle`: another one than it had."""
        query = {"as": new_version} | ({"board": board} if board else {})
        path = f"/products/{pk}/releases/{version}/reissue"
        body: dict[str, Any] = {}
        if bundle:
            body = {"content": bundle, "headers": {"Content-Type": "application/octet-stream"}}
        return schemas.ReleaseOut.model_validate(self._call("POST", path, params=query, **body))

    def watch_release(
        self, pk: str, version: str, board: str | None = None, interval: float = 0.5
    ) -> Iterator[schemas.ReleaseOut]:
        """The release again and again, until none of its jobs is under way."""
        while True:
            shown = self.patiently(lambda: self.release(pk, version, board))
            yield shown
            if all(job.state in ("done", "failed") for job in shown.jobs):
                return
            time.sleep(interval)

    def wait_release(self, pk: str, version: str, board: str | None = None) -> schemas.ReleaseOut:
        """The release with all its packages made; JOB_FAILED where the full one could not be."""
        *_, last = self.watch_release(pk, version, board)
        if last.state == "failed":
            raise error(code("JOB_FAILED"), failures(last))
        return last

    # rollouts

    def create_rollout(self, pk: str, given: schemas.RolloutIn) -> schemas.RolloutOut:
        return self._post(schemas.RolloutOut, f"/products/{pk}/rollouts", given)

    def rollouts(self, pk: str) -> list[schemas.RolloutOut]:
        return [
            schemas.RolloutOut.model_validate(row) for row in self._call("GET", f"/products/{pk}/rollouts")
        ]

    def rollout(self, pk: str, rollout_id: int) -> schemas.RolloutDetail:
        return self._get(schemas.RolloutDetail, f"/products/{pk}/rollouts/{rollout_id}")

    def rollout_targets(
        self, pk: str, rollout_id: int, state: str | None = None, offset: int = 0, limit: int = 100
    ) -> schemas.TargetList:
        query = {"offset": offset, "limit": limit} | ({"state": state} if state else {})
        rows = self._call("GET", f"/products/{pk}/rollouts/{rollout_id}/targets", params=query)
        return schemas.TargetList.model_validate({"targets": rows})

    def move_rollout(self, pk: str, rollout_id: int, move: str) -> schemas.RolloutOut:
        """`move`: start, approve, pause, resume, stop or retry."""
        return self._post(schemas.RolloutOut, f"/products/{pk}/rollouts/{rollout_id}/{move}")

    def watch_rollout(
        self, pk: str, rollout_id: int, interval: float = 1.0
    ) -> Iterator[schemas.RolloutDetail]:
        """The rollout again and again, until it is done or stopped."""
        while True:
            shown = self.patiently(lambda: self.rollout(pk, rollout_id))
            yield shown
            if shown.state in ("done", "stopped"):
                return
            time.sleep(interval)


def failures(release: schemas.ReleaseOut) -> str:
    """The failed jobs of a release in one line."""
    named = (f"{job.error.name} {job.error.detail}".strip() for job in release.jobs if job.error)
    return "; ".join(named)[:120]


def _chunks(read: Callable[[], bytes], size: int, progress: Progress | None) -> Iterator[bytes]:
    sent = 0
    while data := read():
        yield data
        sent += len(data)
        if progress:
            progress(sent, size)
