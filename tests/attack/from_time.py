"""Releases at the wrong time, in the wrong order, at the wrong board."""

import hashlib
from collections.abc import Iterator

from otaspec import journal

from tests.attack import forge
from tests.attack.bench import FLOOR, NEW, OLD, OLDER, TIME, app, delta, full, records, signed
from tests.attack.cases import GOOD, HEAD, OTHER, PATCH, PATCH_HEAD, Case, _etag, downloads, flip, http, sends


def _rollback() -> Iterator[Case]:
    row = "rollback"
    old = {"new": OLDER, "version": "0.9.0"}
    yield Case(
        row, "older-release", "SEQ_TOO_OLD", "a release from before, signed by us", full(seq=FLOOR - 1, **old)
    )
    yield Case(row, "same-seq", "SEQ_TOO_OLD", "another image under the seq that runs", full(seq=FLOOR))
    yield Case(row, "seq-1", "SEQ_TOO_OLD", "the very first release", full(seq=1, **old))
    yield Case(
        row,
        "newer-name-older-seq",
        "SEQ_TOO_OLD",
        "an old release called 9.9.9, offered as seq 4000",
        full(seq=3, **old | {"version": "9.9.9"}),
        offer={"seq": 4000, "version": "9.9.9"},
    )
    yield Case(
        row,
        "security-counter",
        "SECURE_VERSION_TOO_OLD",
        "new seq, security counter 1 where 2 runs",
        full(app("0.9.1", secure=1), secure_version=1),
    )
    yield Case(
        row,
        "security-counter-hidden",
        "SECURE_VERSION_TOO_OLD",
        "counter 2 in the manifest, 1 in the image",
        full(app("0.9.2", secure=1), secure_version=2),
        later=True,
    )
    yield Case(
        row,
        "session-of-an-older-manifest",
        "SEQ_TOO_OLD",
        "an open session, and an old release instead",
        full(seq=2, **old),
        nvs=records(session=(journal.SESSION, forge.session(GOOD))),
    )


def _replay() -> Iterator[Case]:
    row = "replay"
    blocked = {"images": [[hashlib.sha256(NEW).digest(), 9]]}
    yield Case(
        row,
        "the-running-release",
        "SEQ_TOO_OLD",
        "the package that the board installed last",
        full(OLD, seq=FLOOR, version="1.0.0"),
    )
    yield Case(
        row,
        "a-rejected-release",
        "RELEASE_BLOCKLISTED",
        "a release that failed its trial here",
        GOOD,
        nvs=records(blocked=(journal.BLOCKED, blocked)),
    )
    yield Case(
        row,
        "a-rejected-image-as-a-patch",
        "RELEASE_BLOCKLISTED",
        "the same image and seq, as a patch",
        PATCH,
        nvs=records(blocked=(journal.BLOCKED, blocked)),
    )
    yield Case(
        row,
        "again-and-again",
        "SIGNATURE_WRONG",
        "a package that fails, offered at every poll, to wear the flash",
        flip(GOOD, HEAD - 20),
        rounds=4,
    )
    yield Case(
        row, "an-old-answer", "ANSWER_MAC_WRONG", "an answer of this morning, replayed", GOOD, proof="replay"
    )
    yield Case(
        row,
        "an-answer-to-another-nonce",
        "ANSWER_MAC_WRONG",
        "a right answer to another question",
        GOOD,
        proof="for another nonce",
    )
    yield Case(
        row,
        "a-log-in-as-an-answer",
        "ANSWER_MAC_WRONG",
        "a MAC of the log-in in place of the answer's",
        GOOD,
        proof="as a log-in",
    )


def _freeze() -> Iterator[Case]:
    row = "freeze"
    yield Case(row, "no-mac", "ANSWER_MAC_WRONG", "'nothing new', without a MAC", GOOD, proof="none")
    yield Case(
        row,
        "mac-by-another-secret",
        "ANSWER_MAC_WRONG",
        "by one who does not know the device's secret",
        GOOD,
        proof="with another secret",
    )
    yield Case(
        row,
        "mac-of-another-board",
        "ANSWER_MAC_WRONG",
        "an answer that was for the neighbour",
        GOOD,
        proof="of another board",
    )
    yield Case(
        row,
        "answer-changed",
        "ANSWER_MAC_WRONG",
        "a right answer, the offer in it changed",
        GOOD,
        proof="changed after",
    )
    yield Case(
        row,
        "expired",
        "MANIFEST_EXPIRED",
        "a release whose time is over, to keep a hole open",
        full(not_after=TIME - 3600),
    )
    yield Case(
        row,
        "log-in-refused",
        "LOGIN_REFUSED",
        "a server that does not let the board in",
        GOOD,
        replies={"login": sends(http(b'{"error": "LOGIN_REFUSED"}', status="401 No"))},
    )
    yield Case(
        row,
        "approval-for-ever",
        "APPROVAL_PENDING",
        "a server that keeps the board waiting",
        GOOD,
        replies={"login": sends(http(b"{}", status="202 Accepted"))},
    )
    yield Case(
        row,
        "busy-for-ever",
        "SERVER_BUSY",
        "503 with Retry-After of a year",
        GOOD,
        replies={"login": sends(http(b"{}", "Retry-After: 31536000", status="503 Busy"))},
    )


def _fast_forward() -> Iterator[Case]:
    row = "fast-forward"
    for name, seq in (("just-too-far", FLOOR + 4097), ("to-the-end", (1 << 31) - 1)):
        yield Case(row, name, "SEQ_JUMP_TOO_FAR", f"seq {seq:,}: no release could follow it", full(seq=seq))
    yield Case(row, "patch-to-the-end", "SEQ_JUMP_TOO_FAR", "the same, as a patch", delta(seq=1 << 30))


def _mix() -> Iterator[Case]:
    row = "mix-and-match"
    yield Case(
        row,
        "manifest-of-one-payload-of-another",
        "PAYLOAD_HASH_WRONG",
        "two of our own releases, crossed",
        PATCH[:PATCH_HEAD]
        + delta(OTHER)[PATCH_HEAD:][: len(PATCH) - PATCH_HEAD].ljust(len(PATCH) - PATCH_HEAD, b"x"),
        later=True,
    )
    yield Case(
        row,
        "head-of-another-image",
        "IMAGE_HASH_WRONG",
        "signed, but the image's head is another's",
        full(payload_head=OTHER[:32]),
        later=True,
    )
    yield Case(
        row,
        "part-of-a-bundle",
        "NEEDS_NEWER_AGENT",
        "a manifest with components that this agent cannot install",
        signed(forge.with_pairs(GOOD, {12: [{0: 2, 1: "x", 2: 1, 3: bytes(32)}]})) + GOOD[HEAD:],
    )
    yield Case(
        row,
        "encrypted",
        "NEEDS_NEWER_AGENT",
        "a manifest with a field for encryption",
        signed(forge.with_pairs(GOOD, {13: {0: 1}})) + GOOD[HEAD:],
    )
    yield Case(
        row,
        "package-changes-under-way",
        "PACKAGE_CHANGED",
        "another object behind the same URL",
        later=True,
        **downloads(http(GOOD, 'ETag: "another"')),
    )
    yield Case(
        row,
        "weak-etag",
        "PACKAGE_CHANGED",
        "an ETag that promises no byte",
        later=True,
        **downloads(http(GOOD, "ETag: W/" + _etag()[6:])),
    )


def _wrong() -> Iterator[Case]:
    row = "wrong product, board, device, base"
    yield Case(row, "product", "PRODUCT_WRONG", "our release, of another product", full(product="toaster"))
    yield Case(row, "board", "BOARD_WRONG", "of another board of the product", full(board="ESP32_GENERIC"))
    yield Case(row, "chip", "CHIP_WRONG", "of another chip", full(chip=9))
    yield Case(row, "device", "DEVICE_WRONG", "bound to the neighbour", full(device="cellar"))
    yield Case(
        row,
        "chip-in-the-image",
        "TRIAL_NOT_BOOTABLE",
        "the manifest says this chip, the image another",
        later=True,
        package=full(app("1.1.0", chip=9)),
    )
    yield Case(
        row,
        "base",
        "BASE_WRONG",
        "a patch to another image than runs",
        delta(base_sha256=hashlib.sha256(OLDER).digest()),
    )
    yield Case(row, "base-size", "BASE_WRONG", "the right hash, another size", delta(base_size=len(OLD) + 1))
    yield Case(row, "codec", "CODEC_UNKNOWN", "a codec that this board has not", delta(payload_codec=99))
    yield Case(row, "agent", "NEEDS_NEWER_AGENT", "for an agent of level 99", full(min_agent=99))


GROUPS = (
    _rollback,
    _replay,
    _freeze,
    _fast_forward,
    _mix,
    _wrong,
)
