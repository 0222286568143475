--[[
deregister: take an orchestrator off the list at a clean stop.

KEYS[1] ZSET of live orchestrators  KEYS[2] health report  KEYS[3] active ZSET  KEYS[4] ZSET of orchestrators
  being reaped
KEYS[5] control list
ARGV[1] orchestrator id  ARGV[2] now in ms, empty = server time
Returns the number of jobs it still held; they are left to the janitors at once
Invariant: an orchestrator with claimed jobs is always in one of the two lists (I7). Starts with a removal:
  works when memory is full (6.5).
]]
--@include clock
--@include record
local left = redis.pcall("ZCARD", KEYS[3])
if is_wrong_type(left) then left = 0 end
redis.call("DEL", KEYS[2], KEYS[5])
if left > 0 then redis.call("ZADD", KEYS[4], "NX", whole(clock_ms(ARGV[2])), ARGV[1]) end
redis.call("ZREM", KEYS[1], ARGV[1])
return left
