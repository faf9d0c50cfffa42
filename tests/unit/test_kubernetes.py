"""The manifests for Kubernetes: built by kubectl, judged by Kubernetes' own schemas, compared with the code."""

import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastgate.config.postgres import PORT as POSTGRES_PORT
from fastgate.config.redis_urls import PORT as REDIS_PORT
from fastgate.config.redis_urls import SENTINEL_PORT
from fastgate.config.settings import Server
from fastgate.gateway.app import _HEALTH
from tests.support.manifests import PACKAGING, ROOT, check, judged, longest_end, variables, with_secrets_in

sys.path.insert(0, str(ROOT / ".ci" / "image"))
import dockerfile

KUBERNETES = PACKAGING / "kubernetes"
BASE, PRODUCTION = KUBERNETES / "base", KUBERNETES / "overlays" / "production"
MONITORED = KUBERNETES / "components" / "servicemonitor"
SECRETS = "/run/secrets/fastgate"


@cache
def built(folder: Path) -> str:
    said = judged("kubectl", "kustomize", folder)
    assert said.returncode == 0, said.stderr
    return said.stdout


def resources(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(built(folder)) if each["kind"] == kind]


def pod(folder: Path) -> dict[str, Any]:
    [hosts] = resources(folder, "StatefulSet")
    spec: dict[str, Any] = hosts["spec"]["template"]["spec"]
    return spec


def container(folder: Path) -> dict[str, Any]:
    [only] = pod(folder)["containers"]
    return dict(only)


def settings(folder: Path) -> dict[str, Any]:
    [mapped] = resources(folder, "ConfigMap")
    found: dict[str, Any] = yaml.safe_load(mapped["data"]["fastgate.yaml"])
    return found


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda folder: folder.name)
def test_what_is_built_is_what_kubernetes_takes(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "all.yaml").write_text(built(folder))
    said = judged("kubernetes-validate", "--strict", tmp_path / "all.yaml")
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_judge_is_one_that_finds_mistakes(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(built(BASE).replace("podManagementPolicy", "podManagmentPolicy"))
    assert judged("kubernetes-validate", "--strict", tmp_path / "all.yaml").returncode != 0


@pytest.mark.parametrize("folder", [BASE, PRODUCTION, MONITORED], ids=lambda folder: folder.name)
def test_no_file_lies_about_unused(folder: Path) -> None:
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    generated = [file for each in said.get("configMapGenerator", []) for file in each["files"]]
    patches = [each["path"] for each in said.get("patches", []) if "path" in each]
    used = [name for name in (*said["resources"], *generated, *patches) if not name.startswith("..")]
    assert sorted(used) == sorted(file.name for file in folder.iterdir() if file.name != "kustomization.yaml")


def test_the_monitor_finds_the_hosts(tmp_path: Path) -> None:
    overlay = tmp_path / "overlays" / "mine"
    shutil.copytree(KUBERNETES, tmp_path, dirs_exist_ok=True)
    shutil.copytree(PRODUCTION, overlay)
    kustomization = overlay / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("# components:", "components:"))
    [monitor] = resources(overlay, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    [found] = [each for each in resources(overlay, "Service") if wanted.items() <= each["metadata"]["labels"].items()]
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in found["spec"]["ports"]}
    assert f"{SECRETS}/{endpoint['authorization']['credentials']['key']}" in str(settings(BASE))


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda folder: folder.name)
def test_ports_probes_and_variables_are_those_of_the_code(folder: Path) -> None:
    one = container(folder)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert ports == {"http": Server().port, "admin": Server().admin_port}
    probes = {name: one[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert {probe["path"] for probe in probes.values()} == set(_HEALTH)
    assert (probes["readiness"]["path"], probes["liveness"]["path"]) == ("/readyz", "/healthz")
    assert {each["name"] for each in one["env"]} <= variables()
    assert pod(folder)["enableServiceLinks"] is False, "a Service `fastgate` would set FASTGATE_PORT"
    targets = {port["targetPort"] for each in resources(folder, "Service") for port in each["spec"]["ports"]}
    [policy] = resources(folder, "NetworkPolicy")
    let_in = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert targets == let_in == set(ports)
    out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert out == {53, 443, REDIS_PORT, SENTINEL_PORT, POSTGRES_PORT}


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda folder: folder.name)
def test_a_pod_has_the_time_to_drain(folder: Path) -> None:
    probe, server = container(folder)["readinessProbe"], settings(folder)["server"]
    assert pod(folder)["terminationGracePeriodSeconds"] > longest_end(settings(folder))
    noticed = probe["failureThreshold"] * (probe["periodSeconds"] + probe["timeoutSeconds"])
    assert server["drain_delay_seconds"] > noticed
    assert str(server["workers"]) == container(folder)["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda folder: folder.name)
def test_the_image_runs_as_it_is_told(folder: Path) -> None:
    image = dockerfile.read(ROOT / "Dockerfile")[-1]
    secured = pod(folder)["securityContext"]
    assert f"{secured['runAsUser']}:{secured['runAsGroup']}" == image.user
    mounts = {mount["mountPath"]: mount["name"] for mount in container(folder)["volumeMounts"]}
    assert mounts == {
        image.volumes[0]: "state",
        image.workdir: "configuration",
        "/dev/shm": "shared-memory",
        SECRETS: "secrets",
    }
    [state] = [each["value"] for each in container(folder)["env"] if each["name"] == "FASTGATE_STATE_DIR"]
    assert Path(state).parent == Path(image.volumes[0])
    assert container(folder)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert (secured["runAsNonRoot"], secured["seccompProfile"]) == (True, {"type": "RuntimeDefault"})


def test_the_configuration_is_one_that_serves(tmp_path: Path) -> None:
    text, names = with_secrets_in((BASE / "fastgate.yaml").read_text(), SECRETS, tmp_path)
    (tmp_path / "fastgate.yaml").write_text(text)
    assert check(tmp_path / "fastgate.yaml") == ""
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert all(f"--from-file={name}" in page for name in names)


def test_hosts_are_told_apart_and_scaled_by_one_hand() -> None:
    [hosts] = resources(PRODUCTION, "StatefulSet")
    [scaler] = resources(PRODUCTION, "HorizontalPodAutoscaler")
    assert "replicas" not in hosts["spec"], "the autoscaler's word would be taken back by each apply"
    assert scaler["spec"]["scaleTargetRef"]["name"] == hosts["metadata"]["name"]
    assert hosts["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert {each["topologyKey"] for each in pod(PRODUCTION)["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    labels = hosts["spec"]["template"]["metadata"]["labels"].items()
    selecting = [each["spec"]["selector"] for each in resources(PRODUCTION, "Service")]
    selecting += [each["spec"]["selector"]["matchLabels"] for each in resources(PRODUCTION, "PodDisruptionBudget")]
    selecting += [each["spec"]["podSelector"]["matchLabels"] for each in resources(PRODUCTION, "NetworkPolicy")]
    assert all(selector.items() <= labels for selector in selecting)
    assert hosts["spec"]["serviceName"] in {each["metadata"]["name"] for each in resources(PRODUCTION, "Service")}
