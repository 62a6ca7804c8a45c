"""The folders that a newcomer is promised."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_each_top_level_folder_holds_its_package() -> None:
    packages = {
        "bootloader_spec/otaspec",
        "firmware/otaagent",
        "differ/otadiff",
        "cloud/otacloud",
        "host_sim/otasim",
        "boards/otaboards",
        "driblet",
    }
    assert {p for p in packages if (ROOT / p / "__init__.py").is_file()} == packages
