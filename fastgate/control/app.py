"""The ASGI application of the control plane."""

from typing import Any, Final

from litestar import Litestar, Response, Router
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from fastgate.control import api, budgets_api, cache_api, hosts_api, limits_api, objects_api, site, state_api
from fastgate.control.access import Access
from fastgate.control.answering import Answering
from fastgate.control.description import Description
from fastgate.control.live import Live
from fastgate.control.plane import ControlPlane
from fastgate.control.problems import HANDLERS, MEDIA_TYPE, document
from fastgate.control.queries import Queries, Threads
from fastgate.version import __version__

MOST_BODY: Final = 65_536
"""Bytes; no operation takes more."""


def application(
    plane: ControlPlane, access: Access, queries: Queries, *, answering: Answering, live: Live, walks: Threads
) -> Litestar:
    """The application on these parts; ``walks``: threads for what goes through the cache's store."""
    return Litestar(
        route_handlers=[
            api.router,
            budgets_api.router,
            cache_api.router,
            limits_api.router,
            objects_api.router,
            hosts_api.router,
            state_api.router,
            *site.HANDLERS,
        ],
        state=State(
            {
                "plane": plane,
                "access": access,
                "queries": queries,
                "answering": answering,
                "live": live,
                "walks": walks,
            }
        ),
        exception_handlers=HANDLERS,
        openapi_config=OpenAPIConfig(
            title="fastgate admin API",
            version=__version__,
            render_plugins=[Description(path="/openapi.json")],
            openapi_router=Router(
                "/api/v1", route_handlers=[], after_request=_not_found_as_problem, include_in_schema=False
            ),
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", description="Admin token")}
            ),
        ),
        logging_config=None,
        request_max_body_size=MOST_BODY,
        debug=False,
    )


async def _not_found_as_problem(response: Response[Any]) -> Response[Any]:
    """Litestar answers every unknown path beside its schema with a page of HTML."""
    if response.status_code != 404:
        return response
    return Response(document(404, "not_found", "there is no such operation"), status_code=404, media_type=MEDIA_TYPE)
