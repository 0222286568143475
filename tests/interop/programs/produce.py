"""The public wheel's producer, told what to do: one JSON request per line in, one JSON answer per line out.
Only the environment of the public wheel can run this; ``rust/src/producing.rs`` mirrors it.
"""

import asyncio
import importlib
import json
import os
import sys
from typing import Any

WITHIN_S = 30.0


def told(found: Any) -> dict[str, Any] | None:
    """Return a job's state as JSON."""
    if found is None:
        return None
    return {"status": found.status.value, "result": found.result, "last_error": found.last_error}


async def answer(client: Any, request: dict[str, Any]) -> Any:
    """Carry out one request."""
    options = {**request.get("options", {}), "params": request.get("params", {})}
    match request["do"]:
        case "enqueue":
            return await client.enqueue(request["function"], options)
        case "rate_limit":
            return await client.enqueue_with_rate_limit(request["function"], options)
        case "debounce":
            return await client.enqueue_with_debounce(request["function"], options)
        case "status":
            return told(await client.get_job_status(request["job_id"]))
        case "wait":
            return told(await client.wait_for_completion(request["job_id"], timeout_seconds=WITHIN_S))
        case other:
            raise ValueError(f"expected a known request, got {other!r}")


async def main() -> None:
    """Answer until standard input ends."""
    client = importlib.import_module("rrq.client").RRQClient(
        config={"redis_dsn": os.environ["INTEROP_REDIS"]}
    )
    for line in sys.stdin:
        try:
            answered = {"value": await answer(client, json.loads(line))}
        except ValueError as error:
            answered = {"error": str(error)}
        print(json.dumps(answered), flush=True)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
