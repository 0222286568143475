--[[
heartbeat: renew the lease of an orchestrator, unless it was fenced.

KEYS[1] ZSET of live orchestrators  KEYS[2] health report
ARGV[1] orchestrator id  ARGV[2] now in ms, empty = server time  ARGV[3] lease in ms  ARGV[4] report JSON
  ARGV[5] report TTL in ms
Returns {"ok", now_ms} or {"fenced", now_ms}
Invariant: a row that was taken away never comes back by a beat (RELIABILITY.md 6.3); every beat changes the
  row's value, so that an observer sees life. Starts with a removal, so that it works when memory is full
  (6.5).
]]
--@include clock
local now = clock_ms(ARGV[2])
redis.call("ZREM", KEYS[1], "")
local held = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not held then return { "fenced", whole(now) } end
local lease = math.floor(now + tonumber(ARGV[3]))
if lease <= tonumber(held) then lease = tonumber(held) + 1 end
redis.call("ZADD", KEYS[1], whole(lease), ARGV[1])
redis.call("SET", KEYS[2], ARGV[4], "PX", ARGV[5])
return { "ok", whole(now) }
