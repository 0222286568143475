--[[
include/unique: the unique key of a job, from its acceptance to its end. The key never outlives its job (I9),
and nobody deletes the key of another one.
]]

-- The job that has not ended and holds the key; nil when it is free, left behind, or held by `job_id` itself.
local function unique_holder(prefix, unique_key, job_id)
  local holder = redis.pcall("GET", prefix .. ":idempotency:" .. unique_key)
  if type(holder) ~= "string" or holder == job_id then return nil end
  local status = redis.pcall("HGET", prefix .. ":job:" .. holder, "status")
  if type(status) ~= "string" or is_terminal(status) then return nil end
  return holder
end

local function hold_unique(prefix, unique_key, job_id, ttl_ms)
  local ttl = whole(math.ceil(bounded(ttl_ms, 1, LATEST_MS)))
  redis.call("SET", prefix .. ":idempotency:" .. unique_key, job_id, "PX", ttl)
end

local function release_unique(prefix, job_id, unique_key)
  if not unique_key or unique_key == "" then return end
  for _, family in ipairs({ ":idempotency:", ":lock:unique:" }) do
    local key = prefix .. family .. unique_key
    if redis.pcall("GET", key) == job_id then redis.call("DEL", key) end
  end
end
