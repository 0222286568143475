--[[
include/attempts: an entry of `attempts_log`, for attempts whose orchestrator is not there to tell of them.
]]
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
