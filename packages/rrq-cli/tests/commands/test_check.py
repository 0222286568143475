"""`rrq check`, called as people call it."""

from support.cli import World


def test_nobody_is_alive(world: World) -> None:
    """Without an orchestrator the answer is 1 and what to start."""
    answer = world.rrq("check")
    assert answer.code == 1
    assert "rrq worker run" in answer.words
    assert world.rrq("check", "--json").json["healthy"] is False


def test_a_live_orchestrator_is_healthy(world: World) -> None:
    """With one the answer is 0, with its facts in the JSON."""
    world.register(host="h", pid=7)
    answer = world.rrq("check")
    assert (answer.code, "✓ healthy" in answer.out) == (0, True)
    found = world.rrq("check", "--json").json
    assert (found["healthy"], found["findings"]) == (True, [])
    (worker,) = found["orchestrators"]
    assert (worker["state"], worker["host"], worker["pid"], worker["queues"]) == ("live", "h", 7, ["default"])


def test_a_lapsed_lease_is_a_finding(world: World) -> None:
    """An orchestrator whose lease is past does not count as alive, and is named."""
    world.register("late", lease_ms=-9000)
    answer = world.rrq("check", "--json")
    assert answer.code == 1
    assert answer.json["orchestrators"][0]["state"] == "lapsed"
    assert any("lease of late is past" in finding for finding in answer.json["findings"])
    world.register("fine")
    assert world.rrq("check").code == 0
