"""The manifests in deploy/kubernetes fit the settings' defaults and each other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rrq_protocol import load_settings
from support.graces import DRAIN_S

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def _documents(path: Path) -> dict[str, Any]:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert all({"apiVersion", "kind", "metadata"} <= set(each) for each in documents)
    return {each["kind"]: each for each in documents}


def _pod(path: Path) -> Any:
    return _documents(path)["Deployment"]["spec"]["template"]["spec"]


def _containers(path: Path) -> Iterator[Any]:
    pod = _pod(path)
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


def test_there_are_manifests() -> None:
    """Orchestrators that start their runners, and runners in containers of their own."""
    assert [path.name for path in FILES] == ["orchestrator.yaml", "sidecar.yaml"]


@every_file
def test_a_pod_may_drain(path: Path) -> None:
    """Nothing is killed before attempts have ended or were given back."""
    assert _pod(path)["terminationGracePeriodSeconds"] >= DRAIN_S


@every_file
def test_the_settings_are_right(path: Path, tmp_path: Path) -> None:
    """The settings file in the manifest is one; no password stands in it."""
    text = _documents(path)["ConfigMap"]["data"]["rrq.toml"]
    (tmp_path / "rrq.toml").write_text(text)
    (tmp_path / "rrq.toml").chmod(0o600)
    # The secret is mounted there only.
    given = {"RRQ_REDIS_DSN": "redis://localhost"}
    settings = load_settings(tmp_path / "rrq.toml", environ=given, cwd=tmp_path)
    assert settings.runners
    assert settings.redis_dsn_file is not None
    mounts = [mount for each in _containers(path) for mount in each["volumeMounts"]]
    assert str(Path(settings.redis_dsn_file).parent) in {mount["mountPath"] for mount in mounts}
    assert "://" not in text


@every_file
def test_confinement(path: Path) -> None:
    """No root, no rights, a root file system nobody writes to, and a folder for sockets all the same."""
    pod = _pod(path)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in _containers(path):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {"requests", "limits"} <= set(container["resources"])


@every_file
def test_what_is_mounted_is_there(path: Path) -> None:
    """Each mount has its volume, each selector its label, and the settings are where they are looked for."""
    volumes = {volume["name"] for volume in _pod(path)["volumes"]}
    used = {mount["name"] for each in _containers(path) for mount in each["volumeMounts"]}
    assert used == volumes
    (orchestrator,) = (each for each in _containers(path) if each["name"] == "orchestrator")
    (config,) = (each["value"] for each in orchestrator["env"] if each["name"] == "RRQ_CONFIG")
    assert str(Path(config).parent) in {mount["mountPath"] for mount in orchestrator["volumeMounts"]}
    documents = _documents(path)
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    specs = [each["spec"] for each in documents.values() if "spec" in each]
    selectors = [spec[key] for spec in specs for key in ("selector", "podSelector") if key in spec]
    assert len(selectors) == 3
    assert all(selector["matchLabels"].items() <= labels.items() for selector in selectors)


@every_file
def test_probes(path: Path, tmp_path: Path) -> None:
    """They ask where the orchestrator listens, as does who reads metrics, and nobody else may. What restarts
    a pod does not ask for Redis, and has patience: a fenced orchestrator comes back by itself.
    """
    (orchestrator,) = (each for each in _containers(path) if each["name"] == "orchestrator")
    (tmp_path / "rrq.toml").write_text(_documents(path)["ConfigMap"]["data"]["rrq.toml"])
    settings = load_settings(
        tmp_path / "rrq.toml", environ={"RRQ_REDIS_DSN": "redis://localhost"}, cwd=tmp_path
    )
    (port,) = orchestrator["ports"]
    assert settings.http.address == f"0.0.0.0:{port['containerPort']}"
    probes = {name: orchestrator[name] for name in ("livenessProbe", "readinessProbe")}
    asked = {name: probe["httpGet"] for name, probe in probes.items()}
    assert asked == {
        "livenessProbe": {"path": "/healthz", "port": port["name"]},
        "readinessProbe": {"path": "/readyz", "port": port["name"]},
    }
    policy = _documents(path)["NetworkPolicy"]["spec"]["ingress"]
    assert [each["port"] for rule in policy for each in rule["ports"]] == [port["name"]]
    told = _documents(path)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert told["prometheus.io/port"] == str(port["containerPort"])
    alive = probes["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] > 3 * settings.lease_seconds


def test_a_sidecar_is_where_the_orchestrator_looks(tmp_path: Path) -> None:
    """It starts first, listens where the settings say, and is stopped last."""
    path = FOLDER / "sidecar.yaml"
    (runner,) = _pod(path)["initContainers"]
    assert runner["restartPolicy"] == "Always"
    variables = {each["name"]: each["value"] for each in runner["env"]}
    (tmp_path / "rrq.toml").write_text(_documents(path)["ConfigMap"]["data"]["rrq.toml"])
    given = {"RRQ_REDIS_DSN": "redis://localhost"}
    settings = load_settings(tmp_path / "rrq.toml", environ=given, cwd=tmp_path)
    handlers = settings.runners["handlers"]
    assert handlers.is_external
    assert variables["RRQ_RUNNER_TCP_SOCKET"] == handlers.tcp_socket
    host, port = variables["RRQ_RUNNER_TCP_SOCKET"].split(":")
    assert f"('{host}', {port})" in runner["startupProbe"]["exec"]["command"][-1]
