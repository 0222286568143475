--[[
include/record: what a job record says about itself, read so that nothing a stranger has written leads out of
our keys; and putting ids into queues and taking them out, whatever is there.
]]

-- The queue a record names, by its full key or bare; any other key is not ours, so it counts as none.
local function queue_of(prefix, named)
  local start = prefix .. ":queue:"
  if not named or named == "" then return "default" end
  if string.sub(named, 1, #start) == start and #named > #start then return string.sub(named, #start + 1) end
  return string.find(named, ":", 1, true) and "default" or named
end

local TERMINAL = { COMPLETED = true, FAILED = true, CANCELLED = true }

local function is_terminal(status) return TERMINAL[status] == true end

-- The counter in a text field plus one; what is no count starts anew.
local function plus_one(text) return whole(bounded(text, 0, 1e15) + 1) end

-- Whether a protected call met a key of another type. Any other refusal (READONLY, NOPERM, MISCONF) is no
-- fact about the key: it ends the call.
local function is_wrong_type(reply)
  if type(reply) ~= "table" or not reply.err then return false end
  if not string.find(reply.err, "WRONGTYPE", 1, true) then error(reply.err, 0) end
  return true
end

-- Ids whose key, or whose queue or DLQ, cannot be used are kept where `doctor` looks for them.
local function quarantine(prefix, job_id)
  redis.pcall("LPUSH", prefix .. ":quarantine", job_id)
  redis.pcall("LTRIM", prefix .. ":quarantine", 0, 9999)
end

-- A queue key of the wrong type must not stop a batch.
local function put_in_queue(prefix, queue, due, job_id)
  local added = redis.pcall("ZADD", prefix .. ":queue:" .. queue, due, job_id)
  if is_wrong_type(added) then quarantine(prefix, job_id) end
end

-- Take a waiting job out of its queue, and return which that was. A stranger's record may name another one, or none:
-- then it is looked for in all that are known.
local function take_from_queue(prefix, named, job_id)
  local queue = queue_of(prefix, named)
  if redis.pcall("ZREM", prefix .. ":queue:" .. queue, job_id) == 1 then return queue end
  local known, found = redis.pcall("SMEMBERS", prefix .. ":queues"), nil
  for _, each in ipairs(known) do
    if redis.pcall("ZREM", prefix .. ":queue:" .. each, job_id) == 1 then found = each end
  end
  return found or queue
end

-- Lua unpacks only so many values at once.
local function remove_members(key, members)
  for first = 1, #members, 1000 do
    redis.pcall("ZREM", key, unpack(members, first, math.min(first + 999, #members)))
  end
end

-- LREM looks at every entry before the one that is meant; callers go through a list in its order or against
-- it, so it should start where they do.
local function nearer_end(key, first_id) return redis.pcall("LINDEX", key, 0) == first_id and 1 or -1 end
