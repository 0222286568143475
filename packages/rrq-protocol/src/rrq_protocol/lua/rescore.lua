--[[
rescore: make what was due before the server's clock stepped back due again, some of it per call.

KEYS[1] queue ZSET  KEYS[2] mark that a queue was done
ARGV[1] key prefix  ARGV[2] queue  ARGV[3] now in ms, empty = server time  ARGV[4] now in ms as the clock
  would be without the step  ARGV[5] jobs at most
The wake list is spelled from the prefix as in keys.py.
Returns {moved, left}
Invariant: due times only move into the past, in their order, and only those that lay there before the step;
  a queue is done once per step, so that what is deferred afterwards is left alone (RELIABILITY.md 6.4, F49).
  Starts with a removal: works when memory is full (6.5).
]]
--@include clock
--@include record
--@include wake
local prefix, queue, now, before = ARGV[1], ARGV[2], clock_ms(ARGV[3]), tonumber(ARGV[4])
local DONE_MS = 5000
if is_wrong_type(redis.pcall("ZREM", KEYS[1], "")) or redis.call("EXISTS", KEYS[2]) == 1 then
  return { 0, 0 }
end
local found = redis.call("ZRANGEBYSCORE", KEYS[1], "(" .. whole(now), before, "LIMIT", 0, tonumber(ARGV[5]))
for place, job_id in ipairs(found) do
  redis.call("ZADD", KEYS[1], now - (#found - place) / 1000, job_id)
end
local left = redis.call("ZCOUNT", KEYS[1], "(" .. whole(now), before)
if left == 0 then redis.pcall("SET", KEYS[2], "1", "PX", DONE_MS) end
if #found > 0 then wake(prefix, queue) end
return { #found, left }
