--[[
register: make an orchestrator known; before this it claims nothing.

KEYS[1] ZSET of live orchestrators  KEYS[2] health report
ARGV[1] orchestrator id  ARGV[2] now in ms, empty = server time  ARGV[3] lease in ms  ARGV[4] report JSON
  ARGV[5] report TTL in ms
Returns now_ms
Invariant: an id is used by one process in its life, so a row is made once (RELIABILITY.md 6.2). Starts with a
  removal, so that it works when memory is full (6.5).
]]
--@include clock
local now = clock_ms(ARGV[2])
redis.call("ZREM", KEYS[1], "")
redis.call("ZADD", KEYS[1], whole(now + tonumber(ARGV[3])), ARGV[1])
redis.call("SET", KEYS[2], ARGV[4], "PX", ARGV[5])
return whole(now)
