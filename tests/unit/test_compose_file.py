"""The compose file: judged by the schema of the compose specification, and compared with the code and with itself."""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.manifests import PACKAGING, ROOT, check, judged, longest_end, variables, with_secrets_in

sys.path.insert(0, str(ROOT / ".ci" / "image"))
import dockerfile

COMPOSE = PACKAGING / "compose"
SECRETS = "/run/secrets"


def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


def settings() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "fastgate.yaml").read_text())
    return found


def gateways() -> list[dict[str, Any]]:
    return [each for name, each in document()["services"].items() if name.startswith("gateway-")]


def address(service: dict[str, Any]) -> str:
    return str(service["networks"]["inside"]["ipv4_address"])


def test_it_is_what_the_specification_takes(tmp_path: Path) -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    assert judged("check-jsonschema", *schema, COMPOSE / "compose.yaml").returncode == 0
    (tmp_path / "compose.yaml").write_text((COMPOSE / "compose.yaml").read_text().replace("restart:", "restarts:"))
    assert judged("check-jsonschema", *schema, tmp_path / "compose.yaml").returncode == 1


def test_nginx_sends_to_each_gateway_and_is_the_one_they_trust() -> None:
    listed = (COMPOSE / "fastgate-hosts.conf").read_text()
    hosts = re.findall(r"^server ([\d.]+):8080 ", listed, re.MULTILINE)
    assert hosts == [address(gateway) for gateway in gateways()]
    assert settings()["server"]["trusted_proxies"] == [address(document()["services"]["nginx"])]
    nginx = (PACKAGING / "nginx" / "fastgate.conf").read_text()
    mounted = {volume.split(":")[1] for volume in document()["services"]["nginx"]["volumes"]}
    assert {"/etc/nginx/fastgate-hosts.conf", "/etc/ssl/gateway.pem", "/etc/ssl/gateway.key"} <= mounted
    assert all(path in nginx for path in mounted - {"/etc/nginx/conf.d/default.conf"})
    [idle] = re.findall(r"keepalive_timeout (\d+)s;", nginx)
    left_out = re.findall(r"fail_timeout=(\d+)s;", listed)
    assert settings()["server"]["drain_delay_seconds"] > 1 + max(int(idle), *map(int, left_out))


def test_each_gateway_fits_the_image_and_has_the_time_to_drain() -> None:
    image = dockerfile.read(ROOT / "Dockerfile")[-1]
    states = set()
    for gateway in gateways():
        assert set(gateway["environment"]) <= variables()
        state, config = gateway["volumes"]
        assert config == f"./fastgate.yaml:{image.workdir}/fastgate.yaml:ro"
        assert state.endswith(f":{image.volumes[0]}")
        states.add(state)
        assert int(gateway["stop_grace_period"].removesuffix("s")) > longest_end(settings())
        assert gateway["read_only"]
    assert len(states) == len(gateways()), "each has a state of its own"


def test_what_is_named_is_there(tmp_path: Path) -> None:
    services = document()["services"].values()
    volumes = {volume.split(":")[0] for each in services for volume in each.get("volumes", [])}
    files = {name for name in volumes if name.startswith(".")}
    assert volumes - files == set(document()["volumes"])
    assert all((COMPOSE / name).exists() for name in files if not name.startswith("./secrets/"))
    assert {name for each in services for name in each.get("secrets", [])} == set(document()["secrets"])
    text, names = with_secrets_in((COMPOSE / "fastgate.yaml").read_text(), SECRETS, tmp_path)
    assert names == set(gateways()[0]["secrets"])
    (tmp_path / "fastgate.yaml").write_text(text)
    assert check(tmp_path / "fastgate.yaml") == ""
    page = (ROOT / "docs" / "deployment.md").read_text()
    wanted = {*names, *(Path(name).name for name in files if name.startswith("./secrets/"))}
    assert all(f"secrets/{name}" in page for name in wanted)
