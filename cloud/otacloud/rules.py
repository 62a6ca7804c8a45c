"""Rules of dynamic groups: `board = LINUX_HOST and tags has beta and inventory.region = eu`. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ATTRIBUTES = ("dn", "board", "chip", "version", "slot", "seq", "agent", "tags")
_INVENTORY = "inventory."
_TERM = re.compile(r"""^\s*([\w.-]+)\s*(!=|<=|>=|=|<|>|\bhas\b)\s*("[^"]*"|'[^']*'|\S+)\s*$""")
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_PIECES = re.compile(r"\d+|[^\d.]+")
MAX_TERMS = 16


class RuleWrong(ValueError):  # noqa: N818 - names what was found
    """The text is no rule; the message says where."""


@dataclass(frozen=True)
class Term:
    attribute: str
    operator: str
    value: str


Rule = tuple[Term, ...]


def parse(text: str) -> Rule:
    """The terms of a rule, all of which must hold. RuleWrong."""
    terms = tuple(_term(part) for part in _AND.split(text.strip()))
    if len(terms) > MAX_TERMS:
        raise RuleWrong(f"more than {MAX_TERMS} terms")
    return terms


def _term(text: str) -> Term:
    match = _TERM.match(text)
    if match is None:
        raise RuleWrong(f"not `attribute operator value`: {text!r}")
    attribute, operator, value = match.groups()
    if attribute not in ATTRIBUTES and not attribute.startswith(_INVENTORY):
        raise RuleWrong(f"{attribute} is none of {', '.join(ATTRIBUTES)}, inventory.NAME")
    return Term(attribute, operator, value.strip("\"'"))


def order(value: str) -> tuple[tuple[int, int, str], ...]:
    """Orders versions as people do: 1.9.0 before 1.10.0; numbers before words."""
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in _PIECES.findall(value))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def holds(rule: Rule, facts: Mapping[str, Any]) -> bool:
    """Whether a device with `facts` is in the group. What it has not told fits only !=."""
    return all(_holds(term, facts) for term in rule)


def _holds(term: Term, facts: Mapping[str, Any]) -> bool:
    if term.attribute.startswith(_INVENTORY):
        value = facts.get("inventory", {}).get(term.attribute.removeprefix(_INVENTORY))
    else:
        value = facts.get(term.attribute)
    if term.operator == "has":
        return isinstance(value, list) and term.value in [str(each) for each in value]
    if value is None or isinstance(value, list | dict):
        return term.operator == "!="
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if term.operator in ("=", "!="):
        return (text == term.value) == (term.operator == "=")
    return _COMPARE[term.operator](order(text), order(term.value))
