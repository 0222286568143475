"""Enqueue RRQ jobs from blocking or async Python, wait for their results, and cancel them.

Importing this loads neither the Redis client nor an event loop's worth of anything: both come with the first
producer.
"""

from rrq_producer.aio import AsyncProducer
from rrq_producer.client import RRQClient
from rrq_producer.errors import (
    DuplicateJob,
    DurabilityNotConfirmed,
    InvalidArgument,
    JobNotFound,
    ProducerClosed,
    QueueFull,
    RedisError,
    RedisRefused,
    RedisUnavailable,
    ResultExpired,
    WaitTimeout,
    WrongKeyType,
)
from rrq_producer.jobs import EnqueuedJob
from rrq_producer.producer import Producer
from rrq_protocol import (
    InvalidJob,
    InvalidName,
    Job,
    JobResult,
    JobStatus,
    PayloadTooLarge,
    RRQError,
    Settings,
    SettingsError,
)
from rrq_protocol.transitions import CancelReply

__all__ = [
    "AsyncProducer",
    "CancelReply",
    "DuplicateJob",
    "DurabilityNotConfirmed",
    "EnqueuedJob",
    "InvalidArgument",
    "InvalidJob",
    "InvalidName",
    "Job",
    "JobNotFound",
    "JobResult",
    "JobStatus",
    "PayloadTooLarge",
    "Producer",
    "ProducerClosed",
    "QueueFull",
    "RRQClient",
    "RRQError",
    "RedisError",
    "RedisRefused",
    "RedisUnavailable",
    "ResultExpired",
    "Settings",
    "SettingsError",
    "WaitTimeout",
    "WrongKeyType",
]
