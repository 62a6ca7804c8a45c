"""Pictures of pages: few colours, small files, and written anew only where the page is another one."""

import hashlib
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import otacloud.console
from PIL import Image

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "docs" / "screenshots"
STYLE = Path(otacloud.console.__file__).parent / "static" / "style.css"
COLOURS = 256

# What differs between two runs that show the same: times, durations, counters, hashes, secrets.
_PASSING = (
    re.compile(r"<time\b.*?</time>", re.S),
    re.compile(r"\b(?=[\w-]*\d)[0-9a-f]{8,}\b|drb_[\w-]+"),
    re.compile(r"\d[\d.,:]*(?: ?(?:s|min|h|d|ms|B|kB|MB|KiB|%)\b)?"),
)


def small(png: bytes) -> bytes:
    """The same picture with a palette of its most used colours: less than half the bytes.

    By use and not by likeness: a thin green ring is a colour of its own, shades of letters are many.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    counted = picture.getcolors(picture.width * picture.height) or []
    used = [colour for _, colour in sorted(counted, reverse=True)[:COLOURS]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in used for part in colour])  # type: ignore[union-attr]
    made = io.BytesIO()
    few = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    few.save(made, "PNG", optimize=True)
    return made.getvalue()


def made_of(html: str) -> str:
    """A digest of what a page looks like: what is in its frame without what passes, and its style."""
    html = html[html.index("<main") :]
    for passing in _PASSING:
        html = passing.sub("#", html)
    return hashlib.sha256(html.encode() + STYLE.read_bytes()).hexdigest()[:16]


@dataclass
class Album:
    """The folder of pictures; index.json says what each of them was made of."""

    folder: Path = SHOTS
    new: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        index = self.folder / "index.json"
        self.old: dict[str, str] = json.loads(index.read_text()) if index.is_file() else {}

    def put(self, name: str, html: str, shots: dict[str, bytes]) -> None:
        """Takes the pictures of one page, look by look, if the page is another one than in the folder."""
        self.new[name] = made_of(html)
        files = {self.folder / f"{name}-{look}.png": png for look, png in shots.items()}
        if self.old.get(name) == self.new[name] and all(file.is_file() for file in files):
            return
        for file, png in files.items():
            file.write_bytes(small(png))
            self.written.append(file.name)

    def close(self) -> None:
        """Leaves what was seen in this run, and nothing of pages that are gone."""
        kept = {f"{name}-" for name in self.new}
        for file in self.folder.glob("*.png"):
            if not any(file.name.startswith(name) for name in kept):
                file.unlink()
        index = dict(sorted(self.new.items()))
        (self.folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
