--[[
include/close: what every terminal transition does besides the status and the unique key: wake the waiters,
leave the terminal event for waiters of the public line (I12), set the time to live (I4), fill the DLQ (I2).
]]
local kept_for = {}

-- A TTL as EXPIRE takes it, false to keep the key: at most ten years, for EXPIRE refuses what overflows.
local function ttl_arg(given)
  local known = kept_for[given]
  if known == nil then
    local ttl = bounded(given, 0, 315360000)
    known = ttl > 0 and string.format("%.0f", math.ceil(ttl))
    kept_for[given] = known
  end
  return known
end

local function keep_for(key, ttl)
  local seconds = ttl_arg(ttl)
  if seconds then redis.pcall("EXPIRE", key, seconds) end
end

local function announce(prefix, job_id, status, ttl, job_events, detail, at)
  -- Whoever may not use the channel ends the job all the same: by now it has been written, and waiters look again.
  redis.pcall("PUBLISH", prefix .. ":done:" .. job_id, status)
  if job_events ~= "1" then return end
  local key = prefix .. ":events:job:" .. job_id
  redis.pcall("XADD", key, "MAXLEN", "~", 16, "*", "event", string.lower(status), "status", status,
    "job_id", job_id, "error", detail, "at", at)
  keep_for(key, ttl)
end

-- A DLQ key of the wrong type must not stop the job from being closed.
local function push_dead(prefix, dlq, job_id)
  local pushed = redis.pcall("LPUSH", prefix .. ":dlq:" .. dlq, job_id)
  if is_wrong_type(pushed) then
    quarantine(prefix, job_id)
    return
  end
  redis.pcall("SADD", prefix .. ":dlqs", dlq)
end
