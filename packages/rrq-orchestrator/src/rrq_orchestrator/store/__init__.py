"""Redis as the orchestrator sees it: connections that come back, and the transitions sent over them."""

from rrq_orchestrator.store.advice import Advice
from rrq_orchestrator.store.redis import RedisLink, RedisLinks

__all__ = ["Advice", "RedisLink", "RedisLinks"]
