--[[
include/log: a bounded list of attempts, as `attempts_log` and `releases_log` are.
]]
local LOG_BYTES = 262144

-- The log with one more entry, the oldest ones going first once it has `most`. It is not parsed, which would take
-- long and change numbers: quotes inside of texts are escaped, so this mark stands between entries only. Of a log
-- that is larger than any of ours the latest entries are kept, and what is none starts anew.
local function logged(log, entry, most)
  if not log or string.sub(log, 1, 12) ~= '[{"attempt":' or string.sub(log, -2) ~= "}]" then
    return "[" .. entry .. "]"
  end
  if #log > LOG_BYTES then
    log = string.sub(log, -LOG_BYTES)
    local first = string.find(log, ',{"attempt":', 1, true)
    if not first then return "[" .. entry .. "]" end
    log = "[" .. string.sub(log, first + 1)
  end
  local starts, at = { 2 }, string.find(log, ',{"attempt":', 1, true)
  while at do
    starts[#starts + 1] = at + 1
    at = string.find(log, ',{"attempt":', at + 1, true)
  end
  local first = starts[math.max(1, #starts - most + 2)]
  return "[" .. string.sub(log, first, -2) .. "," .. entry .. "]"
end
