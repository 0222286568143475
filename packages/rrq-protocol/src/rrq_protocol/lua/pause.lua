--[[
pause: stop handing out the jobs of a queue, or go on with it; jobs that run are left alone.

KEYS[1] SET of paused queues  KEYS[2] the queue
ARGV[1] key prefix  ARGV[2] queue  ARGV[3] "pause" or "resume"  ARGV[4] now in ms, empty = server time
The wake list is spelled from the prefix as in keys.py.
Returns {"paused" or "resumed" or "already", jobs in the queue}
Invariant: no job changes; jobs that became due during the pause wake an idle orchestrator at its end, as if
  they were due now. Starts with a removal: works when memory is full (RELIABILITY.md 6.5).
]]
--@include clock
--@include wake
local prefix, queue, asked, now = ARGV[1], ARGV[2], ARGV[3], clock_ms(ARGV[4])
local changed, answer
redis.pcall("SREM", KEYS[1], "")
if asked == "pause" then
  changed, answer = redis.call("SADD", KEYS[1], queue), "paused"
else
  changed, answer = redis.call("SREM", KEYS[1], queue), "resumed"
  local first = redis.pcall("ZRANGE", KEYS[2], 0, 0, "WITHSCORES")
  if first[2] and tonumber(first[2]) <= now then wake(prefix, queue) end
end
local waiting = redis.pcall("ZCARD", KEYS[2])
return { changed == 1 and answer or "already", type(waiting) == "number" and waiting or 0 }
