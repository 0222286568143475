"""A web service that enqueues jobs and tells what became of them: `uvicorn app:app`.

It imports the producer only: the handlers live in another process, which may be deployed on its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from rrq_producer import AsyncProducer, InvalidJob, PayloadTooLarge, RedisError

# What strangers may start is a list, not whatever they name.
Offered = Literal["echo", "retry", "sleep"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.producer = AsyncProducer.from_settings()  # the same rrq.toml that the orchestrator reads
    yield
    await app.state.producer.aclose()


app = FastAPI(title="RRQ example", lifespan=lifespan)


@app.exception_handler(InvalidJob)
@app.exception_handler(PayloadTooLarge)
async def refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=422)


@app.exception_handler(RedisError)
async def away(request: Request, error: Exception) -> JSONResponse:
    # The text names the server; clients need not know it.
    return JSONResponse({"detail": "the queue cannot be reached, try again"}, status_code=503)


@app.post("/jobs/{handler}", status_code=202)
async def enqueue(handler: Offered, params: dict[str, Any], request: Request) -> dict[str, Any]:
    # A client that repeats its request with the same key gets the same job.
    key = request.headers.get("idempotency-key")
    job = await request.app.state.producer.enqueue(handler, params, unique_key=key)
    return {"id": job.id, "created": job.created}


@app.get("/jobs/{job_id}")
async def status(job_id: str, request: Request) -> dict[str, Any]:
    known = await request.app.state.producer.get_job_status(job_id)
    if known is None:
        raise HTTPException(404, "no such job")
    return {"id": job_id, "status": known.status, "result": known.result, "error": known.last_error}


@app.delete("/jobs/{job_id}", status_code=202)
async def cancel(job_id: str, request: Request) -> dict[str, Any]:
    return {"id": job_id, "cancel": await request.app.state.producer.cancel(job_id)}
