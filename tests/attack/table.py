"""All attacks, in the order of docs/security.md. `python -m tests.attack.table` prints the page's tables."""

from itertools import groupby

from tests.attack import from_bundles, from_bytes, from_keys, from_makers, from_servers, from_time

_MODULES = (from_makers, from_keys, from_time, from_bytes, from_bundles, from_servers)
CASES = [case for module in _MODULES for group in module.GROUPS for case in group()]


def tables() -> str:
    """A heading and a table for each kind of attack."""
    lines: list[str] = []
    for row, cases in groupby(CASES, lambda case: case.row):
        lines += [f"### {row[0].upper()}{row[1:]}", "| case | what it does | ends with |", "|---|---|---|"]
        lines += [f"| `{case.name}` | {case.what} | `{case.error}` |" for case in cases] + [""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables())
