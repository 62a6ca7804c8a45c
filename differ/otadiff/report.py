"""What `driblet diff` says of a package, in lines of at most 80 columns."""

from otadiff.build import Package
from otadiff.codecs import Encoded, Region
from otadiff.plan import name_of

# part: (what people call it, what it is)
WORDS = {
    "header": ("header", "version, processor, block sizes"),
    "head": ("segments", "the segments of both images"),
    "map": ("map", "how far code and data moved, by address"),
    "op counts": ("literal runs", "how many new bytes come next"),
    "op lengths": ("copy lengths", "how many bytes are copied next"),
    "op sources": ("copy sources", "where they are copied from"),
    "literals": ("literals", "new bytes, sent as they are"),
    "gaps": ("gaps", "how far it is to the next exception"),
    "exceptions": ("exceptions", "copied units that come out otherwise"),
    "image": ("image", "the image as it is"),
    "compressed image": ("image", "the image, compressed"),
    "compressed records": ("records", "differences and new bytes, compressed"),
}


_SAME = (
    "OLD and NEW are the same image: a board that runs it takes the new version's",
    "name and writes nothing. Did you mean another file?",
)


def summary(made: Package, output: str) -> list[str]:
    """The package, what it costs the board, and where the patch's bytes went."""
    facts = made.facts()
    new_size, package_size, patch_size = (facts[f"{name}_size"] for name in ("new", "package", "patch"))
    others = sorted((size, name) for name, size in facts["tried"].items() if name != facts["codec"])
    total, decode, flash = (
        _seconds(*facts["estimated_seconds"][name]) for name in ("total", "decode", "flash")
    )
    blocks = ", in blocks: too large to be staged" if facts["blocks"] else ""
    return [
        f"{output}: {facts['product']} {facts['version']}, release {facts['seq']}, for {facts['board']}",
        *(_SAME if facts["same"] else ()),
        f"image    {new_size:>10,} bytes",
        f"package  {package_size:>10,} bytes, {package_size / new_size:.2%} of the image",
        *([f"bundle   {facts['bundle_size']:>10,} bytes"] if facts["bundle_size"] else []),
        f"patch    {patch_size:>10,} bytes, codec {facts['codec']}{blocks}",
        *(f"         {size:>10,} {_part(name)}" for name, size in facts["parts"].items() if size),
        *(f"others   {size:>10,} with {name}" for size, name in others),
        f"decoder  {facts['decoder_ram']:>10,} bytes of memory",
        f"board    {total:>10} seconds (estimate, without the download):",
        f"         {decode:>10} to decode and verify",
        f"         {flash:>10} to erase and write flash",
        f"proved   {facts['decoder']} rebuilt the image from it in {facts['apply_seconds']:.2f} s",
    ]


def explanation(regions: list[Region], encoded: Encoded) -> list[str]:
    """The dearest regions of the new image: a table, then what its words mean."""
    if not regions:
        return ["", f"Codec {name_of(encoded.codec)} keeps no account of what regions cost."]
    patch_size = len(encoded.payload)
    named = sum(region.size for region in regions)
    lines = [
        "",
        f"What costs most: {named:,} of {patch_size:,} bytes are for {_regions(len(regions))} of NEW.",
        f"{'offset':<17}  {'address':<21}  {'segment':<7} {'bytes':>9}  mostly",
    ]
    lines += [_row(region) for region in regions]
    dominant = sorted({region.dominant for region in regions})
    return [*lines, *(f"{WORDS[part][0]}: {WORDS[part][1]}" for part in dominant)]


def _row(region: Region) -> str:
    place = f"0x{region.offset:06x}-0x{region.end - 1:06x}"
    address = "-"
    if region.address is not None:
        address = f"0x{region.address:08x}-0x{region.address + region.end - region.offset - 1:08x}"
    share = region.parts[region.dominant] / region.size
    what = f"{WORDS[region.dominant][0]} {share:.0%}"
    return f"{place:<17}  {address:<21}  {region.segment:<7} {region.size:>9,}  {what}"


def _regions(count: int) -> str:
    return "1 region" if count == 1 else f"{count} regions"


def _part(name: str) -> str:
    short, words = WORDS[name]
    return f"{short}: {words}"


def _seconds(least: float, most: float) -> str:
    low, high = round(least), round(most)
    return f"{low}" if low == high else f"{low}-{high}"
