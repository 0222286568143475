"""`rrq config`, called as people call it."""

import re
from pathlib import Path

import pytest

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
    assert settings["default_queue_name"] == {
        "value": "fromenv",
        "origin": "RRQ_DEFAULT_QUEUE_NAME",
        "source": "environment",
    }
    assert settings["default_max_retries"]["source"] == "file"
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


def test_every_key_has_an_origin(world: World) -> None:
    """The settings shown are all there are; a command line, a variable and a file are told apart."""
    from rrq_protocol.settings import Settings
    from rrq_protocol.settings.schema import fields_of

    environment = _write(world)
    found = world.rrq(
        "config", "show", "--json", "--prefix", "mine", environment={**environment, "RRQ_LOG_LEVEL": "error"}
    ).json["settings"]
    shown = {key.partition(".")[0] for key in found}
    assert shown == set(fields_of(Settings))
    told = {key: found[key]["origin"] for key in ("key_prefix", "log_level", "default_max_retries")}
    assert told == {
        "key_prefix": "command line",
        "log_level": "RRQ_LOG_LEVEL",
        "default_max_retries": "rrq.toml:4",
    }


def test_the_origin_of_a_secret_is_its_file(world: World) -> None:
    """A DSN from redis_dsn_file says so, with the file and what named it; the password is masked."""
    environment = _write(world)
    secret = Path(world.folder, "secret")
    secret.write_text("redis://me:canary@localhost/3")
    secret.chmod(0o600)
    Path(world.folder, "rrq.toml").write_text(f'redis_dsn_file = "{secret}"\n')
    found = world.rrq("config", "show", "--json", environment=environment).json["settings"]["redis_dsn"]
    assert found["value"] == "redis://me:***@localhost/3"
    assert str(secret) in found["origin"]
    assert "rrq.toml:1" in found["origin"]


def test_check_tells_programs_everything(world: World) -> None:
    """With --json wrong settings are a document too: each problem with key path and nearest key."""
    _write(world)
    Path(world.folder, "rrq.toml").write_text(
        "[rrq]\nlease_second = 3\n[rrq.runners.python]\napp = 'a:b'\npool_siz = 3\nmax_jobs = 'x'\n"
    )
    answer = world.rrq("config", "check", "--json")
    assert answer.code == 78
    document = answer.json
    assert document["ok"] is False
    texts = "\n".join(document["problems"])
    assert 'rrq.lease_second: unknown key, did you mean "lease_seconds"? (rrq.toml:2)' in texts
    assert 'rrq.runners.python.pool_siz: unknown key, did you mean "pool_size"? (rrq.toml:5)' in texts
    assert "rrq.runners.python.max_jobs: expected" in texts


def test_check_warns(world: World) -> None:
    """Old names and secrets that other users can read are said, and are no failure."""
    environment = _write(world)
    Path(world.folder, "rrq.toml").chmod(0o644)
    with Path(world.folder, "rrq.toml").open("a") as file:
        file.write("[rrq.routing]\nmedia = 'python'\n")
    answer = world.rrq("config", "check", "--json", environment=environment)
    assert answer.code == 0
    warnings = "\n".join(answer.json["warnings"])
    assert "runner_routes" in warnings
    assert "chmod o-r" in warnings
    shown = world.rrq("config", "check", environment=environment)
    assert "chmod o-r" in shown.words
    assert "canary" not in answer.out + shown.out + shown.err


@pytest.mark.parametrize("query", ["ssl_cert_reqs=none", "timeout=5", "decode_responses=true", "db=zz"])
@pytest.mark.parametrize("command", [("config", "check"), ("queue", "list"), ("check",)])
def test_options_of_the_client_library_are_refused(
    world: World, command: tuple[str, ...], query: str
) -> None:
    """What a DSN asks for besides the few permitted options is named, by every command alike."""
    answer = world.rrq(*command, "--redis-dsn", f"rediss://127.0.0.1:1/0?{query}")
    assert answer.code == 78
    assert "rrq.redis_dsn: " in answer.err
    assert query.partition("=")[0] in answer.err
    assert "Traceback" not in answer.err


def test_secrets_in_commands_and_parameters_are_masked(world: World) -> None:
    """Values of options and parameters that are named like secrets are not printed, as table or JSON."""
    lines = [
        "[rrq.watch]",
        'pre_restart_cmds = [["sh", "-c", "x --token canary"]]',
        "[rrq.runners.python]",
        'cmd = ["serve", "--token", "canary", "--api-key=canary", "--port", "7"]',
        "[[rrq.cron_jobs]]",
        'function_name = "f"',
        'schedule = "@daily"',
        'params = { api_key = "canary", at = { password = "canary" }, size = 77 }',
    ]
    Path(world.folder, "rrq.toml").write_text("\n".join(lines))
    shown, answer = (world.rrq("config", "show", "--changed", *options) for options in ((), ("--json",)))
    for each in (shown, answer):
        assert each.code == 0
        assert "canary" not in each.out + each.err
    settings = answer.json["settings"]
    assert settings["runners.python.cmd"]["value"] == [
        *("serve", "--token", "***", "--api-key=***", "--port", "7")
    ]
    assert settings["cron_jobs"]["value"][0]["params"]["size"] == 77


def test_every_problem_is_told_in_one_run(world: World) -> None:
    """Of shape, of equal names, and of cron entries; entries that cannot be read hide no others."""
    # It judges cron expressions. A strict run counts a skip as a failure.
    pytest.importorskip("rrq_orchestrator")
    entries = [
        'schedule = "* * * * *"',
        'function_name = "f"\nschedule = 7\ntimezone = "Not/Read"',
        'function_name = "f"\nschedule = "0 0 30 2 *"',
        'function_name = "f"\nname = "same"\nschedule = "@reboot"',
        'function_name = "f"\nname = "same"\nschedule = "* * * * *"\ntimezone = "No/Where"',
        'function_name = "f"\nname = "few"\nschedule = "* * *"\ntimezone = "No/Where"',
        'function_name = "f"\nname = "same"\nschedule = 7\nargs = "x"\nparams = { a = nan }\nbogus = 1',
        'function_name = "f"\nname = 7\nschedule = "9 99 * * *"\nargs = [1]\nparams = { a = 1 }',
    ]
    tables = "".join(f"[[rrq.cron_jobs]]\n{entry}\n" for entry in entries)
    Path(world.folder, "rrq.toml").write_text(f"[rrq]\nlease_second = 3\ndefault_max_retries = -1\n{tables}")
    answer = world.rrq("config", "check", "--json")
    assert answer.code == 78
    paths = [problem.partition(": ")[0].removeprefix("rrq.") for problem in answer.json["problems"]]
    assert sorted(paths) == sorted(
        [
            "lease_second",
            "default_max_retries",
            "cron_jobs[0].function_name",
            "cron_jobs[1].schedule",
            "cron_jobs[1].timezone",
            "cron_jobs[2].schedule",
            "cron_jobs[3].schedule",
            "cron_jobs[4].name",
            "cron_jobs[4].timezone",
            "cron_jobs[5].schedule",
            "cron_jobs[5].timezone",
            "cron_jobs[6].args",
            "cron_jobs[6].bogus",
            "cron_jobs[6].name",
            "cron_jobs[6].params.a",
            "cron_jobs[6].schedule",
            "cron_jobs[7]",
            "cron_jobs[7].name",
            "cron_jobs[7].schedule",
        ]
    )
    assert all(re.search(r" \(rrq\.toml:\d+\)$", problem) for problem in answer.json["problems"])


def test_an_entry_that_is_no_table_hides_no_others(world: World) -> None:
    """The rest of the list is judged in its places."""
    Path(world.folder, "rrq.toml").write_text(
        '[rrq]\ncron_jobs = [7, {function_name = "f", schedule = "* *"}]\n'
    )
    problems = world.rrq("config", "check", "--json").json["problems"]
    assert [problem.partition(": ")[0] for problem in problems] == [
        "rrq.cron_jobs[0]",
        "rrq.cron_jobs[1].schedule",
    ]


def test_cron_into_nowhere_is_told(world: World) -> None:
    """A runner that is not configured is a problem; a queue that is not served may be served by others, and
    is a warning. Both name the entry."""
    entry = '[[rrq.cron_jobs]]\nname = "{}"\nfunction_name = "{}"\nschedule = "@daily"\nqueue_name = "{}"\n'
    file = Path(world.folder, "rrq.toml")
    file.write_text("[rrq]\n" + entry.format("lost", "f", "monitoring"))
    answer = world.rrq("config", "check", "--json")
    (warning,) = answer.json["warnings"]
    assert (answer.code, warning.startswith("rrq.cron_jobs[0].queue_name: the queue monitoring")) == (0, True)
    assert "entry lost" in warning
    file.write_text("[rrq]\n" + entry.format("spook", "ghost#a", "default"))
    answer = world.rrq("config", "check", "--json")
    (problem,) = answer.json["problems"]
    assert (answer.code, "got ghost in the entry spook" in problem) == (78, True)
