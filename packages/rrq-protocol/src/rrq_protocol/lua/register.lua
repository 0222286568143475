--[[
register: make an orchestrator known; before this it claims nothing.

KEYS[1] ZSET of live orchestrators  KEYS[2] health report  KEYS[3] HASH of the key space's beginning
ARGV[1] orchestrator id  ARGV[2] now in ms, empty = server time  ARGV[3] lease in ms  ARGV[4] report JSON
  ARGV[5] report TTL in ms
Returns now_ms, who registered first in this key space, and the number of registrations it has seen; ""
  and 0 where KEYS[3] is in other use
Invariant: an id is used by one process in its life, so a row is made once (RELIABILITY.md 6.2), and a key
  space that was lost has another beginning (F27). Starts with a removal, so that it works when memory is full
  (6.5).
]]
--@include clock
local now = clock_ms(ARGV[2])
redis.call("ZREM", KEYS[1], "")
local is_new = redis.call("ZADD", KEYS[1], whole(now + tonumber(ARGV[3])), ARGV[1]) == 1
redis.call("SET", KEYS[2], ARGV[4], "PX", ARGV[5])
-- What somebody else wrote there keeps nobody from work.
if is_new then
  redis.pcall("HSETNX", KEYS[3], "first", ARGV[1])
  redis.pcall("HINCRBY", KEYS[3], "registrations", 1)
end
local known = redis.pcall("HMGET", KEYS[3], "first", "registrations")
local count = tonumber(known[2] or "")
if not known[1] or not count then return { whole(now), "", 0 } end
return { whole(now), known[1], count }
