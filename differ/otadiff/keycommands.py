"""Commands of key sets: what happens on the machine that is never online."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from otaboards import console
from otaspec import cose
from otaspec.errors import InputError, code

from otadiff import keysets
from otadiff.sign import PASSWORD, new_key, open_public, open_signer

keyset = typer.Typer(
    help="Key sets: who may sign releases, signed by root keys offline.", no_args_is_help=True
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="Key set.")]
_After = Annotated[Path | None, typer.Option(metavar="FILE", help="The set before; without it the first.")]


@keyset.command("new-key")
def keyset_new_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PEM file to write; must not be there.")],
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Make a root or signing key: P-256, readable by its owner only. DRIBLET_KEY_PASSWORD encrypts it.

    Example: driblet keyset new-key root-1.pem
    """
    made = new_key(file, os.environ.get(PASSWORD))
    if json:
        console.print_json({"file": str(file), "kid": made.kid.hex(), "public": made.public.hex()})
    else:
        console.out.print(f"{file}: key {made.kid.hex()}", markup=False)


@keyset.command("draft")
def keyset_draft(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Key set to write.")],
    after: _After = None,
    root: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Root key, public or private; repeat.")
    ] = None,
    threshold: Annotated[int | None, typer.Option(min=1, help="Roots that must sign. Default: most.")] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="KEY[@PRODUCT]", help="Signing key, for one product; repeat.")
    ] = None,
    revoke: Annotated[
        list[str] | None, typer.Option(metavar="KID", help="Id of a key that is revoked; repeat.")
    ] = None,
    seq_floor: Annotated[
        int | None, typer.Option(min=0, help="Set the boards' floor of seq, also downwards.")
    ] = None,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Write a key set that nobody has signed yet. What is not said stays as --after has it.

    Examples:

        driblet keyset draft -o 1.keys --root r1.pem --root r2.pem --root r3.pem --key release.pem@lamp

        driblet keyset draft -o 2.keys --after 1.keys --key new.pem@lamp --revoke 0123456789abcdef
    """
    said = keysets.Draft(
        roots=[open_public(each) for each in root] if root else None,
        threshold=threshold,
        keys=[_signing(each) for each in key] if key else None,
        revoked=[_kid(each) for each in revoke or ()],
        seq_floor=seq_floor,
    )
    made = keysets.draft(said, _read(after) if after else None)
    _write(output, made)
    _show(output, made, json)


@keyset.command("sign")
def keyset_sign(
    file: _File,
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="Root key: a PEM file, or file:PATH.")],
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Add the signature of one root. The file then goes to the next one, by whatever way.

    Example: driblet keyset sign 2.keys --key root-1.pem
    """
    signed = keysets.add_signature(_read(file), open_signer(key))
    _write(file, signed)
    _show(file, signed, json)


@keyset.command("show")
def keyset_show(file: _File, after: _After = None, json: Annotated[bool, console.JSON] = False) -> None:
    """Show a key set. With --after: exit status 1 unless a board that has that set would take this one.

    Example: driblet keyset show 2.keys --after 1.keys
    """
    data = _read(file)
    problem = keysets.check(data, _read(after)) if after else None
    _show(file, data, json, problem=console.error_fields(problem) if problem else None)
    if problem:
        if not json:
            console.out.print()
            console.show_error(problem, as_json=False)
        raise typer.Exit(1)


@keyset.command("freeze")
def keyset_freeze(
    file: _File,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Module to write.")] = Path(
        "root_keys.py"
    ),
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Write the module that a firmware has the set built in with.

    Example: driblet keyset freeze 1.keys -o root_keys.py
    """
    data = _read(file)
    _write(output, keysets.frozen(data).encode())
    _show(output, data, json)


def _signing(said: str) -> tuple[bytes, str]:
    uri, _, product = said.partition("@")
    return open_public(uri), product


def _kid(text: str) -> bytes:
    try:
        kid = bytes.fromhex(text)
    except ValueError:
        kid = b""
    if len(kid) != cose.KID_SIZE:
        raise InputError(code("KEY_INVALID"), f"{text[:40]} is no key id of 16 hex digits")
    return kid


def _show(file: Path, data: bytes, json: bool, **more: Any) -> None:
    found, signed = keysets.opened(data), [kid.hex() for kid in keysets.signers(data)]
    roots = {cose.kid(root).hex(): root.hex() for root in found.roots}
    keys = [{"kid": key.kid.hex(), "product": key.product} for key in found.keys]
    facts = {
        **{"file": str(file), "version": found.version, "threshold": found.threshold, "roots": list(roots)},
        **{"keys": keys, "revoked": [kid.hex() for kid in found.revoked], "seq_floor": found.seq_floor},
        **{"signed_by": signed},
    }
    if json:
        console.print_json(facts | more)
        return
    lines = [f"{file}: key set {found.version}, {found.threshold} of {len(roots)} roots sign the next one"]
    lines += [f"  root     {kid}{'  has signed' if kid in signed else ''}" for kid in roots]
    lines += [f"  signs    {key['kid']}  {key['product'] or 'any product'}" for key in keys]
    lines += [f"  revoked  {kid.hex()}" for kid in found.revoked]
    lines += [f"  signed by {kid}, no root of this set" for kid in signed if kid not in roots]
    if found.seq_floor is not None:
        lines.append(f"  sets the boards' floor of seq to {found.seq_floor}")
    for line in lines:
        console.out.print(line, markup=False)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise InputError(code("FILE_UNREADABLE"), f"{file}: {fault.strerror}"[:120]) from fault


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as fault:
        raise InputError(code("FILE_UNREADABLE"), f"{file}: {fault.strerror}"[:120]) from fault
