"""What is said of certificates that cannot be served, and of those that can, but not for long."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastgate.cli.banner import Access, curl
from fastgate.cli.main import cli
from fastgate.config.certificates import date_warning
from fastgate.config.settings import Tls
from fastgate.control.check import check
from fastgate.supervisor.options import ServeOptions
from tests.support.certificates import Authority

NOT_SERVED = "is of a kind that is not served (use RSA from 2048 bits, P-256, P-384 or Ed25519)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    now = datetime.now(UTC)
    authority.issue("gateway.test", "good", now + timedelta(days=90))
    authority.issue("gateway.test", "ending", now + timedelta(days=13))
    authority.issue("gateway.test", "ended", now - timedelta(hours=1))
    for name, *options in (
        ("rsa", "rsa:2048"),
        ("ed25519", "ed25519"),
        ("p384", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
        ("p521", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"),
        ("weak", "rsa:1024"),
        ("client", "rsa:2048", "-addext", "extendedKeyUsage=clientAuth"),
    ):
        files = ("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"))
        command = ("openssl", "req", "-x509", "-nodes", "-days", "90", "-subj", "/CN=x", "-newkey", *options, *files)
        subprocess.run(command, check=True, capture_output=True)
    locked = ("openssl", "pkey", "-in", str(folder / "good.key"), "-aes256", "-passout", "pass:x")
    subprocess.run((*locked, "-out", str(folder / "locked.key")), check=True, capture_output=True)
    (folder / "garbage.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "chain.pem").write_bytes((folder / "good.pem").read_bytes() + (folder / "ca.pem").read_bytes())
    return folder


def said(folder: Path, cert: str, key: str) -> list[str]:
    text = (
        "providers: {sim: {type: sim, base_url: 'http://127.0.0.1:1'}}\n"
        f"server:\n  tls:\n    cert: {cert}\n    key: {key}\n"
    )
    path = folder / "fastgate.yaml"
    path.write_text(text)
    return [str(problem).removeprefix(f"{folder}/") for problem in check(path, {})]


@pytest.mark.parametrize("name", ["good", "ending", "ended", "rsa", "ed25519", "p384"])
def test_what_can_be_served(folder: Path, name: str) -> None:
    assert said(folder, f"{name}.pem", f"{name}.key") == []


def test_a_chain_and_absolute_paths(folder: Path) -> None:
    assert said(folder, str(folder / "chain.pem"), str(folder / "good.key")) == []


@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("none.pem", "good.key", "4:11: server.tls.cert: {}/none.pem cannot be read: No such file or directory"),
        ("good.pem", "none.key", "5:10: server.tls.key: {}/none.key cannot be read: No such file or directory"),
        ("good.key", "good.key", "4:11: server.tls.cert: {}/good.key does not hold certificates in PEM form"),
        ("good.pem", "good.pem", "5:10: server.tls.key: {}/good.pem does not hold a private key in PEM form"),
        ("good.pem", "ended.key", "5:10: server.tls.key: is not the key of the certificate in {}/good.pem"),
        ("good.pem", "rsa.key", "5:10: server.tls.key: is not the key of the certificate in {}/good.pem"),
        (
            "good.pem",
            "locked.key",
            "5:10: server.tls.key: {}/locked.key is encrypted, and nobody can be asked for its passphrase:"
            " see openssl pkey",
        ),
        ("garbage.pem", "good.key", "4:11: server.tls.cert: {}/garbage.pem does not hold certificates in PEM form"),
        ("weak.pem", "weak.key", f"5:10: server.tls.key: {NOT_SERVED}"),
        ("p521.pem", "p521.key", f"5:10: server.tls.key: {NOT_SERVED}"),
        (
            "client.pem",
            "client.key",
            "4:11: server.tls.cert: is not a certificate for servers: its extended key usage leaves them out",
        ),
    ],
)
def test_what_cannot(folder: Path, cert: str, key: str, message: str) -> None:
    assert said(folder, cert, key) == [f"fastgate.yaml:{message.format(folder)}"]


def test_check_warns_of_dates_and_fails_no_one(folder: Path) -> None:
    said(folder, "ended.pem", "ended.key")
    ran = CliRunner().invoke(cli, ["check", str(folder / "fastgate.yaml")])
    assert (ran.exit_code, ran.stdout) == (0, f"{folder}/fastgate.yaml: ok\n")
    assert " is not valid any more since " in ran.stderr


def test_the_first_screens_curl_calls_by_an_address(tmp_path: Path) -> None:
    files = (tmp_path / "gateway.pem", tmp_path / "gateway.key")
    options = ServeOptions(tmp_path / "fastgate.yaml", tmp_path, host="0.0.0.0", tls=files)
    assert options.api_url == "https://127.0.0.1:8080"
    called = curl(options.api_url, Access("sk-fg-secret", tmp_path / "key", "sim/sim-small", False), terminal=True)
    assert called.startswith("curl -sS -i -k https://127.0.0.1:8080/v1/chat/completions ")


@pytest.mark.parametrize(
    ("name", "warning"),
    [("good", None), ("rsa", None), ("ending", " ends at "), ("ended", " is not valid any more since ")],
)
def test_what_is_said_of_dates(folder: Path, name: str, warning: str | None) -> None:
    found = date_warning(folder, Tls(cert=f"{name}.pem", key=f"{name}.key"))
    assert (found is None) if warning is None else (found is not None and warning in found)
