--[[
cancel: end a job that waits (T11), or ask its orchestrator to end it (T10).

KEYS[1] job
ARGV[1] key prefix  ARGV[2] job id  ARGV[3] now in ms, empty = server time  ARGV[4] TTL in s of the record
  afterwards
ARGV[5] reason  ARGV[6] "1" = write job events
The queue is read from the record; control list, channel, locks and counters are spelled from the prefix as in
  keys.py.
Returns "cancelled", "requested", "finished" (terminal before), "gone" (no such job), "malformed" (its status is none)
  or "wrong_type"
Invariant: status and queue entry change together (I1); the unique key goes with the job (I9). Starts with a
  removal: works when memory is full (6.5).
]]
--@include clock
--@include record
--@include stats
--@include unique
--@include close
local prefix, job_id, now = ARGV[1], ARGV[2], clock_ms(ARGV[3])
local held = redis.pcall("HMGET", KEYS[1], "status", "queue_name", "worker_id", "claim_seq", "job_unique_key")
if is_wrong_type(held) then return "wrong_type" end
local status = held[1]
if not status then return redis.call("EXISTS", KEYS[1]) == 1 and "malformed" or "gone" end
if status == "ACTIVE" then
  -- Asked again, there is still one request: the one before may have been lost with its reader.
  local control = prefix .. ":ctl:" .. (held[3] or "")
  local request = "cancel " .. job_id .. " " .. (held[4] or "0")
  redis.pcall("LREM", control, 0, request)
  redis.call("HSET", KEYS[1], "cancel_requested_at", rfc3339(now))
  redis.pcall("RPUSH", control, request)
  redis.pcall("EXPIRE", control, 3600)
  return "requested"
end
if is_terminal(status) then return "finished" end
if status ~= "PENDING" and status ~= "RETRYING" then return "malformed" end
local queue = take_from_queue(prefix, held[2], job_id)
redis.call("HSET", KEYS[1], "status", "CANCELLED", "last_error", ARGV[5], "completion_time", rfc3339(now))
keep_for(KEYS[1], ARGV[4])
release_unique(prefix, job_id, held[5])
announce(prefix, job_id, "CANCELLED", ARGV[4], ARGV[6], ARGV[5], rfc3339(now))
count(queue, "cancelled", 1)
write_counts(prefix, now)
return "cancelled"
