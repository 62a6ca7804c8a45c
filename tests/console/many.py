"""A service with a hundred thousand devices, written straight into its database."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

STATES = ("confirmed",) * 90 + ("idle",) * 5 + ("downloading", "applying", "reverted", "failed", "deferred")
VERSIONS = ("2.0.0",) * 6 + ("1.1.0",) * 3 + ("1.0.0",)
BATCH = 10_000


def fill(database: Path | str, count: int, now: int) -> None:
    """`count` approved devices of product 1, in every state, on three releases."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        for seq, version in enumerate(("1.0.0", "1.1.0", "2.0.0"), 1):
            connection.execute(
                "INSERT INTO releases (tenant_id, product_id, version, seq, board, chip, image_sha256,"
                " image_size, notes, created_at) VALUES (1, 1, ?, ?, 'LINUX_HOST', 65280, ?, 400000, '', ?)",
                (version, seq, f"{seq:064x}", now - 86_400 * (40 - 10 * seq)),
            )
        rows = (_device(number, now) for number in range(count))
        connection.executemany(
            "INSERT INTO devices (tenant_id, product_id, dn, tags, origin, access, generation,"
            " board, chip, version, image_sha256, slot, seq, agent, staging, ram, codecs, inventory, state,"
            " state_at, step, code, detail, last_report, created_at, ds_sealed)"
            " VALUES (1, 1, ?, '[]', 'dynamic', 'approved', 1, 'LINUX_HOST', 65280, ?, ?, 'ota_0', ?, 1,"
            " 262144, 32768, '[0, 1, 2, 3]', ?, ?, ?, ?, ?, '', 1, ?, ?)",
            rows,
        )
        connection.execute(
            "INSERT INTO seen SELECT id, state_at FROM devices WHERE product_id = 1 AND state_at IS NOT NULL"
        )


def _device(number: int, now: int) -> tuple[object, ...]:
    version = VERSIONS[number % 10]
    seq = {"1.0.0": 1, "1.1.0": 2, "2.0.0": 3}[version]
    state = STATES[number * 7919 % 100]
    step = 42 if state in ("downloading", "applying") else 0
    code = 501 if state in ("reverted", "failed") else 0
    said = json.dumps({"region": "eu" if number % 3 else "us"})
    seen = now - number * 613 % 86_400
    image = f"{seq:064x}"
    return (
        *(f"device-{number:06}", version, image, seq, said, state, seen, step, code),
        *(now - 86_400, bytes(92)),
    )
