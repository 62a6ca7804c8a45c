"""What a bad network does to an agent: it goes on later, from where it was, and reports each end once."""

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from otasim.faults import Faults
from otasim.link import Link
from otaspec import errors

from .service import Answer, Misbehaviour, Service
from .station import Station, full, image, package, reported

pytestmark = pytest.mark.slow

OLD, NEW = image("1.0.0"), image("1.1.0")


def answers(status: int, times: int = 10**6, **headers: str) -> Misbehaviour:
    """That status, `times` times; then as usual."""
    left = [times]

    def react(_: Service, __: bytes) -> Answer | None:
        left[0] -= 1
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (status, named, b'{"error": "BUSY"}') if left[0] >= 0 else None

    return react


def heard(code: int) -> Callable[[Station], bool]:
    """Until the server has heard of that error."""
    return lambda s: any(r["code"] == code for r in s.service.reports)


@pytest.mark.codes(301)
@pytest.mark.parametrize("kind", ["full", "delta"])
async def test_a_download_that_breaks_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    sent = package(kind, OLD, NEW)
    with Service() as service:
        async with Link("127.0.0.1", service.port) as link:
            service.release(sent)
            board = Station(tmp_path, service, OLD, {"server": f"http://127.0.0.1:{link.port}"})
            link.cut_at = len(sent) * 2 // 3
            await board.run(reported("confirmed"))
            assert link.cuts == 1
    assert board.slot(1, len(NEW)) == NEW
    first, second = service.ranges
    assert first == ""
    assert len(sent) // 3 < int(second[6:-1]) < len(sent) * 2 // 3
    assert heard(301)(board)


@pytest.mark.codes(307)
async def test_a_package_that_changes_under_its_name_is_left(tmp_path: Path) -> None:
    with Service() as service:
        async with Link("127.0.0.1", service.port) as link:
            service.release(full(NEW))
            board = Station(tmp_path, service, OLD, {"server": f"http://127.0.0.1:{link.port}"})
            link.cut_at = 50_000

            def instead(s: Service, _: bytes) -> Answer | None:
                return (412, {}, b"") if len(s.calls) and s.calls.count(s.calls[-1]) == 2 else None

            service.instead["/v1/packages"] = instead
            await board.run(reported("confirmed"))
    assert heard(307)(board)


@pytest.mark.codes(306)
async def test_a_download_that_trickles_is_given_up_and_resumed(tmp_path: Path) -> None:
    with Service() as service:
        async with Link("127.0.0.1", service.port) as link:
            service.release(full(NEW))
            settings = {"server": f"http://127.0.0.1:{link.port}", "timeout": 1, "rate": 20_000}
            board = Station(tmp_path, service, OLD, settings)
            link.rate = 15_000
            await board.run(heard(306))
            link.rate = None
            await board.run(reported("confirmed"))
    assert len(service.ranges) >= 2


async def test_a_final_report_is_kept_over_reboots_and_told_once(tmp_path: Path) -> None:
    with Service() as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD)
        service.instead["/v1/report"] = answers(500)
        await board.run(lambda s: s.service.calls.count("/v1/report") > 6)
        assert board.runs() == "ota_1"  # the check-in is a poll; a server that takes no reports stops nobody
        assert not service.reports
        del service.instead["/v1/report"]
        await board.run(reported("confirmed"))
        await board.run(lambda s: len(s.service.polls) > 3)
    assert [r["state"] for r in service.reports if r["state"] == "confirmed"] == ["confirmed"]
    ids = [r["id"] for r in service.reports]
    assert len(set(ids)) == len(ids)


@pytest.mark.codes(310)
async def test_an_answer_without_the_right_mac_is_not_heeded(tmp_path: Path) -> None:
    def forged(service: Service, body: bytes) -> Answer:
        status, _, raw = service._poll(json.loads(body), {"Authorization": "Bearer kitchen"})
        return status, {"Driblet-Mac": "00" * 32}, raw

    with Service() as service:
        service.release(full(NEW))
        service.instead["/v1/poll"] = forged
        board = Station(tmp_path, service, OLD)
        await board.run(lambda s: len(s.service.polls) > 2)
        assert not service.ranges
        assert any("ANSWER_MAC_WRONG" in line for line in board.console())


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        pytest.param(*case, marks=pytest.mark.codes(errors.code(case[2])))
        for case in (
            ("/v1/challenge", 500, "HTTP_STATUS"),
            ("/v1/login", 401, "LOGIN_REFUSED"),
            ("/v1/register", 409, "ALREADY_REGISTERED"),
            ("/v1/register", 202, "APPROVAL_PENDING"),
            ("/v1/poll", 429, "SERVER_BUSY"),
            ("/v1/poll", 200, "ANSWER_MAC_WRONG"),
            ("/v1/login", 200, "ANSWER_INVALID"),
        )
    ],
)
async def test_what_a_server_may_say(tmp_path: Path, path: str, status: int, name: str) -> None:
    """Each has its name in the log, and the board comes back when the server is well again."""
    with Service() as service:
        service.instead[path] = answers(status, 1, Retry_After="1")
        board = Station(tmp_path, service, OLD)
        await board.run(lambda s: len(s.service.polls) > 1)
        assert any(name in line for line in board.console())


async def test_a_download_that_is_throttled_is_put_off_and_not_failed(tmp_path: Path) -> None:
    """429, as the quotas of the cloud say it: no failure for a rollout to count, and the update comes."""
    with Service() as service:
        service.release(full(NEW))
        service.instead["/v1/packages"] = answers(429, 2, Retry_After="1")
        board = Station(tmp_path, service, OLD)
        await board.run(reported("confirmed"))
        assert any("SERVER_BUSY" in line for line in board.console())
    assert {report["state"] for report in service.reports} & {"failed", "reverted"} == set()


async def test_the_second_server_serves_where_the_first_is_down(tmp_path: Path) -> None:
    with Service() as down:
        pass
    with Service() as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD, {"server": f"{down.url} {service.url}"})
        await board.run(reported("confirmed"))


async def test_production_refuses_plain_http(tmp_path: Path) -> None:
    with Service() as service:
        board = Station(tmp_path, service, OLD, {"dev": 0})
        with pytest.raises(AssertionError):
            await board.run(lambda s: bool(s.service.calls), seconds=2)


async def test_an_update_over_https(tmp_path: Path) -> None:
    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    with Service(context=context) as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD, {"dev": 0, "ca": ca.cert_pem.bytes()})
        await board.run(reported("confirmed"))
    assert board.slot(1, len(NEW)) == NEW


async def test_a_board_without_network_goes_on_when_it_is_back(tmp_path: Path) -> None:
    with Service() as service:
        async with Link("127.0.0.1", service.port) as link:
            service.release(full(NEW))
            board = Station(tmp_path, service, OLD, {"server": f"http://127.0.0.1:{link.port}"})
            link.up = False
            with pytest.raises(AssertionError):
                await board.run(lambda s: bool(s.service.polls), Faults(), seconds=3)
            link.up = True
            await board.run(reported("confirmed"))


@pytest.mark.codes(302)
async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    def asleep(_: Service, __: bytes) -> None:
        time.sleep(1.5)

    with Service() as service:
        service.instead["/v1/challenge"] = asleep
        board = Station(tmp_path, service, OLD, {"timeout": 1})
        await board.run(lambda s: any("SERVER_TIMEOUT" in line for line in s.console()))


@pytest.mark.codes(303)
async def test_a_server_of_another_ca_is_refused_by_name(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with Service(context=context) as service:
        board = Station(tmp_path, service, OLD, {"ca": trustme.CA().cert_pem.bytes()})
        await board.run(lambda s: any("TLS_REFUSED" in line for line in s.console()))
        assert not service.calls


@pytest.mark.codes(311)
async def test_plain_http_is_refused_by_name(tmp_path: Path) -> None:
    app = b"async def main(agent):\n    agent.log._echo = True\n"
    with Service() as service:
        board = Station(tmp_path, service, image("1.0.0", {"app.py": app}), {"dev": 0})
        await board.run(lambda s: any("PLAIN_HTTP_REFUSED" in line for line in s.console()))
