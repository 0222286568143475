--[[
drain: ask an orchestrator to stop in order: claim nothing more, let running attempts finish, leave.

KEYS[1] ZSET of live orchestrators  KEYS[2] control list of the orchestrator
ARGV[1] orchestrator id  ARGV[2] now in ms, empty = server time
Returns "asked", "lapsed" (its lease is past: it died, hangs, or lost Redis) or "unknown" (no such lease)
Invariant: there is one request however often it is asked, and none for an orchestrator that has left; a
  request nobody reads expires.
]]
--@include clock
local now = clock_ms(ARGV[2])
redis.call("LREM", KEYS[2], 0, "drain")
local lease = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not lease then return "unknown" end
if tonumber(lease) < now then return "lapsed" end
redis.call("RPUSH", KEYS[2], "drain")
redis.call("EXPIRE", KEYS[2], 3600)
return "asked"
