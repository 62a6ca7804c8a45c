"""The agent's HTTP client under MicroPython, against servers on real sockets."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from .conftest import Device
from .servers import RawServer, ok, send

UNREACHABLE, TIMEOUT, TLS, INVALID, PLAIN = 301, 302, 303, 305, 311
BODY = bytes(range(256)) * 40


def get(device: Device, *cases: "dict[str, Any]", **setup: Any) -> list[dict[str, Any]]:
    lines = device("http_get.py", json.dumps({"cases": cases, **setup}) + "\n").splitlines()
    return [json.loads(line) for line in lines]


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x;why=not\r\n%s\r\n" % (len(c), c) for c in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


GOOD = {
    "length": (send(ok(BODY)), BODY),
    "length in pieces": (send(*(ok(BODY)[i : i + 999] for i in range(0, 10400, 999)), pause=0.001), BODY),
    "chunked": (send(chunked(BODY[:1], BODY[1:5000], BODY[5000:])), BODY),
    "chunked with trailers": (send(chunked(BODY, trailer=b"X-A: b\r\n")), BODY),
    "until close": (send(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, keep=False), BODY),
    "100 before": (send(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"x")), b"x"),
    "no body": (send(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
    "bare newlines": (send(b"HTTP/1.1 200 OK\ncontent-length:  2 \n\nhi"), b"hi"),
}


@pytest.mark.parametrize("into", [None, 7, 4096])
def test_bodies_arrive_whole(device: Device, into: int | None) -> None:
    paths = {f"/{i}": reaction for i, (reaction, _) in enumerate(GOOD.values())}
    with RawServer(paths) as server:
        how = {"into": into} if into else {}
        answers = get(device, *({"url": server.url + path, **how} for path in paths))
    assert [bytes.fromhex(a["body"]) for a in answers] == [body for _, body in GOOD.values()]


BAD = {
    "garbage": (send(b"SSH-2.0-OpenSSH\r\n"), INVALID),
    "endless header line": (send(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000), INVALID),
    "endless headers": (send(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000), INVALID),
    "two lengths": (send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi"), INVALID),
    "length and chunked": (
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        INVALID,
    ),
    "negative length": (send(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n"), INVALID),
    "unknown coding": (send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), INVALID),
    "header without colon": (send(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), INVALID),
    "chunk size": (send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), INVALID),
    "huge chunk size": (
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n"),
        INVALID,
    ),
    "chunk too long": (
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"),
        INVALID,
    ),
    "body above the limit": (send(ok(b"x" * 101)), INVALID),
    "chunks above the limit": (send(chunked(b"x" * 60, b"x" * 60)), INVALID),
    "cut in the head": (send(b"HTTP/1.1 200", keep=False), UNREACHABLE),
    "cut in the body": (send(ok(b"x" * 90)[:-1], keep=False), UNREACHABLE),
    "cut in a chunk": (send(chunked(b"x" * 90)[:-50], keep=False), UNREACHABLE),
    "silent": (lambda *_: True, TIMEOUT),
    "silent in the body": (send(ok(b"x" * 90)[:-1]), TIMEOUT),
}


def test_bad_answers_have_their_codes(device: Device) -> None:
    paths = {f"/{i}": reaction for i, (reaction, _) in enumerate(BAD.values())}
    with RawServer(paths) as server:
        cases = [{"url": server.url + path, "limit": 100} for path in paths]
        answers = get(device, *cases, timeout=0.5)
    assert {n: a.get("error") for n, a in zip(BAD, answers, strict=True)} == {
        n: code for n, (_, code) in BAD.items()
    }


def test_nobody_listens(device: Device) -> None:
    with RawServer({}) as server:
        pass
    assert get(device, {"url": server.url + "/"})[0]["error"] == UNREACHABLE


@pytest.mark.parametrize("url", ["ftp://a/b", "http:///x", "https://u@h/", "http://h:port/", "nothing"])
def test_what_is_no_url(device: Device, url: str) -> None:
    assert get(device, {"url": url})[0]["error"] == INVALID


def test_a_connection_is_kept_and_replaced_when_it_went_stale(device: Device) -> None:
    reactions = {
        "/kept": send(ok(b"1")),
        "/cut": send(ok(b"2"), keep=False),
        "/said": send(ok(b"3", "Connection: close")),
    }
    with RawServer(reactions) as server:
        order = ["/kept", "/kept", "/cut", "/kept", "/said", "/kept"]
        answers = get(device, *({"url": server.url + path} for path in order))
        assert [a["body"] for a in answers] == ["31", "31", "32", "31", "33", "31"]
        assert server.connections == 3


REFUSED = (  # status, Retry-After: code, seconds
    ("404", "9", 101, 0),
    ("500", "9", 304, 0),
    ("429", "9", 312, 9),
    ("503", "31536000", 312, 86400),
    ("503", "Fri, 01 Jan 2027 00:00:00 GMT", 312, 0),
    ("503", "-1", 312, 0),
    ("429", "", 312, 0),
)


def test_what_a_busy_server_asks_for_is_known_and_bounded(device: Device) -> None:
    paths = {
        f"/{i}": send(f"HTTP/1.1 {status} No\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n".encode())
        for i, (status, after, _, _) in enumerate(REFUSED)
    }
    with RawServer(paths) as server:
        answers = get(device, *({"url": server.url + path} for path in paths))
    assert [tuple(a["refused"]) for a in answers] == [case[2:] for case in REFUSED]


def test_the_request_is_as_rfc_9112_wants_it(device: Device) -> None:
    with RawServer({"/a?b=c": send(ok(b"", 'ETag: "e"', "Driblet-Mac: 00", "X-Other: 1"))}) as server:
        body = "x" * 3000
        case = {
            "method": "POST",
            "url": server.url + "/a?b=c",
            "headers": {"Range": "bytes=1-"},
            "body": body,
        }
        answer = get(device, case)[0]
        head, _, sent = server.requests[0].decode().partition("\r\n\r\n")
    assert answer["headers"] == {"content-length": "0", "etag": '"e"', "driblet-mac": "00"}
    assert head.split("\r\n") == [
        "POST /a?b=c HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: driblet/1",
        "Range: bytes=1-",
        "Content-Length: 3000",
    ]
    assert sent == body


def test_plain_http_needs_the_development_flag(device: Device) -> None:
    with RawServer({"/": send(ok(b"x"))}) as server:
        assert get(device, {"url": server.url + "/"}, plain=False)[0]["error"] == PLAIN
        assert server.connections == 0


def _tls(ca: trustme.CA, certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def _certificates(name: str) -> tuple[trustme.CA, trustme.CA, trustme.LeafCert]:
    from datetime import UTC, datetime, timedelta

    right, other = trustme.CA(), trustme.CA()
    past = datetime.now(UTC) - timedelta(days=1)
    leaf = {
        "right": lambda: right.issue_cert("localhost"),
        "wrong CA": lambda: other.issue_cert("localhost"),
        "wrong host": lambda: right.issue_cert("somebody.example"),
        "expired": lambda: right.issue_cert("localhost", not_after=past),
    }[name]()
    return right, other, leaf


@pytest.mark.parametrize(
    ("certificate", "error"), [("right", None), ("wrong CA", TLS), ("wrong host", TLS), ("expired", TLS)]
)
@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_tls_trusts_the_pinned_ca_and_the_right_name_alone(
    device: Device, tmp_path: Path, certificate: str, error: int | None, form: str
) -> None:
    ca, _, leaf = _certificates(certificate)
    pem = ca.cert_pem.bytes()
    (tmp_path / "ca").write_bytes(ssl.PEM_cert_to_DER_cert(pem.decode()) if form == "DER" else pem)
    with RawServer({"/": send(ok(BODY))}, _tls(ca, leaf), "localhost") as server:
        answer = get(device, {"url": server.url + "/", "into": 1000}, ca=str(tmp_path / "ca"), plain=False)[0]
    assert answer.get("error") == error
    if not error:
        assert bytes.fromhex(answer["body"]) == BODY


def test_tls_to_a_plain_server_and_without_a_ca(device: Device, tmp_path: Path) -> None:
    (tmp_path / "ca").write_bytes(trustme.CA().cert_pem.bytes())
    with RawServer({"/": send(ok(b""))}) as server:
        url = server.url.replace("http", "https") + "/"
        # The server waits for the end of a head that never comes.
        assert get(device, {"url": url}, ca=str(tmp_path / "ca"), timeout=0.2)[0]["error"] == TIMEOUT
        assert get(device, {"url": url})[0]["error"] == TLS
