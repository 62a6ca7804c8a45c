"""The address-aware decoder against the reference encoder, on random images and patches."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otaboards import runtime
from otaspec import address
from otaspec.errors import PatchError

from tests.spec.fuzz_address import bases, cases, outcome
from tests.spec.memory import New, Old, Source, decode
from tests.spec.patchimages import CPUS, random_patch
from tests.spec.patchref import Op, Patch, esp_checksum

SPEC = Path(__file__).parents[2] / "bootloader_spec"
SHAPES = st.fixed_dictionaries(
    {"explicit": st.booleans(), "mix": st.booleans(), "elide": st.booleans(), "block": st.just(0)}
)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1 << 30), st.sampled_from(CPUS), SHAPES)
def test_there_and_back(seed: int, cpu: int, shape: dict[str, int]) -> None:
    patch = random_patch(seed, cpu, **shape, size=2000)
    assert decode(patch.old, patch.encode(), len(patch.new)) == patch.new


@pytest.mark.slow
@settings(deadline=None, max_examples=600)
@given(st.integers(0, 1 << 30), st.sampled_from(CPUS), SHAPES)
def test_there_and_back_at_length(seed: int, cpu: int, shape: dict[str, int]) -> None:
    patch = random_patch(seed, cpu, **shape, size=9000)
    assert decode(patch.old, patch.encode(), len(patch.new)) == patch.new


@pytest.mark.parametrize("size", [34, 4095, 4096, 4097, 4121, 4129, 4130, 8192])
def test_the_elided_end_may_cross_a_sector(size: int) -> None:
    old = random_patch(1, 1, explicit=False, mix=False, elide=False, block=0, size=2000).old
    new = bytes(size - 33)
    patch = Patch(old, new + esp_checksum(new, []), 1, [Op(size - 33, 0, 0)], elide=True)
    assert decode(old, patch.encode(), size) == patch.new


@pytest.mark.parametrize(
    ("cpu", "elide"), [pytest.param(c, c % 2 == 1, marks=pytest.mark.slow if c else ()) for c in CPUS]
)
def test_blocks_and_resume(cpu: int, elide: bool) -> None:
    patch = random_patch(cpu, cpu, explicit=False, mix=True, elide=elide, block=16, size=150000)
    data = patch.encode()
    assert decode(patch.old, data, len(patch.new)) == patch.new
    for start in range(0, len(patch.new) + 1, 65536):
        new = New(len(patch.new), patch.new[:start])
        for _ in address.decode({1: 1, 2: 1}, Old(patch.old), Source(data), new, 1 << 20, start):
            pass
        assert new.data == patch.new


def test_resume_elsewhere_is_refused() -> None:
    patch = random_patch(1, 1, explicit=False, mix=False, elide=False, block=16, size=20000)
    with pytest.raises(PatchError):
        list(
            address.decode(
                {1: 1, 2: 0}, Old(patch.old), Source(patch.encode()), New(len(patch.new)), 1 << 20, 4096
            )
        )


def test_no_mutated_patch_gets_through() -> None:
    for patch, data in cases(400, seed=1):
        outcome(patch, data)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_mutated_patch_gets_through_at_length(seed: int) -> None:
    for patch, data in cases(5000, seed=2 + seed):
        outcome(patch, data)


@pytest.mark.parametrize(
    ("native", "count"),
    [(True, 100), (False, 100), *(pytest.param(n, 2000, marks=pytest.mark.slow) for n in (True, False))],
)
def test_micropython_says_the_same(tmp_path: Path, native: bool, count: int) -> None:
    lines = []
    made = bases()
    for patch, data in [*made, *cases(count, seed=9)]:
        found = outcome(patch, data)
        words = (
            patch.old.hex(),
            data.hex(),
            str(len(patch.new)),
            found.hex() if isinstance(found, bytes) else str(found),
        )
        lines.append(",".join(words) + "\n")
    file = tmp_path / "cases"
    file.write_text("".join(lines))
    micropython = runtime.find()
    tree = runtime.compile_tree([SPEC / "otaspec"], arch=micropython.arch if native else None)
    run = micropython.run(
        Path(__file__).parent / "device" / "decode_cases.py", [str(file)], path=[tree], timeout=300
    )
    assert (run.stdout, run.stderr) == (f"{len(lines)} cases\n", "")
