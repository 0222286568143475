--[[
include/stats: counters per queue, gathered while a batch runs and written once at its end, so that
`queue stats` reads O(queues) keys and a batch of n jobs costs a handful of commands. Minute hashes live a
little longer than a day.

Over all queues (I13): enqueued + requeued = jobs not ended + completed + failed + cancelled + purged + lost.
]]
local stats_batch = {}

local function count(queue, field, n)
  local fields = stats_batch[queue]
  if not fields then
    fields = {}
    stats_batch[queue] = fields
  end
  fields[field] = (fields[field] or 0) + n
end

-- A counter key of the wrong type costs its figures, never the batch.
local function write_counts(prefix, now)
  local minute = whole(now / 60000)
  for queue, fields in pairs(stats_batch) do
    local total = prefix .. ":stats:" .. queue
    local this_minute, fresh = total .. ":" .. minute, false
    for field, n in pairs(fields) do
      local step = string.format("%.0f", n)
      redis.pcall("HINCRBY", total, field, step)
      fresh = redis.pcall("HINCRBY", this_minute, field, step) == n or fresh
    end
    if fresh then redis.pcall("EXPIRE", this_minute, 90000) end
  end
end
