"""Servers that send without end, slowly, or nonsense."""

import json
from collections.abc import Iterator

from tests.attack.cases import GOOD, HEAD, PATCH, Case, _etag, downloads, http, sends


def _endless() -> Iterator[Case]:
    row = "endless data"
    line = b"X-A: " + b"a" * 900 + b"\r\n"
    kilo = b"x" * 1024
    yield Case(
        row,
        "image-without-end",
        "PACKAGE_TRAILING_BYTES",
        "a body that goes on after the image",
        later=True,
        **downloads(http(GOOD, _etag(), length=False), (kilo, -1, 0)),
    )
    yield Case(
        row,
        "chunks-without-end",
        "PACKAGE_TRAILING_BYTES",
        "the same in chunks",
        later=True,
        **downloads(
            http(b"", _etag(), "Transfer-Encoding: chunked", length=False),
            b"%x\r\n" % len(GOOD) + GOOD + b"\r\n",
            (b"400\r\n" + kilo + b"\r\n", -1, 0),
        ),
    )
    yield Case(
        row,
        "patch-without-end",
        "PACKAGE_TRAILING_BYTES",
        "a body that goes on after the patch",
        PATCH,
        later=True,
        replies={"packages": sends(http(PATCH, _etag(PATCH), length=False), (kilo, -1, 0))},
    )
    yield Case(
        row,
        "manifest-of-a-gigabyte",
        "MANIFEST_TOO_LARGE",
        "a length field of 2^30",
        GOOD[:4] + (1 << 30).to_bytes(4, "little") + GOOD[8:],
    )
    yield Case(
        row,
        "manifest-of-8193",
        "MANIFEST_TOO_LARGE",
        "a length field of one too many",
        GOOD[:4] + (8193).to_bytes(4, "little") + GOOD[8:].ljust(9000, b"x"),
    )
    yield Case(
        row,
        "headers-without-end",
        "ANSWER_INVALID",
        "header after header",
        **downloads(b"HTTP/1.1 200 OK\r\n", (line, -1, 0)),
    )
    yield Case(
        row,
        "one-endless-header",
        "ANSWER_INVALID",
        "a header line without end",
        **downloads(b"HTTP/1.1 200 OK\r\nX-A: ", (kilo, -1, 0)),
    )
    yield Case(
        row,
        "answer-without-end",
        "ANSWER_INVALID",
        "a poll's answer of more than 16 KiB",
        GOOD,
        replies={"poll": sends((b'{"a": "', 1, 0), (kilo, 17, 0), (b'"}', 1, 0))},
    )
    yield Case(
        row,
        "log-in-without-end",
        "ANSWER_INVALID",
        "a log-in answer of unknown length",
        GOOD,
        replies={"login": sends(http(b"", length=False), (kilo, -1, 0))},
    )
    yield Case(
        row,
        "nested-answer",
        "ANSWER_INVALID",
        "8,000 brackets for a poll's answer",
        GOOD,
        replies={"poll": sends((b"[", 4000, 0), (b"]", 4000, 0))},
    )


def _slow() -> Iterator[Case]:
    row = "slow retrieval"
    head = http(b"", _etag(), f"Content-Length: {len(GOOD)}", length=False)
    yield Case(
        row,
        "a-byte-a-second",
        "DOWNLOAD_TOO_SLOW",
        "one byte a second",
        later=True,
        **downloads(head + GOOD[:HEAD], (b"\0", -1, 1000)),
    )
    yield Case(
        row,
        "manifest-a-byte-a-second",
        "DOWNLOAD_TOO_SLOW",
        "the same from the first byte on",
        **downloads(head + GOOD[:8], (b"\0", -1, 1000)),
    )
    yield Case(
        row,
        "just-fast-enough",
        "DOWNLOAD_TOO_SLOW",
        "above the least rate, beyond the deadline",
        later=True,
        **downloads(head + GOOD[:HEAD], (bytes(130), -1, 1000)),
        settings={"deadline": 40},
    )
    yield Case(
        row,
        "silence",
        "SERVER_TIMEOUT",
        "a body that stops and stays open",
        later=True,
        **downloads(head + GOOD[: HEAD + 700], (b"\0", -1, 1 << 28)),
    )
    yield Case(
        row,
        "silent-log-in",
        "SERVER_TIMEOUT",
        "a log-in that is never answered",
        GOOD,
        replies={"login": sends((b"H", -1, 1 << 28))},
    )
    yield Case(
        row,
        "cut-short",
        "SERVER_UNREACHABLE",
        "the connection ends in the middle of the image",
        later=True,
        **downloads(head + GOOD[: HEAD + 700]),
    )


def _server() -> Iterator[Case]:
    row = "hostile server"
    for name, status, error in (
        ("not-there", "404 Not Found", "HTTP_STATUS"), ("redirect", "302 Found", "HTTP_STATUS"),
        ("server-error", "500 Oops", "HTTP_STATUS"), ("busy", "503 Busy", "SERVER_BUSY"),
        ("precondition", "412 No", "PACKAGE_CHANGED"), ("range", "416 No", "PACKAGE_TRUNCATED"),
    ):  # fmt: skip
        reply = http(b"", "Location: http://elsewhere/", "Retry-After: 5", status=status)
        yield Case(row, name, error, f"{status[:3]} for the package", **downloads(reply))
    yield Case(
        row,
        "smuggled-length",
        "ANSWER_INVALID",
        "two lengths of one body",
        **downloads(http(GOOD, _etag(), "Content-Length: 5")),
    )
    yield Case(
        row,
        "length-and-chunks",
        "ANSWER_INVALID",
        "a length and chunks of one body",
        **downloads(http(GOOD, _etag(), "Transfer-Encoding: chunked")),
    )
    yield Case(
        row,
        "bad-chunk",
        "ANSWER_INVALID",
        "a negative chunk",
        **downloads(http(b"-5\r\n", _etag(), "Transfer-Encoding: chunked", length=False)),
    )
    yield Case(
        row, "no-http", "ANSWER_INVALID", "an answer that is no HTTP", **downloads(b"SSH-2.0-x\r\n\r\n")
    )
    for name, offer, what in (
        ("file-url", {"url": "file:///etc/passwd"}, "an offer at file://"),
        ("split-url", {"url": "http://lab/x\r\nHost: y"}, "an offer whose URL breaks a line"),
        ("user-url", {"url": "http://user@elsewhere/"}, "an offer with a user in its URL"),
        ("long-url", {"url": "/" + "a" * 600}, "an offer with a URL of 600 bytes"),
        ("url-number", {"url": 7}, "a number for a URL"),
        ("etag-list", {"etag": ["a"]}, "a list for an ETag"),
        ("long-rollout", {"rollout": "r" * 65}, "a rollout's name of 65 bytes"),
    ):  # fmt: skip
        yield Case(row, name, "ANSWER_INVALID", what, GOOD, offer=offer)
    yield Case(
        row,
        "tls-without-a-ca",
        "TLS_REFUSED",
        "an offer at https:// where no CA is set",
        GOOD,
        offer={"url": "https://elsewhere/x"},
    )
    yield Case(
        row,
        "plain-http",
        "PLAIN_HTTP_REFUSED",
        "a server without TLS, outside of development mode",
        GOOD,
        settings={"dev": 0},
    )
    yield Case(row, "time-as-a-text", "ANSWER_INVALID", "a text for the time", GOOD, answer={"time": "now"})
    yield Case(
        row,
        "log-in-of-nothing",
        "ANSWER_INVALID",
        "a log-in answer without a token",
        GOOD,
        replies={"login": sends(http(b"{}"))},
    )
    yield Case(
        row,
        "token-breaks-a-line",
        "ANSWER_INVALID",
        "a token that would add a header",
        GOOD,
        replies={
            "login": sends(
                http(json.dumps({"token": "a\r\nX: y", "expires_in": 9, "last_report": 0}).encode())
            )
        },
    )


GROUPS = (
    _endless,
    _slow,
    _server,
)
