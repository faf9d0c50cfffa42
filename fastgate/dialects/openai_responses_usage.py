"""What a response of OpenAI's Responses API costs: its own usage, and that of the tools that ran inside it."""

from typing import Any, Final

from fastgate._core.counts import anomalies, count, mapping
from fastgate.dialects.base import Charge
from fastgate.dialects.openai_usage import RESPONSES, usage_of
from fastgate.wire.usage import Bucket

_SEARCH: Final = "web_search_call"
_FILE_SEARCH: Final = "file_search_call"


def charges(response: object) -> list[Charge] | None:
    """Charges of a response object, whole or as ``response.completed`` (``.incomplete``, ``.failed``) carries it.

    The first is the called model's, with the fees of searches; images that a tool made follow, at the image model.
    ``None`` where the usage lacks its counts.
    """
    source = mapping(response)
    usage = usage_of(source.get("usage"), source.get("service_tier"), RESPONSES)
    if usage is None:
        return None
    tools = mapping(source.get("tool_usage"))
    usage[Bucket.WEB_SEARCH] = _searches(source, tools)
    usage[Bucket.FILE_SEARCH] = _calls(source, _FILE_SEARCH)
    found = [Charge(None, usage)]
    images = usage_of(tools.get("image_gen"), None, RESPONSES)
    if images is not None:
        images[Bucket.REQUEST] = 0  # fees are per response
        found.append(Charge(_image_model(source), images))
    return found


def _searches(source: dict[str, Any], tools: dict[str, Any]) -> int:
    """As reported, else as many as the output shows."""
    reported = count(mapping(tools.get("web_search")), "num_requests")
    return _calls(source, _SEARCH) if reported is None else reported


def _calls(source: dict[str, Any], kind: str) -> int:
    return sum(item.get("type") == kind for item in _objects(source.get("output")))


def _image_model(source: dict[str, Any]) -> str | None:
    """The model of the image tool, of which the response repeats the definition; counted where it names none."""
    for tool in _objects(source.get("tools")):
        model = tool.get("model")
        if tool.get("type") == "image_generation" and isinstance(model, str):
            return model
    anomalies["image_model_unknown"] += 1
    return None


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
