"""All pages, and how they join the application."""

from fastapi import Depends, FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from otacloud.console import alarms, devices, guide, home, product, releases, rollouts, static, team
from otacloud.console.session import SignInFirst, same_origin

PAGES = (home, guide, devices, releases, rollouts, product, alarms, team)


def install(app: FastAPI) -> None:
    """Adds the pages to `app`. Nothing that changes anything is taken from another site."""
    for module in PAGES:
        app.include_router(module.router, dependencies=[Depends(same_origin)])
    app.include_router(static.router)

    @app.exception_handler(SignInFirst)
    async def on_sign_in_first(_request: Request, _problem: SignInFirst) -> Response:
        return RedirectResponse("/sign-in", 303)
