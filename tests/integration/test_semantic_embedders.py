"""The embedders: the one that is prepared without torch, what it may differ from the original, and an endpoint."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from fastgate.cache.embedder_files import MANIFEST, MODEL, TOKENIZER, WEIGHTS
from fastgate.semantic.bert_graph import build
from fastgate.semantic.endpoint import PAUSE_SECONDS, Endpoint
from fastgate.semantic.errors import EmbedderFailed, EmbedderUnusable
from fastgate.semantic.onnx_model import OnnxModel, load_tokenizer, open_session, run
from fastgate.semantic.preparing import LEAST_COSINE
from fastgate.semantic.settings import EmbedderSettings
from fastgate.semantic.weights import read_config, read_tensors
from tests.support.semantic import PREPARED, SHA256, embedder_settings, model
from tests.support.semantic import WEIGHTS as FOLDER

SHORT = [
    f"{verb} {thing}{mark}"
    for verb in ("How do I bake", "Where can I buy", "What is the price of", "Is it wise to paint")
    for thing in ("a cake", "seven blue chairs", "the old bridge in Prague", "SQLite", "42 °C water")
    for mark in ("?", ", please", " today?")
]


def test_vectors_are_near_the_originals(caplog: pytest.LogCaptureFixture) -> None:
    config, tensors = read_config(FOLDER), read_tensors(FOLDER / WEIGHTS)
    tokenizer = load_tokenizer(FOLDER / TOKENIZER, 256, 0)
    original = run(open_session(build(config, tensors, first=False, largest=None), 2), tokenizer, SHORT).vectors
    ours = model().embed(SHORT).vectors
    assert ours.shape == (len(SHORT), 384)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-4)
    cosines = np.sum(ours * original, axis=1)
    assert cosines.min() >= LEAST_COSINE
    # What matters is not the vectors but how near they are to each other.
    assert np.abs(ours @ ours.T - original @ original.T).max() < 0.05


def test_the_original_is_what_sentence_transformers_says() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sentence_transformers")
    from fastgate.semantic.sentence_model import SentenceModel

    theirs = SentenceModel(EmbedderSettings(type="sentence-transformers", model=str(FOLDER), sha256=SHA256))
    embedded = theirs.embed([*SHORT, "word " * 400, "የኢትዮጵያ ዋና ከተማ", "What is 👍?"])
    assert embedded.whole == (*[True] * len(SHORT), False, False, True)
    ours = model().embed(SHORT).vectors
    assert np.sum(ours * embedded.vectors[:-3], axis=1).min() >= LEAST_COSINE


def test_a_vector_does_not_depend_on_what_else_is_in_the_batch() -> None:
    embedder = model()
    texts = [*SHORT, "A much longer text, " * 20, "no"]
    together = embedder.embed(texts).vectors
    for number in (0, 7, len(SHORT), len(SHORT) + 1):
        alone = embedder.embed([texts[number]]).vectors[0]
        assert float(alone @ together[number]) > 0.9999


def test_what_was_cut_off_is_told() -> None:
    embedded = model().embed(["short", "word " * 300, "word " * 200])
    assert embedded.whole == (True, False, True)


def test_words_that_have_no_token_of_their_own_are_told_and_signs_are_not() -> None:
    texts = [
        "What is the capital of Ethiopia?",
        "የኢትዮጵያ ዋና ከተማ ማን ናት?",
        "What? " + "Never" * 30,
        "What does 👍 mean, or ∀?",
    ]
    assert model().embed(texts).whole == (True, False, False, True)
    assert [model().embed([text]).whole[0] for text in texts] == [True, False, False, True]


def test_serving_loads_no_torch_and_asks_no_network() -> None:
    code = (
        "import sys, json; from tests.support.semantic import model; model().embed(['What?']);"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "transformers", "sentence_transformers", "onnx", "safetensors"} & set(json.loads(said))


def prepare(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fastgate.cli.main", "embedder", "prepare", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_preparing_says_what_came_of_it_and_gives_the_same_again(tmp_path: Path) -> None:
    target = tmp_path / "embedder"
    done = prepare(str(FOLDER), "--output", str(target), "--sha256", SHA256.upper(), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["dimensions"] == 384
    assert said["longest"] == 256
    assert LEAST_COSINE <= said["cosine"] <= 1.0001
    assert said["bytes"] < 30_000_000
    assert (target / MANIFEST).read_bytes() == (PREPARED / MANIFEST).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embedder"]
    again = prepare(str(FOLDER), "--output", str(target))  # replaces what was prepared before
    assert again.returncode == 0
    assert "384 dimensions, texts of up to 256 tokens; least cosine with the original 0.9" in again.stdout


def test_other_weights_than_those_that_are_wanted_are_not_read(tmp_path: Path) -> None:
    done = prepare(str(FOLDER), "--output", str(tmp_path / "embedder"), "--sha256", "0" * 64)
    assert done.returncode == 1
    assert f"has the SHA-256 {SHA256} instead of {'0' * 64}: it is not read" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["roberta", "relative", "max pooling", "no tokenizer", "short weights", "nothing"])
def test_what_cannot_be_prepared_is_told(tmp_path: Path, change: str) -> None:
    source = tmp_path / "model"
    shutil.copytree(FOLDER, source)
    config = json.loads((source / "config.json").read_text())
    if change == "roberta":
        (source / "config.json").write_text(json.dumps({**config, "model_type": "roberta"}))
    elif change == "relative":
        (source / "config.json").write_text(json.dumps({**config, "position_embedding_type": "relative_key"}))
    elif change == "max pooling":
        (source / "1_Pooling").mkdir(exist_ok=True)
        (source / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    elif change == "no tokenizer":
        (source / TOKENIZER).unlink()
    elif change == "short weights":
        (source / WEIGHTS).write_bytes((source / WEIGHTS).read_bytes()[:1_000_000])
    else:
        shutil.rmtree(source)
        source.mkdir()
    done = prepare(str(source), "--output", str(tmp_path / "embedder"))
    assert done.returncode == 1
    assert done.stderr.startswith("fastgate: ")
    assert "Traceback" not in done.stderr
    assert str(source) in done.stderr
    assert not (tmp_path / "embedder").exists()


def test_a_folder_of_somebody_elses_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = prepare(str(FOLDER), "--output", str(tmp_path))
    assert done.returncode == 1
    assert "was not written by `fastgate embedder prepare`" in done.stderr
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_file_that_is_not_the_one_that_was_prepared_is_not_loaded(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "embedder"
    shutil.copytree(PREPARED, folder)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(EmbedderUnusable, match=f"{name} has the SHA-256 {hashlib.sha256(data).hexdigest()} instead of"):
        OnnxModel(EmbedderSettings(type="onnx", model=str(folder)))


def test_weights_that_it_was_not_prepared_from_are_told() -> None:
    assert OnnxModel(embedder_settings(sha256=SHA256)).identity.startswith("onnx ")
    with pytest.raises(EmbedderUnusable, match="was prepared from weights with the SHA-256"):
        OnnxModel(embedder_settings(sha256="0" * 64))


# ---- an endpoint


class Service(BaseHTTPRequestHandler):
    """An OpenAI-compatible service of embeddings that is as right, or as wrong, as a test wants."""

    asked: ClassVar[list[tuple[str, str | None, Any]]] = []
    answer: ClassVar[tuple[int, Any] | None] = None
    sent: ClassVar[int] = 0
    gone: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, self.headers["authorization"], body))
        right = [
            {"object": "embedding", "index": number, "embedding": [3.0, float(len(text)), 0.0]}
            for number, text in enumerate(body["input"])
        ]
        status, document = self.answer or (200, {"object": "list", "data": right[::-1], "usage": {"prompt_tokens": 3}})
        if document in ("slowly", "much"):
            self.send_response(status)
            self.end_headers()
            with suppress(OSError):
                self.send_slowly() if document == "slowly" else self.send_much()
            return
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_slowly(self) -> None:
        """A byte now and then, each in time for who waits for one, until the client leaves or ten seconds are over."""
        for _ in range(100):
            self.wfile.write(b" ")
            self.gone.wait(0.1)

    def send_much(self) -> None:
        """64 MiB, or what a client takes of it."""
        with suppress(OSError):
            for _ in range(1_024):
                type(self).sent += self.wfile.write(b" " * 65_536)
        self.gone.set()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    Service.asked, Service.answer = [], None
    Service.sent, Service.gone = 0, threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    Service.gone.set()
    server.shutdown()
    thread.join()
    server.server_close()


def endpoint(url: str, **settings: Any) -> Endpoint:
    return Endpoint(
        EmbedderSettings(type="openai-compatible", model="embed-1", base_url=url, key="sk-fg-virtual", **settings)
    )


async def test_an_endpoint_is_asked_as_the_api_says_with_the_key(service: str) -> None:
    embedder = endpoint(service)
    embedded = await embedder.embed(["1234", "12"])
    assert embedded.vectors.tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8), 0],
        [pytest.approx(0.83205), pytest.approx(0.5547), 0],
    ]
    asked = {"model": "embed-1", "input": ["1234", "12"], "encoding_format": "float"}
    assert Service.asked == [("/v1/embeddings", "Bearer sk-fg-virtual", asked)]
    await embedder.close()


@pytest.mark.parametrize(
    "answer",
    [
        (429, {"error": {"message": "sk-fg-virtual is over its limit"}}),
        (200, {"data": []}),
        (200, {"data": [{"index": 0, "embedding": []}]}),
        (200, {"data": [{"index": 1, "embedding": [1.0]}]}),
        (200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}, {"index": 1, "embedding": [1.0]}]}),
        (200, {"data": [{"index": 0, "embedding": ["x"]}]}),
        (200, {"data": [{"index": 0, "embedding": [1e39]}]}),
        (200, ["nothing"]),
    ],
)
async def test_what_an_endpoint_answers_that_is_no_embedding_is_refused(service: str, answer: tuple[int, Any]) -> None:
    Service.answer = answer
    embedder = endpoint(service)
    with pytest.raises(EmbedderFailed, match="the embedder's endpoint") as failed:
        await embedder.embed(["one"])
    assert "sk-fg-virtual" not in str(failed.value)
    await embedder.close()


@pytest.mark.parametrize(
    ("status", "asked_again"), [(402, False), (401, False), (500, False), (400, True), (413, True)]
)
async def test_an_endpoint_that_refuses_is_left_alone_for_a_while_unless_it_is_for_the_text(
    service: str, monkeypatch: pytest.MonkeyPatch, status: int, asked_again: bool
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("fastgate.semantic.endpoint.monotonic", lambda: now[0])
    embedder = endpoint(service)
    Service.answer = (status, {"error": {"message": "no"}})
    with pytest.raises(EmbedderFailed, match=f"answered {status}"):
        await embedder.embed(["one"])
    Service.answer = None
    if asked_again:
        assert (await embedder.embed(["two"])).whole == (True,)
    else:
        with pytest.raises(EmbedderFailed, match=f"answered {status}"):
            await embedder.embed(["two"])
        assert len(Service.asked) == 1
        now[0] += PAUSE_SECONDS
        assert (await embedder.embed(["two"])).whole == (True,)
    assert len(Service.asked) == 2
    await embedder.close()


async def test_an_endpoint_has_its_time_once_however_it_spreads_its_answer(service: str) -> None:
    Service.answer = (200, "slowly")
    embedder = endpoint(service, timeout_seconds=0.5)
    with pytest.raises(EmbedderFailed, match="the embedder's endpoint: TimeoutError"):
        await embedder.embed(["one"])
    await embedder.close()


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(service: str) -> None:
    Service.answer = (200, "much")
    embedder = endpoint(service)
    with pytest.raises(EmbedderFailed, match="answered too much"):
        await embedder.embed(["one"])
    await embedder.close()
    assert await asyncio.to_thread(Service.gone.wait, 10)
    assert Service.sent < 32 << 20  # what was read, and what lay between
    Service.answer = None


async def test_another_number_of_dimensions_than_before_is_refused(service: str) -> None:
    embedder = endpoint(service)
    await embedder.embed(["one"])
    Service.answer = (200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}]})
    with pytest.raises(EmbedderFailed, match="vectors of 2 dimensions"):
        await embedder.embed(["one"])
    await embedder.close()
