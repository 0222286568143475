--[[
include/attempts: an entry of `attempts_log`, for attempts whose orchestrator is not there to tell of them.
]]
local LOG_ENTRIES, LOG_BYTES = 20, 65536

-- The log with one more entry, the oldest ones going first. It is not parsed, which would take long and change
-- numbers: quotes inside of texts are escaped, so this mark stands between entries only. A log that is large
-- already stays as it is, and what is none starts anew.
local function logged(log, entry)
  if not log or string.sub(log, 1, 12) ~= '[{"attempt":' or string.sub(log, -2) ~= "}]" then
    return "[" .. entry .. "]"
  end
  if #log > LOG_BYTES then return log end
  local starts, at = { 2 }, string.find(log, ',{"attempt":', 1, true)
  while at do
    starts[#starts + 1] = at + 1
    at = string.find(log, ',{"attempt":', at + 1, true)
  end
  local first = starts[math.max(1, #starts - LOG_ENTRIES + 2)]
  return "[" .. string.sub(log, first, -2) .. "," .. entry .. "]"
end

-- What is known of an attempt that was lost with its orchestrator; `retry_at` is nil where none follows.
-- `started` is the score of the active set: epoch ms, or s where one of the public line wrote it.
local function lost_attempt(worker, retries, claim_seq, started, now, retry_at, message)
  local entry = '{"attempt":' .. plus_one(retries) .. ',"outcome":"crash","message":"' .. message
    .. '","type":"crash"'
  local since = bounded(started, 0, LATEST_MS)
  if since > 1e11 then entry = entry .. ',"started_at_ms":' .. whole(since) end
  entry = entry .. ',"ended_at_ms":' .. whole(now)
  if retry_at then entry = entry .. ',"retry_at_ms":' .. whole(retry_at) end
  -- A name that would have to be escaped is none that an orchestrator gives itself.
  if string.find(worker, "^[%w._:-]+$") then entry = entry .. ',"worker":"' .. worker .. '"' end
  local seq = bounded(claim_seq, 0, 1e15)
  return entry .. ',"claim_seq":' .. whole(seq) .. "}"
end
