--[[
anchor: note a cron entry, so that its ticks count from now on.

KEYS[1] HASH of the entry
ARGV[1] now in ms, empty = server time  ARGV[2] what the entry's ticks follow from: schedule and time zone
Returns the tick in epoch ms behind which ticks are to be fired, or "wrong_type"
Invariant: `tick` only moves forward; an entry that is known with this schedule is left alone (F51, F54).
]]
--@include clock
--@include record
local held = redis.pcall("HMGET", KEYS[1], "tick", "schedule")
if is_wrong_type(held) then return "wrong_type" end
local tick, now = tonumber(held[1] or ""), math.floor(clock_ms(ARGV[1]))
local known = tick and tick >= 0 and tick <= LATEST_MS
if known and held[2] == ARGV[2] then return whole(tick) end
-- Another schedule says nothing of the time before it: there is nothing to catch up with.
local from = whole(known and math.max(tick, now) or now)
redis.call("HSET", KEYS[1], "tick", from, "schedule", ARGV[2])
return from
