"""`fastgate embedder`: the models that turn texts into vectors for the semantic cache."""

from pathlib import Path

import click

from fastgate.cli.exits import Failed
from fastgate.cli.keys import json_option
from fastgate.cli.options import option
from fastgate.cli.tables import as_json


@click.group("embedder")
def command() -> None:
    """Prepare the model of the semantic cache."""


@command.command("prepare")
@click.argument("model", type=click.Path(path_type=Path, file_okay=False))
@option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("./embedder"),
    metavar="DIR",
    help="Folder to write; one that was prepared before is replaced.",
)
@option(
    "--sha256",
    default=None,
    metavar="HEX",
    help="SHA-256 that MODEL's model.safetensors must have; it is checked before the file is read.",
)
@json_option
def prepare(model: Path, output: Path, sha256: str | None, as_document: bool) -> None:
    """Turn the folder MODEL, as published for sentence-transformers, into one that is served in 8 bits without torch.

    Needs the extra semantic-onnx and no network. The result is compared with the original before it is written.

    \b
    fastgate embedder prepare ./all-MiniLM-L6-v2 --output ./embedder
    """
    from fastgate.semantic.errors import SemanticError
    from fastgate.semantic.preparing import prepare

    try:
        done = prepare(model, output, sha256=sha256.lower() if sha256 else None)
    except SemanticError as error:
        raise Failed(str(error)) from error
    if as_document:
        click.echo(as_json({**done._asdict(), "folder": str(done.folder)}))
        return
    click.echo(
        f"{done.folder}: {done.bytes / 1e6:.1f} MB, {done.dimensions} dimensions, texts of up to {done.longest} tokens;"
        f" least cosine with the original {done.cosine:.4f}"
    )
