"""Which of the forms a file has: told by what is in it, never by its name."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastgate.bills import anthropic, anthropic_usage, openai, simulator
from fastgate.bills.bill import BadBill, Bill
from fastgate.bills.documents import documents

FORMATS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Sequence[tuple[str, Any]]], Bill]], ...]] = (
    (simulator.recognises, simulator.read),
    (openai.recognises, openai.read),
    (anthropic_usage.recognises, anthropic_usage.read),
    (anthropic.recognises, anthropic.read),
)
"""Whether a document is one of a form, and what makes a bill of all of a file; the first that fits."""
KNOWN: Final = (
    "the simulator's GET /_bill or /_bill/requests, OpenAI's GET /v1/organization/costs, "
    "Anthropic's GET /v1/organizations/cost_report or /v1/organizations/usage_report/messages"
)


def read(data: bytes) -> Bill:
    """The bill that a file holds. Raises BadBill."""
    found = documents(data)
    for recognises, make in FORMATS:
        if any(recognises(document) for _, document in found):
            return make(found)
    raise BadBill(f"no bill of a known form: {KNOWN}")
