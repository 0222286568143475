--[[
purge: delete jobs that no longer run: dead-lettered ones (T13) and other terminal ones; with "all", waiting
  ones too; with "waiting", those only.

KEYS[1] LIST, the DLQ
ARGV[1] key prefix  ARGV[2] now in ms, empty = server time  ARGV[3] "terminal", "all" or "waiting"
ARGV[4..] pairs: job id, its places in the DLQ, or empty
The keys of jobs, queues, other DLQs, events, unique keys and counters are spelled from the prefix as in
  keys.py.
Returns one of "ok", "busy" (ACTIVE, or not of the state asked for), "moved" (not at its places), "gone",
  "wrong_type" per job, in order
Invariant: record, queue entry, DLQ entry and unique key go together; a job in a runner's hands is never
  deleted (I1, I3).
]]
--@include clock
--@include record
--@include stats
--@include unique
--@include dead
local prefix, now, which, answers = ARGV[1], clock_ms(ARGV[2]), ARGV[3], {}
local FIRST = 4
local from_end = ARGV[FIRST + 1] == "" and nearer_end(KEYS[1], ARGV[FIRST])

local function purge(job_id, place)
  local job_key = prefix .. ":job:" .. job_id
  local held = redis.pcall("HMGET", job_key, "status", "queue_name", "job_unique_key", "dlq_name")
  if is_wrong_type(held) then return "wrong_type" end
  local status = held[1]
  if not status then return take_out_stray(KEYS[1], job_id, place) end
  if status == "ACTIVE" or (not is_terminal(status) and which == "terminal") then return "busy" end
  if is_terminal(status) and which == "waiting" then return "busy" end
  if status == "FAILED" or (is_terminal(status) and place ~= "") then
    if take_out(KEYS[1], job_id, place, from_end) == "moved" then return "moved" end
    local own = held[4] and prefix .. ":dlq:" .. held[4]
    if own and own ~= KEYS[1] then redis.pcall("LREM", own, 0, job_id) end
  end
  if not is_terminal(status) then
    count(take_from_queue(prefix, held[2], job_id), "purged", 1)
  end
  release_unique(prefix, job_id, held[3])
  redis.call("DEL", job_key, prefix .. ":events:job:" .. job_id)
  return "ok"
end

for index = FIRST, #ARGV, 2 do answers[#answers + 1] = purge(ARGV[index], ARGV[index + 1]) end
finish_taking(KEYS[1])
write_counts(prefix, now)
return answers
