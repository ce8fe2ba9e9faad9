"""compose.yaml: services that exist, secrets by file, checks of health, no way in but one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.files import DEPLOY, KNOWN_IMAGES, ROOT, check_command, closing_s, documents, gateway_config

CONDITIONS = {"service_healthy": "healthcheck", "service_completed_successfully": "command"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "compose.yaml")
    assert isinstance(found, dict)
    return found


def test_what_is_named_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for kind in ("secrets", "networks"):
            assert set(service.get(kind, ())) <= set(compose[kind]), name
        for one in service.get("configs", ()):
            assert one["source"] in compose["configs"], name
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in compose["volumes"], name
        for other, how in service.get("depends_on", {}).items():
            assert CONDITIONS[how["condition"]] in compose["services"][other], (name, other)
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", ())}
    assert used == set(compose["secrets"])


def test_secrets_come_by_file_and_are_those_that_the_script_makes(compose: dict[str, Any]) -> None:
    script = (DEPLOY / "make-secrets.sh").read_text()
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert f"keep {name} " in script
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"], name
            else:
                assert (
                    not variable.endswith(("_KEY", "_PASSWORD", "_URL")) or variable == "LLMCORE_PUBLIC_URL"
                )


def test_images_and_builds(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        if "build" in service:
            build = service["build"]
            assert (DEPLOY / build["context"]).resolve() == ROOT
            assert (ROOT / build["dockerfile"]).is_file()
        else:
            assert service["image"] in KNOWN_IMAGES


def test_everybody_has_a_check_of_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("gateway", "postgres", "redis"):
        test = services[name]["healthcheck"]["test"]
        assert test[0] in {"CMD", "CMD-SHELL"}
        assert len(test) > 1
        assert services[name]["restart"] == "unless-stopped"


def test_only_the_gateway_can_be_reached_and_only_from_here(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["gateway"]
    (port,) = compose["services"]["gateway"]["ports"]
    assert port.startswith("127.0.0.1:")
    assert compose["networks"]["inner"]["internal"] is True
    for name in ("postgres", "redis"):
        assert compose["services"][name]["networks"] == ["inner"]


def test_the_gateway_is_as_weak_as_it_can_be(compose: dict[str, Any]) -> None:
    for name in ("gateway", "migrate"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged", False)


def test_commands_ports_and_configuration_fit_together(compose: dict[str, Any]) -> None:
    services = compose["services"]
    check_command(services["gateway"]["command"])
    check_command(services["migrate"]["command"])
    config = gateway_config((DEPLOY / compose["configs"]["gateway"]["file"]).read_text())
    command = services["gateway"]["command"]
    inner = services["gateway"]["ports"][0].rpartition(":")[2]
    assert str(config.port) == inner == command[command.index("--port") + 1]
    assert {"localhost", "127.0.0.1", "gateway"} <= config.hosts()
    mounted = services["gateway"]["configs"][0]["target"]
    assert services["gateway"]["environment"]["LLMCORE_CONFIG"] == mounted
    assert int(services["gateway"]["stop_grace_period"].removesuffix("s")) >= config.drain + closing_s()


def test_addresses_of_the_secrets_name_the_services(compose: dict[str, Any]) -> None:
    script = (DEPLOY / "make-secrets.sh").read_text()
    assert "@postgres:5432/llmcore" in script
    assert "@redis:6379/" in script
    environment = compose["services"]["postgres"]["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_DB"]) == ("llmcore", "llmcore")


def test_no_password_is_among_the_arguments_of_redis(compose: dict[str, Any]) -> None:
    shell = compose["services"]["redis"]["command"][-1]
    assert shell.endswith("| exec redis-server -")
    assert "--requirepass" not in shell
    assert "maxmemory-policy noeviction" in shell, "an evicted key would forget what was used"
