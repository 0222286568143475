"""`rrq config`, called as people call it."""

from pathlib import Path

from support.cli import World

FILE = """
[rrq]
redis_dsn = "redis://:canary@localhost:6379/0"
default_max_retries = 7
[rrq.runners.python]
app = "a:b"
env = { TOKEN = "canary" }
"""


def _write(world: World) -> dict[str, str]:
    Path(world.folder, "rrq.toml").write_text(FILE)
    Path(world.folder, "rrq.toml").chmod(0o600)
    world.environment.pop("RRQ_REDIS_DSN")
    return {"RRQ_DEFAULT_QUEUE_NAME": "fromenv"}


def test_show_tells_values_and_origins(world: World) -> None:
    """Each value in force is shown with where it comes from, as a table or JSON."""
    environment = _write(world)
    found = world.rrq("config", "show", "--json", environment=environment).json
    settings = found["settings"]
    assert settings["default_max_retries"]["value"] == 7
    assert "rrq.toml" in settings["default_max_retries"]["origin"]
    assert settings["default_queue_name"] == {"value": "fromenv", "origin": "RRQ_DEFAULT_QUEUE_NAME"}
    assert settings["lease_seconds"]["origin"] == "default"
    changed = world.rrq("config", "show", "--changed", "--origin", environment=environment)
    assert "default_max_retries" in changed.out
    assert "lease_seconds" not in changed.out


def test_secrets_are_masked(world: World) -> None:
    """Neither the password of the DSN nor a runner's environment is printed."""
    environment = _write(world)
    for args in (("config", "show"), ("config", "show", "--json"), ("config", "check")):
        answer = world.rrq(*args, environment=environment)
        assert answer.code == 0
        assert "canary" not in answer.out + answer.err


def test_check(world: World) -> None:
    """Right settings are 0; wrong ones are 78 with every problem; nothing is connected to."""
    _write(world)
    assert world.rrq("config", "check", "--json").json["ok"] is True
    Path(world.folder, "rrq.toml").write_text("[rrq]\nlease_second = 3\ndefault_max_retries = -1\n")
    answer = world.rrq("config", "check")
    assert answer.code == 78
    assert "lease_seconds" in answer.err
    assert "default_max_retries" in answer.err
