"""Carries out the Dockerfile without Docker, then runs the image as Docker would and asks it a question.

The base image ``python:3.11-slim-bookworm`` is approximated by Debian bookworm with its own python3.11, made by
mmdebstrap; everything else is what the Dockerfile says: each RUN in a root of its own, each COPY, and at the end
ENTRYPOINT and CMD as USER, as process 1 of its namespaces, on a root that is read-only, without a network.

Needs root, mount and network namespaces, and mmdebstrap (.ci/packages image); says so where one is missing. Usage:
replay.py CACHE MODEL: a file that keeps the base from one run to the next, and the folder of a model that the image
with the semantic cache prepares.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import dockerfile
from builder import ROOT, Builder
from chroots import NEW_MOUNTS, NEW_NETWORK, Failed, enter, raise_loopback, run
from container import Container

SECONDS = 60.0
SEMANTIC = "semantic"
"""The stage of the image that has the extra ``semantic-onnx``."""
EMBED = """
import sys
from fastgate.semantic.graph import Graph
from fastgate.semantic.onnx_model import OnnxModel
from fastgate.semantic.settings import EmbedderSettings
embedder = OnnxModel(EmbedderSettings(type="onnx", model=sys.argv[1]))
vectors = embedder.embed(["How do I reset my password?", "Why is the sky blue?"]).vectors
graph = Graph(vectors.shape[1], 2)
graph.add([1, 2], vectors)
[(found, similarity)] = graph.search(vectors[0], 1)
print(found, f"{similarity:.3f}")
"""


def call(url: str, token: str, body: object = None) -> tuple[dict[str, str], Any]:
    """Headers and JSON of an answer; a POST where there is a body."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = Request(url, None if body is None else json.dumps(body).encode(), headers)
    with build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}, json.load(answer)


def expect(holds: object, what: str) -> None:
    """Failed where something does not hold."""
    if not holds:
        raise Failed(f"the image is not what it should be: {what}")


def await_health(container: Container) -> None:
    """Returns when the image's own health check passes."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            container.check(*container.image.healthcheck)
        except Failed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)  # as Docker does: nothing tells when a container is healthy
        else:
            return


def ask(container: Container) -> str:
    """One call through the gateway to the simulator that it started; returns what it cost."""
    state = container.volume(container.image.volumes[0])
    key, token = ((state / name).read_text().strip() for name in ("quickstart-key", "admin-token"))
    question = {"model": "sim/sim-small", "messages": [{"role": "user", "content": "Hello"}]}
    headers, _ = call("http://127.0.0.1:8080/v1/chat/completions", key, question)
    cost = headers["x-fastgate-cost-usd"]
    deadline = time.monotonic() + SECONDS
    while (booked := call("http://127.0.0.1:8081/api/v1/spend", token)[1]["total"]["cost_usd"]) != cost:
        expect(time.monotonic() < deadline, f"the answer cost {cost}, the ledger says {booked}")
        time.sleep(0.05)
    return cost


def try_image(image: dockerfile.Stage, root: Path, volumes: Path) -> None:
    """Runs the image, looks at it from inside and outside, and stops it."""
    expect(not list(root.glob("usr/bin/*gcc*")), "there is a compiler in it")
    with Container(image, root, volumes) as container:
        await_health(container)
        cost = ask(container)
        expect(container.owners() == {image.user.partition(":")[0]}, f"processes run as {container.owners()}")
        for path in ("/", "/tmp", "/opt/fastgate", image.workdir):
            writable = container.check("python", "-c", f"import os; print(os.access({path!r}, os.W_OK))")
            expect(writable.strip() == "False", f"{path} can be written")
        code, written = container.stop()
        expect(code == 0, f"it ended with {code} on SIGTERM:\n{written}")
    size = run("du", "-sm", root / "opt/fastgate").split()[0]
    print(f"image runs: healthy as {image.user} on a read-only root, a call cost {cost} USD, SIGTERM ended it with 0")
    print(f"/opt/fastgate: {size} MB")


def try_semantic(image: dockerfile.Stage, root: Path, volumes: Path, model: Path) -> None:
    """Prepares a model in the image, embeds by it and finds what was embedded."""
    folder = image.volumes[0]
    with Container(image, root, volumes) as container:
        run("cp", "-r", model, container.volume(folder) / "model")
        await_health(container)
        container.check("fastgate", "embedder", "prepare", f"{folder}/model", "--output", f"{folder}/embedder")
        found = container.check("python", "-P", "-c", EMBED, f"{folder}/embedder")
        expect(found.strip() == "1 1.000", f"what was embedded is not found: {found}")
        code, written = container.stop()
        expect(code == 0, f"it ended with {code} on SIGTERM:\n{written}")
    size = run("du", "-sm", root / "opt/fastgate").split()[0]
    print(f"image with the semantic cache: prepared a model, found what it embedded\n/opt/fastgate: {size} MB")


def replay(cache: Path, model: Path) -> None:
    """Builds all stages, tries both images, and leaves nothing."""
    if os.geteuid() or not shutil.which("mmdebstrap"):
        raise Failed("root and mmdebstrap are needed (Debian: apt-get install mmdebstrap)")
    enter(NEW_MOUNTS)
    run("mount", "--make-rprivate", "/")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        # In memory: dpkg waits for the disk after every file.
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
        try:
            builder = Builder(place, cache)
            builder.make_base()
            stages = dockerfile.read(ROOT / "Dockerfile")
            roots = {stage.name: builder.build(stage) for stage in stages}
            enter(NEW_NETWORK)  # what runs needs no registry, and 8080 may be taken on this machine
            raise_loopback()
            for name in (stages[-1].name, SEMANTIC):
                volumes = place / f"volumes-{name}"
                volumes.mkdir()
                image = next(stage for stage in stages if stage.name == name)
                if name == SEMANTIC:
                    try_semantic(image, roots[name], volumes, model)
                else:
                    try_image(image, roots[name], volumes)
        finally:
            run("umount", "--lazy", place)


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit code."""
    try:
        replay(*map(Path, arguments))
    except (Failed, ValueError, OSError) as error:
        print(f"image replay: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
