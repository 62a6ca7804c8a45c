"""Rules of dynamic groups."""

from typing import Any

import pytest
from otacloud.rules import RuleWrong, holds, order, parse

FACTS: dict[str, Any] = {
    **{"dn": "kitchen", "board": "LINUX_HOST", "version": "1.9.0", "seq": 7, "tags": ["beta", "eu"]},
    "inventory": {"region": "eu", "free": 120, "usb": True, "list": [1]},
}


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("board = LINUX_HOST", True),
        ("board != LINUX_HOST", False),
        ("tags has beta and tags has eu", True),
        ("tags has beta AND tags has us", False),
        ("version < 1.10.0", True),
        ("version >= 1.9.0", True),
        ("version > 1.9.0", False),
        ("seq <= 7", True),
        ("inventory.region = 'eu'", True),
        ("inventory.free > 99.5", True),
        ("inventory.usb = true", True),
        ("inventory.missing = x", False),
        ("inventory.missing != x", True),
        ("inventory.list = 1", False),
        ("dn has kitchen", False),
    ],
)
def test_holds(rule: str, fits: bool) -> None:
    assert holds(parse(rule), FACTS) is fits


@pytest.mark.parametrize(
    "text", ["", "board", "board =", "colour = red", "a = b or c = d", "dn = x and", "x" * 9]
)
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(RuleWrong):
        parse(text)


def test_order_is_that_of_versions() -> None:
    ordered = ["1.0.0", "1.2", "1.9.0", "1.10.0", "1.10.0-rc1", "2", "10"]
    assert sorted(ordered, key=order) == ordered
