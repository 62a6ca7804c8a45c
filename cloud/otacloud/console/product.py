"""Pages about a product as a whole: what waits for a word, groups, settings."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import groups, keys, products
from otacloud.console import actions, charts, forms, queries, rolloutview
from otacloud.console.live import Part, View
from otacloud.console.shell import Here, PageRoute, to
from otacloud.schemas import GroupIn, Name, ProductChange
from otacloud.services import Services

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/products/{pk}/approvals")
async def approvals_page(here: Here) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        drafts = await queries.rollout_rows(session, product.id, ("draft",))
        values = {
            "product": product,
            "drafts": [await rolloutview.detail(session, row, here.cloud.now()) for row in drafts],
            "pending": await queries.pending_devices(session, product.id),
            "waits": await queries.waiting(session, product),
        }
        return await here.view(
            session, "approvals", "approvals.html", values, {"approvals": Part("_approvals.html")}
        )

    return await here.show(load)


@router.get("/products/{pk}/groups")
async def groups_page(here: Here, pk: Name) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        found = await groups.list_groups(here.cloud, here.viewer, pk)
        values = {"product": product, "groups": found.groups}
        return await here.view(session, "groups", "groups.html", values, {"groups": Part("_groups.html")})

    return await here.show(load)


@router.post("/products/{pk}/groups")
async def create_group(
    here: Here,
    pk: Name,
    name: Annotated[str, Form(max_length=64)],
    rule: Annotated[str, Form(max_length=1024)] = "",
    test: Annotated[bool, Form()] = False,
    poll_interval: Annotated[str, Form(max_length=8)] = "",
) -> Response:
    seconds = forms.number({"poll_interval": poll_interval}, "poll_interval") or None
    fields = {"name": name.strip(), "rule": rule.strip() or None, "test": test, "poll_interval": seconds}
    given = actions.filled(GroupIn, fields)
    await actions.act(groups.create_group, here.cloud, here.viewer, pk, given)
    return to("products", pk, "groups")


@router.post("/products/{pk}/groups/{name}/delete")
async def delete_group(here: Here, pk: Name, name: Name) -> Response:
    await actions.act(groups.delete_group, here.cloud, here.viewer, pk, name)
    return to("products", pk, "groups")


@router.get("/products/{pk}/settings")
async def settings_page(here: Here) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        key = await keys.current_key(session, product.id)
        values = {
            "product": product,
            "key": key,
            "pem": keys.public_pem(key),
            "broker": _broker(here.cloud, product.pk),
            "server": str(here.request.base_url).rstrip("/"),
        }
        return await here.view(session, "settings", "settings.html", values)

    return await here.show(load)


def _broker(cloud: Services, pk: str) -> str:
    """The MQTT broker, in words."""
    outlet = cloud.notifier.outlet
    if outlet is None or not outlet.up:
        return "does not answer: devices poll" if cloud.settings.mqtt_url else "none: devices poll"
    count = outlet.count(pk)
    if count is None:
        return "connected; which devices are, only the broker knows"
    return f"in the service; {charts.many(count, 'device')} connected"


@router.post("/products/{pk}/settings")
async def change_settings(here: Here, request: Request, pk: Name) -> Response:
    async with request.form(max_files=0, max_fields=16) as sent:
        form = {name: value for name, value in sent.items() if isinstance(value, str)}
    fields = {
        "name": form.get("name", "").strip() or None,
        "registration": form.get("registration") or None,
        "approvals": forms.number(form, "approvals"),
        "silent_after": forms.number(form, "silent_hours") * 3600,
        "verify_first": "verify_first" in form,
    }
    given = actions.filled(ProductChange, fields)
    await actions.act(products.change_product, here.cloud, here.viewer, pk, given)
    return to("products", pk, "settings")


@router.post("/products/{pk}/secret")
async def show_secret(here: Here, pk: Name) -> Response:
    """The audit log says who looked."""
    made = await actions.act(products.show_product_secret, here.cloud, here.viewer, pk)
    return await here.once(
        title="The product secret",
        words="For the factory: whoever has it can register devices of this product.",
        secret=made.ps,
        back=f"/products/{pk}/settings",
    )
