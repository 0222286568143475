--[[
include/wake: leave one marker for idle orchestrators. One is enough: whoever takes it claims in batches and
leaves the next one where ready jobs remain. A wake key of the wrong type only costs latency: the fallback
poll finds the job.
]]
local function wake(prefix, queue)
  local key = prefix .. ":wake:" .. queue
  if redis.call("EXISTS", key) == 0 then redis.pcall("LPUSH", key, "1") end
end
