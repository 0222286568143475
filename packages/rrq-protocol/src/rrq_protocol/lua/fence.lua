--[[
fence: declare an orchestrator dead, if its lease still has the value that was observed.

KEYS[1] ZSET of live orchestrators  KEYS[2] ZSET of orchestrators being reaped
ARGV[1] orchestrator id  ARGV[2] now in ms, empty = server time  ARGV[3] observed lease value
Returns 1 when it is fenced by this call, 0 when it is alive after all or was fenced before
Invariant: compare-and-set decides the race with a late heartbeat: either the beat came first and the value
  differs, or the fence did and the next beat answers "fenced" (RELIABILITY.md 6.3). Never in neither list
  (I7). Starts with a removal: works when memory is full (6.5).
]]
--@include clock
local now = clock_ms(ARGV[2])
redis.call("ZREM", KEYS[1], "")
local held = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not held or tonumber(held) ~= tonumber(ARGV[3]) then return 0 end
-- In this order: where the second list cannot be used, nothing has happened yet.
redis.call("ZADD", KEYS[2], whole(now), ARGV[1])
redis.call("ZREM", KEYS[1], ARGV[1])
return 1
