--[[
heartbeat: renew the lease of an orchestrator, unless it was fenced.

KEYS[1] ZSET of live orchestrators  KEYS[2] health report
ARGV[1] orchestrator id  ARGV[2] now in ms, empty = server time  ARGV[3] lease in ms  ARGV[4] report JSON,
  empty = the one that stands stays  ARGV[5] report TTL in ms
Returns now_ms, 0 when it was fenced
Invariant: a row that was taken away never comes back by a beat (RELIABILITY.md 6.3); every beat raises the
  row's value, so that an observer sees life. Works when memory is full: there the long way starts with a
  removal (6.5).
]]
-- Each orchestrator does this all the time, so nothing is included here and the usual beat is a single write.
local now = ARGV[2]
if now == "" then
  local t = redis.call("TIME")
  now = t[1] * 1000 + (t[2] - t[2] % 1000) / 1000
end
if redis.pcall("ZADD", KEYS[1], "XX", "GT", "CH", now + ARGV[3], ARGV[1]) ~= 1 then
  -- The row is gone, the clock stood still or went back, memory is full, or a Redis before 6.2 knows no GT.
  redis.call("ZREM", KEYS[1], "")
  local held = redis.call("ZSCORE", KEYS[1], ARGV[1])
  if not held then return 0 end
  local lease = math.max(math.floor(now + ARGV[3]), held + 1)
  redis.call("ZADD", KEYS[1], string.format("%.0f", lease), ARGV[1])
end
if ARGV[4] ~= "" then redis.call("SET", KEYS[2], ARGV[4], "PX", ARGV[5]) end
return now
