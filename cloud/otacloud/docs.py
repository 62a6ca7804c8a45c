"""The reference pages of the service, generated: settings and API."""

import types
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args, get_origin

from otacloud.app import build_services, create_app
from otacloud.settings import Settings


def settings_page() -> str:
    """docs/settings.md: every setting with its type, default and meaning."""
    lines = [
        "# Settings of the service",
        "",
        "Set them in the environment. `driblet serve` has options for the most usual ones.",
        "",
        "| variable | type | default | |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{field.default}`"
        row = (f"`DRIBLET_{name.upper()}`", _kind(field.annotation), default, field.description or "")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _kind(annotation: Any) -> str:
    """The name of a type; that of its first member where it may be left out."""
    if isinstance(annotation, types.UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return ", ".join(get_args(annotation))
    names = {
        "SecretStr": "secret text",
        "str": "text",
        "int": "number",
        "bool": "true or false",
        "Path": "path",
    }
    name: str = annotation.__name__
    return names.get(name, name)


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI document of the service."""
    with TemporaryDirectory() as folder:
        document: dict[str, Any] = create_app(build_services(Settings(data=Path(folder)))).openapi()
    return document


def api_page() -> str:
    """docs/api.md: every call with what it takes and gives. The running service has it as /openapi.json."""
    document = schema()
    lines = [
        "# API of the service",
        "",
        "Calls under `/api/v1` need `Authorization: Bearer TOKEN`; those under `/v1` are for boards",
        "(bootloader_spec/PROTOCOL.md). A refusal is `{error, code, message, evidence, remedy}`: errors.md.",
        "A running service has the whole as `/openapi.json`.",
    ]
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            lines += ["", f"## `{method.upper()} {path}`", call["description"], ""]
            lines += _call(call)
    for name, model in document["components"]["schemas"].items():
        if "properties" in model and not name.startswith(("HTTP", "Validation")):
            lines += ["", f"### {name}", *_model(model)]
    return "\n".join(lines) + "\n"


def _call(call: dict[str, Any]) -> list[str]:
    lines = []
    for given in call.get("parameters", []):
        needed = "" if given.get("required") else ", may be left out"
        text = f": {given['description']}" if "description" in given else ""
        lines.append(f"- {given['in']} `{given['name']}` ({_type(given['schema'])}{needed}){text}")
    body = call.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        lines.append(f"- body {_type(body['schema'])}")
    for status, answer in call["responses"].items():
        content = answer.get("content", {}).get("application/json")
        if status.startswith("2"):
            lines.append(f"- answers {status}" + (f" {_type(content['schema'])}" if content else ""))
    return lines


def _model(model: dict[str, Any]) -> list[str]:
    needed = model.get("required", [])
    lines = [model["description"]] if "description" in model else []
    for name, field in model["properties"].items():
        optional = "" if name in needed else ", may be left out"
        text = f": {field['description']}" if "description" in field else ""
        lines.append(f"- `{name}` ({_type(field)}{optional}){text}")
    return lines


def _type(field: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in field:
        return str(field["$ref"].rsplit("/", 1)[1])
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "prefixItems" in field:
        return "list of " + ", ".join(_type(part) for part in field["prefixItems"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    return str(field.get("type", "any"))
