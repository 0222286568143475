--[[
include/unique: the unique key of a job, from its acceptance to its end. The key never outlives its job (I9),
and nobody deletes the key of another one. Its TTL is for keys that nobody gives back: whatever puts the job
off, or starts it, makes the key last until the job is due or has to end, and its TTL longer.
]]
local UNIQUE_TTL_MS = 21600000 -- of a record that names none, such as one of the public line


-- The job that has not ended and holds the key; nil when it is free, left behind, or held by `job_id` itself.
local function unique_holder(prefix, unique_key, job_id)
  local holder = redis.pcall("GET", prefix .. ":idempotency:" .. unique_key)
  if type(holder) ~= "string" or holder == job_id then return nil end
  local status = redis.pcall("HGET", prefix .. ":job:" .. holder, "status")
  if type(status) ~= "string" or is_terminal(status) then return nil end
  return holder
end

-- How long the key outlives the time at which its job is due or has to end, if nobody gives it back.
local function unique_ttl_ms(prefix, job_id)
  local own = redis.pcall("HGET", prefix .. ":job:" .. job_id, "job_unique_ttl_seconds")
  local seconds = type(own) == "string" and tonumber(own)
  return seconds and seconds > 0 and seconds * 1000 < LATEST_MS and seconds * 1000 or UNIQUE_TTL_MS
end

-- `ahead_ms`: from now until its job is due, or has to end; below 0 counts as now.
local function hold_unique(prefix, unique_key, job_id, ahead_ms, ttl_ms)
  local ttl = bounded(ahead_ms, 0, LATEST_MS) + bounded(ttl_ms, 1, LATEST_MS)
  redis.call("SET", prefix .. ":idempotency:" .. unique_key, job_id, "PX", whole(math.ceil(ttl)))
end

-- The job goes on: so does its key, which is taken again where it ran out and nobody else has it.
local function hold_on(prefix, unique_key, job_id, ahead_ms)
  if not unique_key or unique_key == "" or unique_holder(prefix, unique_key, job_id) then return end
  hold_unique(prefix, unique_key, job_id, ahead_ms, unique_ttl_ms(prefix, job_id))
end

local function release_unique(prefix, job_id, unique_key)
  if not unique_key or unique_key == "" then return end
  for _, family in ipairs({ ":idempotency:", ":lock:unique:" }) do
    local key = prefix .. family .. unique_key
    if redis.pcall("GET", key) == job_id then redis.call("DEL", key) end
  end
end
