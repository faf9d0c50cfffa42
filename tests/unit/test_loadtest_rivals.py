"""fastgate beside other gateways: how these are set up, what of their answers has to be right, what is promised."""

import json
from typing import Any

import pytest

from loadtest import nginx
from loadtest.cores import Cores
from loadtest.figures import FASTGATE, LITELLM, NGINX, PORTKEY, Figures, Run
from loadtest.gateways import litellm_configuration, portkey_headers
from loadtest.house import CONSTANT, SOURCE
from loadtest.plan import parser
from loadtest.reader import Wanted
from loadtest.rivals import PLAN, bounds, markdown
from loadtest.streamed import MODEL
from loadtest.subjects import reads_alike


def test_litellm_knows_what_all_clients_ask_for() -> None:
    configuration = json.loads(json.dumps(litellm_configuration(1001, 1002)))
    models = {one["model_name"]: one["litellm_params"] for one in configuration["model_list"]}
    assert {name: params["api_base"] for name, params in models.items()} == {
        f"{CONSTANT}/{nginx.MODEL}": "http://127.0.0.1:1001/v1",
        f"{SOURCE}/{MODEL}": "http://127.0.0.1:1002/v1",
    }
    assert {params["model"] for params in models.values()} == {f"openai/{nginx.MODEL}", f"openai/{MODEL}"}
    assert configuration["litellm_settings"]["num_retries"] == 0


def test_clients_of_portkey_say_where_a_stream_comes_from() -> None:
    wanted = Wanted(1, "/v1/chat/completions", 1, 1, 1, 0.0, True, portkey_headers(1002))
    head, _, body = wanted.request().partition(b"\r\n\r\n")
    assert b"\r\nx-portkey-custom-host: http://127.0.0.1:1002/v1" in head
    assert b"\r\nx-portkey-provider: openai" in head
    assert json.loads(body)["stream"]


def changed(change: str) -> str:
    answer: dict[str, Any] = json.loads(nginx.ANSWER)
    [choice] = answer["choices"]
    match change:
        case "order and further members":
            choice["message"] = {"annotations": [], **dict(reversed(choice["message"].items()))}
        case "the model's name":
            answer["model"] = "another/name"
        case "its text":
            choice["message"]["content"] += "."
        case "who speaks":
            choice["message"]["role"] = "user"
        case "why it ends":
            choice["finish_reason"] = "length"
        case "what is billed":
            answer["usage"]["completion_tokens"] += 1
        case "a second choice":
            answer["choices"].append(choice)
        case "nothing billed":
            answer["usage"] = None
        case "no JSON":
            return "upstream connect error"
    return json.dumps(answer, indent=1)


@pytest.mark.parametrize("change", ["order and further members", "the model's name"])
def test_answers_may_be_written_anew(change: str) -> None:
    assert changed(change) != nginx.ANSWER
    assert reads_alike(changed(change), nginx.ANSWER)


@pytest.mark.parametrize(
    "change",
    ["its text", "who speaks", "why it ends", "what is billed", "a second choice", "nothing billed", "no JSON"],
)
def test_answers_have_to_say_the_same(change: str) -> None:
    assert not reads_alike(changed(change), nginx.ANSWER)


def measured(portkey: float, litellm: float, memory: int) -> Figures:
    """Three rounds in which fastgate did 9,000/s, 18,000/s and 13,500/s, and its rivals shares of that."""
    figures = Figures(Cores(0, 1), {"machine": "one of a test"})
    subjects = {NGINX: 0.3, FASTGATE: 1.0, PORTKEY: portkey, LITELLM: litellm}
    for number, rate in enumerate((9_000, 18_000, 13_500)):
        for name, times in subjects.items():
            private = memory if name == FASTGATE else 100_000_000 + number
            for size in (1, 0):
                cpu = {"subject": 50 * times}
                figures.runs.append(Run(name, size, number, 1000, rate / times, cpu, 1, 2, 3, 0.01, private))
    return figures


def test_a_promise_that_is_not_kept_is_told() -> None:
    assert [bound.met for bound in bounds(measured(10.1, 90.1, 99_999_999))] == [True] * 3
    assert [bound.met for bound in bounds(measured(9.9, 89.9, 100_000_001))] == [False] * 3


def test_the_tables_say_who_is_governed() -> None:
    shown = markdown(measured(12, 95.5, 80_000_000), PLAN)
    assert "* fastgate, governed: " in shown
    assert "* Portkey's gateway and LiteLLM's proxy, not governed: " in shown
    assert "| fastgate : Portkey's gateway | 12.00 |" in shown
    assert "| fastgate : LiteLLM's proxy | 95.50 |" in shown
    assert f"| {LITELLM} | 100 | 100 | 95.50 | 95.50 |" in shown
    assert shown.count("| yes |") == 3


def test_the_command_line_changes_the_plan() -> None:
    options = vars(parser("python -m loadtest.rivals", "", PLAN).parse_args(["--sizes", "1", "--runs", "2"]))
    assert (options["sizes"], options["runs"], options["streams"]) == ((1,), 2, PLAN.streams)
