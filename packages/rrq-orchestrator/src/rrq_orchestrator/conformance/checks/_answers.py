"""The handlers every example has, and how they are answered."""

from typing import Any, Final

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.talk import expect_error, expect_success, later, shown
from rrq_orchestrator.conformance.verdict import Finding

HANDLERS: Final = ("crash", "echo", "fail", "retry", "sleep")

_VALUES: Final[dict[str, Any]] = {
    "text": 'häß → 😀 "quoted" \\ / \n\r\t \u2028 \x7f',
    "nul": "a\u0000b",
    "integers": [0, -1, 9007199254740991, -9007199254740991],
    "numbers": [0.1, -2.5e-7, 1.5e300],
    "words": [True, False, None],
    "empty": [{}, [], ""],
    "nested": [[[[{"a": [{"b": {"c": None}}]}]]]],
    "": "a key without a name",
    "__proto__": {"polluted": True},
    "request_id": "not mine",
}


async def echo(bench: Bench) -> str | None:
    """Params come back as they went."""
    talk = await bench.talk()
    expect_success(await talk.call("echo", _VALUES), _VALUES)
    expect_success(await talk.call("echo"), {})
    await talk.fence()
    return None


async def fail(bench: Bench) -> str | None:
    """An error with its message."""
    talk = await bench.talk()
    expect_error(await talk.call("fail"), message="failed on purpose")
    expect_error(await talk.call("fail", {"message": "no → such"}), message="no → such")
    await talk.fence()
    return None


async def retry(bench: Bench) -> str | None:
    """Retry with its delay, then success."""
    talk = await bench.talk()
    answer = await talk.call("retry", {"attempts": 3, "seconds": 2}, context={"attempt": 2})
    if answer["status"] != "retry" or answer.get("retry_after_seconds") != 2:
        raise Finding(f"expected status retry with retry_after_seconds 2, got {shown(answer)}")
    expect_success(
        await talk.call("retry", {"attempts": 3, "seconds": 2}, context={"attempt": 3}), {"attempt": 3}
    )
    await talk.fence()
    return None


async def sleep(bench: Bench) -> str | None:
    """An answer after its time."""
    talk = await bench.talk()
    expect_success(await talk.call("sleep", {"seconds": 0.05}), {"slept": 0.05})
    return None


async def unknown_handler(bench: Bench) -> str | None:
    """An error of its own type."""
    talk = await bench.talk()
    for name in ("no_such_handler", "", "constructor", "__init__", "Echo"):
        expect_error(await talk.call(name), "handler_not_found")
    await talk.fence()
    return None


async def unknown_fields(bench: Bench) -> str | None:
    """Fields of a later minor version are skipped, null means absent."""
    talk = await bench.talk()
    context: dict[str, Any] = {
        "deadline": None,
        "trace_context": None,
        "worker_id": None,
        "later": [1, {"a": 2}],
    }
    expect_success(await talk.call("echo", {"a": 1}, context=context, later={"b": [None]}), {"a": 1})
    context = {"trace_context": {"traceparent": "00-1-1-01"}, "correlation_context": {"order": "7"}}
    expect_success(await talk.call("echo", {"a": 2}, context={**context, "worker_id": "w"}), {"a": 2})
    asked = talk.request("echo", {"a": 3})
    talk.link.send_body(asked.body[:-1] + b',"later":{"c":true}}')
    expect_success(await talk.answer(asked), {"a": 3})
    return None


async def matching(bench: Bench) -> str | None:
    """Each of many answers carries its own request's ids and result."""
    talk = await bench.talk()
    asked = [(number, talk.request("echo", {"number": number})) for number in range(50)]
    talk.link.send(b"".join(talk.link.framed(each.body) for _, each in asked))
    busy = 0
    for number, each in asked:
        answer = await talk.answer(each)
        if _is_busy(answer):
            busy += 1
        else:
            expect_success(answer, {"number": number})
    await talk.fence()
    return f"{busy} of 50 answered busy" if busy else None


async def concurrency(bench: Bench) -> str | None:
    """A slow request does not hold up the next one."""
    talk = await bench.talk()
    slow = talk.ask("sleep", {"seconds": 1.5})
    quick = [talk.ask("echo", {"number": number}) for number in range(5)]
    for each in quick:
        await talk.answer(each)
    expect_success(await talk.answer(slow), {"slept": 1.5})
    if talk.order[-1] != slow.request_id:
        raise Finding("expected echo to be answered while sleep runs, it was answered after it")
    await talk.fence()
    return None


async def deadline(bench: Bench) -> str | None:
    """At its deadline a request is cancelled, and has one answer."""
    talk = await bench.talk()
    expect_success(await talk.call("echo", {}, context={"deadline": later(3600)}), {})
    slow = talk.ask("sleep", {"seconds": 600}, context={"deadline": later(0.3)})
    early = False
    try:
        await talk.answer(slow, within_s=0.4)
        early = True
    except Finding:
        talk.cancel(slow)
    answer = await talk.answer(slow)
    if answer["status"] != "timeout":
        kind = (answer.get("error") or {}).get("type")
        if kind not in ("timeout", "cancelled"):
            raise Finding(f"expected timeout, or an error of type timeout or cancelled, got {shown(answer)}")
    await talk.fence()
    return "ends it by itself" if early else None


async def large(bench: Bench) -> str | None:
    """Messages of some MiB are nothing special."""
    talk = await bench.talk()
    params = {"text": "x€" * (1024 * 1024)}
    answer = await talk.call("echo", params)
    if answer.get("result") != params:
        raise Finding(f"expected a text of 4 MiB to come back unchanged, got {shown(answer)}")
    await talk.fence()
    return None


async def hello(bench: Bench) -> str | None:
    """Where hello was offered, it may be the first message, and must be complete."""
    talk = await bench.talk()
    await talk.fence()
    said = talk.hello
    if said is None:
        return "sends none"
    if not isinstance(said.get("runtime"), str) or not isinstance(said.get("version"), str):
        raise Finding(f"hello: expected runtime and version as texts, got {shown(said)}")
    handlers = said.get("handlers")
    missing = sorted(set(HANDLERS) - set(handlers if isinstance(handlers, list) else ()))
    if missing:
        raise Finding(f"hello.handlers: expected {', '.join(HANDLERS)} among them, got {shown(said)}")
    return f"{shown(said['runtime'])} {shown(said['version'])}"


async def no_hello(bench: Bench) -> str | None:
    """Where hello was not offered, nothing is said unasked."""
    talk = await bench.talk(offering=False)
    await talk.fence()
    if talk.hello is not None:
        raise Finding("expected no hello without RRQ_RUNNER_EXTENSIONS, got one")
    return None


async def crash(bench: Bench) -> str | None:
    """The process ends, and nothing is answered."""
    talk = await bench.talk()
    asked = talk.ask("crash", {"code": 3})
    answer = await talk.answer_or_end(asked)
    if answer is not None:
        raise Finding(f"expected no answer from crash, got {shown(answer)}")
    code = await bench.ended(bench.patience_s)
    if code != 3:
        raise Finding(f"expected the process to end with code 3, it {bench.how_it_ended()}")
    expect_success(await (await bench.talk(again=True)).call("echo", {"again": True}), {"again": True})
    return None


def _is_busy(answer: dict[str, Any]) -> bool:
    return answer["status"] == "error" and (answer.get("error") or {}).get("type") == "busy"
