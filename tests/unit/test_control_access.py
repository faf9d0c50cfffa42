"""Guards of the admin API keep nothing of a request."""

import gc

from litestar import Litestar, get
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery
from litestar.testing import TestClient

from fastgate.control.access import known_parameters
from fastgate.control.problems import HANDLERS


@get("/things", guards=[known_parameters])
async def things(limit: FromQuery[int] = 10) -> int:
    """A handler with a parameter that is a number, for which all that guards know of a handler is asked."""
    return limit


def handlers() -> int:
    gc.collect()
    return sum(isinstance(each, BaseRouteHandler) for each in gc.get_objects())


def test_the_copies_of_handlers_that_guards_get_do_not_stay() -> None:
    with TestClient(Litestar([things], exception_handlers=HANDLERS)) as client:
        assert client.get("/things?limit=7").json() == 7
        before = handlers()
        for _ in range(50):
            assert client.get("/things?limit=7").status_code == 200
        assert client.get("/things?other=7").status_code == 400
        assert handlers() <= before + 2
