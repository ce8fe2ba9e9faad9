"""The Kubernetes manifests: required fields, references, selectors, probes that meet routes, ports that fit."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import anyio
import kubernetes_validate  # type: ignore[import-untyped]  # it brings no types
import pytest

from llmcore.gateway.api.table import Table
from tests.deploy.files import DEPLOY, check_command, closing_s, documents, gateway_config
from tests.gateway.whole import whole

FOLDER = DEPLOY / "kubernetes"
VERSIONS = {
    "ConfigMap": "v1",
    "Secret": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}
APPS = "app.kubernetes.io/name"


def objects() -> list[dict[str, Any]]:
    return [one for path in sorted(FOLDER.glob("*.yaml")) for one in documents(path)]


def one(kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects() if each["kind"] == kind]
    return found


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("Deployment", "Job"):
        yield kind, one(kind)["spec"]["template"]["spec"]


def containers() -> Iterator[dict[str, Any]]:
    for _, pod in pods():
        yield from pod["containers"]


def config() -> Any:
    return gateway_config(one("ConfigMap")["data"]["config.toml"])


def test_every_object_says_what_it_is() -> None:
    found = objects()
    assert {each["kind"] for each in found} == set(VERSIONS)
    for each in found:
        assert each["apiVersion"] == VERSIONS[each["kind"]]
        assert each["metadata"]["name"]
        assert each["metadata"]["labels"][APPS] == "llmcore"
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(set(names)) == len(names)


def test_selectors_select_the_pods() -> None:
    deployment = one("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one("Service")["spec"]["selector"],
        one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    job = one("Job")["spec"]["template"]["metadata"]["labels"]
    assert not one("Service")["spec"]["selector"].items() <= job.items(), "the migration takes no calls"
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= job.items()


def test_what_pods_refer_to_is_there() -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in objects()}
    for _, pod in pods():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
        for container in pod["containers"]:
            mounts = [mount["name"] for mount in container["volumeMounts"]]
            assert set(mounts) == set(volumes)
            environ = {variable["name"]: variable["value"] for variable in container["env"]}
            path = Path(environ["LLMCORE_CONFIG"])
            assert path.name in one("ConfigMap")["data"]
            where = next(mount for mount in container["volumeMounts"] if mount["name"] == "config")
            assert str(path.parent) == where["mountPath"]


def test_secrets_come_as_files_that_the_pods_user_alone_can_read() -> None:
    secret = one("Secret")
    for kind, pod in pods():
        (volume,) = [each["secret"] for each in pod["volumes"] if "secret" in each]
        assert volume == {"secretName": secret["metadata"]["name"], "defaultMode": 0o440}
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
        (container,) = pod["containers"]
        assert "envFrom" not in container, kind
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "secrets"]
        assert mount["readOnly"] is True
        files = {
            each["name"].removesuffix("_FILE"): Path(each["value"])
            for each in container["env"]
            if each["name"].endswith("_FILE")
        }
        assert set(files) == set(secret["stringData"])
        for name, path in files.items():
            assert path == Path(mount["mountPath"], name)


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_kubernetes_own_schemas_know_every_field(version: str) -> None:
    for each in objects():
        kubernetes_validate.validate(each, version, strict=True)


def test_pods_run_as_nobody_of_weight_and_within_bounds() -> None:
    for kind, pod in pods():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, kind
        assert security["runAsUser"] >= 1000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in containers():
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert "/" not in container["image"]
        assert not container["image"].endswith(":latest")
        check_command(container["args"])


def test_the_user_of_the_pods_is_that_of_the_image() -> None:
    said = f"USER {one('Deployment')['spec']['template']['spec']['securityContext']['runAsUser']}:"
    assert said in (DEPLOY / "Dockerfile").read_text()


@pytest.mark.anyio
async def test_probes_by_the_address_of_a_pod_are_answered_and_nothing_else_is(tmp_path: Path) -> None:
    """With the manifest's own configuration, over a real socket, as a kubelet asks: by address, without further headers."""
    async with whole(tmp_path, config=config()) as made, made.listening() as port:
        (container,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            assert "httpHeaders" not in asked
            for pod in ("10.42.0.7:8400", "[fd00::7]:8400"):
                assert await answered(port, asked["path"], pod) == 200
            for name in (
                "evil.test",
                "10.42.0.7.evil.test",
                "0x7f000001",
                "[fd00::7",
                "",
                "10.42.0.7@evil.test",
            ):
                assert await answered(port, asked["path"], name) in {400, 421}, name
        for route in made.app.table:
            if route.path not in {"/healthz", "/readyz"}:
                path = route.shown_path.replace("{id}", "x").replace("{name}", "x")
                assert await answered(port, path, "10.42.0.7:8400") == 421, path
        for path in ("/", "/sign-in", "/healthz/", "//healthz", "/proxy/llm/v1/models", "/static/app.css"):
            assert await answered(port, path, "10.42.0.7:8400") == 421, path
        assert await answered(port, "/healthz", "llm.example.org") == 200


async def answered(port: int, path: str, host: str) -> int:
    """The status that a plain request gets."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return int((await stream.receive()).split(b" ", 2)[1])


@pytest.mark.anyio
async def test_probes_meet_open_routes(tmp_path: Path) -> None:
    async with whole(tmp_path) as made:
        table: Table = made.app.table
        (container,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            found = table.find(asked["path"])
            assert found is not None, asked["path"]
            assert found.methods["GET"].access == "open"
            assert ports[asked["port"]] == config().port
    startup, liveness = container["startupProbe"], container["livenessProbe"]
    assert startup["httpGet"]["path"] == "/readyz"
    assert liveness["httpGet"]["path"] == "/healthz", "a database that is away must not restart the gateway"


def test_ports_fit_from_the_service_to_the_configuration() -> None:
    (container,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    (outer,) = one("Service")["spec"]["ports"]
    assert outer["targetPort"] == port["name"]
    args = container["args"]
    assert str(config().port) == str(port["containerPort"]) == args[args.index("--port") + 1]
    (rule,) = one("NetworkPolicy")["spec"]["ingress"]
    assert [each["port"] for each in rule["ports"]] == [config().port]


def test_a_stopping_pod_has_time_for_what_runs() -> None:
    pod = one("Deployment")["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= pause + config().drain + closing_s()


def test_the_autoscaler_owns_the_number_of_pods() -> None:
    scaler, deployment = one("HorizontalPodAutoscaler")["spec"], one("Deployment")
    target = scaler["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (deployment["apiVersion"], deployment["kind"])
    assert target["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert 2 <= scaler["minReplicas"] <= scaler["maxReplicas"]
    assert one("PodDisruptionBudget")["spec"]["minAvailable"] < scaler["minReplicas"]
    measured = scaler["metrics"][0]["resource"]["name"]
    assert measured in deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]


def test_the_secret_is_a_template_with_the_variables_that_are_read() -> None:
    secret = one("Secret")
    values = secret["stringData"]
    assert all("REPLACE" in value for value in values.values())
    assert "data" not in secret
    from llmcore.gateway.vault.keyring import VARIABLE

    assert {VARIABLE, "LLMCORE_DATABASE_URL", "LLMCORE_REDIS_URL"} <= set(values)
    text = one("ConfigMap")["data"]["config.toml"]
    assert "${OPENAI_API_KEY}" in text
    assert "OPENAI_API_KEY" in values


def test_nothing_goes_out_but_names_data_and_vendors() -> None:
    policy = one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    blocks = [to["ipBlock"] for rule in policy["egress"] for to in rule["to"] if "ipBlock" in to]
    assert blocks == [{"cidr": "0.0.0.0/0", "except": blocks[0]["except"]}]
    closed = [ip_network(each) for each in blocks[0]["except"]]
    for address in (
        "10.0.0.1",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "127.0.0.1",
    ):
        assert any(ip_address(address) in each for each in closed), address
    assert not any(ip_address("8.8.8.8") in each for each in closed)


def test_the_migration_ends() -> None:
    spec = one("Job")["spec"]
    assert spec["template"]["spec"]["restartPolicy"] in {"OnFailure", "Never"}
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["backoffLimit"] >= 1
