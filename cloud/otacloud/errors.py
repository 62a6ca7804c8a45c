"""Every refusal leaves the service in one form: {"error", "code", "message", "remedy"}."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from otaspec.errors import TABLE, OtaError, code, error
from otaspec.remedies import REMEDIES
from starlette.exceptions import HTTPException

from otacloud.schemas import Problem

# Codes whose status is not 400.
STATUS = {
    "LOGIN_REFUSED": 401,
    "TOKEN_INVALID": 401,
    "NOT_ALLOWED": 403,
    "APPROVAL_PENDING": 202,
    "NOT_FOUND": 404,
    "ALREADY_REGISTERED": 409,
    "VERSION_EXISTS": 409,
    "NAME_EXISTS": 409,
    "STATE_CONFLICT": 409,
    "REQUEST_TOO_LARGE": 413,
    "IMAGE_TOO_LARGE": 413,
    "SERVER_BUSY": 503,
    "INTERNAL_ERROR": 500,
}

_BY_STATUS = {
    **{404: "NOT_FOUND", 413: "REQUEST_TOO_LARGE", 401: "TOKEN_INVALID", 403: "NOT_ALLOWED"},
    429: "SERVER_BUSY",
}


def refuse(name: str, evidence: str = "") -> OtaError:
    """The exception for the error called `name`."""
    return error(code(name), evidence[:120])


def explain(number: int) -> dict[str, str]:
    """Name, cause and remedy of `number`, also of one that only a newer agent knows."""
    if number not in TABLE:
        return {
            "name": f"ERROR_{number}",
            "cause": "The board reported a number that this server does not know.",
            "remedy": "Update the server: its table of errors is older than the board's.",
        }
    cause, remedy = REMEDIES[number]
    return {"name": TABLE[number], "cause": cause, "remedy": remedy}


def describe(number: int, detail: str = "") -> Problem | None:
    """None for 0."""
    return Problem(code=number, detail=detail, **explain(number)) if number else None


def body(problem: OtaError) -> dict[str, Any]:
    """The JSON of an error answer."""
    text = explain(problem.code)
    message = f"{text['cause']} ({problem.evidence})" if problem.evidence else text["cause"]
    return {
        "error": problem.name,
        "code": problem.code,
        "message": message,
        "evidence": problem.evidence,
        "remedy": text["remedy"],
    }


def answer(problem: OtaError) -> JSONResponse:
    status = STATUS.get(problem.name, 400)
    headers = {"Retry-After": "5"} if status == 503 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body(problem), status, headers)


def answer_status(problem: HTTPException) -> JSONResponse:
    """An exception that has its own status, and may say when to come again."""
    named = refuse(_BY_STATUS.get(problem.status_code, "REQUEST_INVALID"), str(problem.detail))
    return JSONResponse(body(named), problem.status_code, problem.headers)


def install(app: FastAPI) -> None:
    """Makes `app` answer every exception in this form; front.py does it for those that nobody expected."""

    @app.exception_handler(OtaError)
    async def on_ota_error(_request: Request, problem: OtaError) -> JSONResponse:
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(_request: Request, problem: RequestValidationError) -> JSONResponse:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return answer(refuse("REQUEST_INVALID", f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def on_http_error(_request: Request, problem: HTTPException) -> JSONResponse:
        return answer_status(problem)
