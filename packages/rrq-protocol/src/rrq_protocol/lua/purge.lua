--[[
purge: delete jobs that no longer run: dead-lettered ones (T13) and other terminal ones; with "all", waiting
  ones too; with "waiting", those only.

KEYS[1] LIST, the DLQ
ARGV[1] key prefix  ARGV[2] now in ms, empty = server time  ARGV[3] "terminal", "all" or "waiting"
ARGV[4..] job ids
The keys of jobs, queues, other DLQs, events, unique keys and counters are spelled from the prefix as in
  keys.py.
Returns one of "ok", "busy" (ACTIVE, or not of the state asked for), "gone", "wrong_type" per job, in order
Invariant: record, queue entry, DLQ entry and unique key go together; a job in a runner's hands is never
  deleted (I1, I3).
]]
--@include clock
--@include record
--@include stats
--@include unique
local prefix, now, which, answers = ARGV[1], clock_ms(ARGV[2]), ARGV[3], {}
local from_end = nearer_end(KEYS[1], ARGV[4])

local function purge(job_id)
  local job_key = prefix .. ":job:" .. job_id
  local held = redis.pcall("HMGET", job_key, "status", "queue_name", "job_unique_key", "dlq_name")
  if is_wrong_type(held) then return "wrong_type" end
  local status = held[1]
  if not status then
    redis.pcall("LREM", KEYS[1], 0, job_id)
    return "gone"
  end
  if status == "ACTIVE" or (not is_terminal(status) and which == "terminal") then return "busy" end
  if is_terminal(status) and which == "waiting" then return "busy" end
  if status == "FAILED" then
    redis.pcall("LREM", KEYS[1], from_end, job_id)
    local own = held[4] and prefix .. ":dlq:" .. held[4]
    if own and own ~= KEYS[1] then redis.pcall("LREM", own, 0, job_id) end
  end
  if not is_terminal(status) then
    local queue = queue_of(prefix, held[2])
    redis.pcall("ZREM", prefix .. ":queue:" .. queue, job_id)
    count(queue, "purged", 1)
  end
  release_unique(prefix, job_id, held[3])
  redis.call("DEL", job_key, prefix .. ":events:job:" .. job_id)
  return "ok"
end

for index = 4, #ARGV do answers[index - 3] = purge(ARGV[index]) end
write_counts(prefix, now)
return answers
