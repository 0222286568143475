--[[
requeue: give dead-lettered jobs a fresh start in the queue they came from, or in another one (T12).

KEYS[1] LIST, the DLQ  KEYS[2] SET of queue names
ARGV[1] key prefix  ARGV[2] now in ms, empty = server time  ARGV[3] target queue, empty = each job's own
ARGV[4] TTL in ms of a unique key that is taken again  ARGV[5..] pairs: job id, its places in the DLQ, or empty;
  they become due in this order
The keys of jobs, queues, wake lists, unique keys and counters are spelled from the prefix as in keys.py.
Returns one of "ok", "unique" (another job holds its unique key now), "not_failed", "not_in_dlq", "moved" (not at
  its places), "bad_queue" (no queue can have the name in its record), "gone", "wrong_type" per job, in order
Invariant: DLQ entry, status, spent attempts, TTL, unique key and queue entry change in one step (I1, I2, I4,
  I9).
]]
--@include clock
--@include record
--@include stats
--@include wake
--@include unique
--@include dead
local prefix, now, target, unique_ttl, answers = ARGV[1], clock_ms(ARGV[2]), ARGV[3], ARGV[4], {}
local usable, dues, woken = {}, {}, {}
local FIRST = 5
local total = (#ARGV - FIRST + 1) / 2
local from_end = ARGV[FIRST + 1] == "" and nearer_end(KEYS[1], ARGV[FIRST])

-- Jobs of one call are due within a ms or two: the text is the same.
local function due_text(due)
  local ms = math.floor(due)
  local text = dues[ms]
  if not text then
    text = rfc3339(ms)
    dues[ms] = text
  end
  return text
end

-- Whether a queue key can take entries; the queue is known from then on.
local function can_take(queue, queue_key)
  if usable[queue] == nil then
    local kind = redis.call("TYPE", queue_key).ok
    usable[queue] = kind == "zset" or kind == "none"
  end
  return usable[queue]
end

local function requeue(job_id, place, index)
  local job_key = prefix .. ":job:" .. job_id
  local held = redis.pcall("HMGET", job_key, "status", "queue_name", "job_unique_key")
  if is_wrong_type(held) then return "wrong_type" end
  if not held[1] then return take_out_stray(KEYS[1], job_id, place) end
  if held[1] ~= "FAILED" then return "not_failed" end
  local queue, unique_key = target ~= "" and target or queue_of(prefix, held[2]), held[3] or ""
  local queue_key = prefix .. ":queue:" .. queue
  if #queue > 128 or string.find(queue, "[^%w._-]") then return "bad_queue" end
  if not can_take(queue, queue_key) then return "wrong_type" end
  if unique_key ~= "" and unique_holder(prefix, unique_key, job_id) then return "unique" end
  local taken = take_out(KEYS[1], job_id, place, from_end)
  if taken ~= "ok" then return taken end
  local due = now - (total - index) / 1000
  redis.call("HSET", job_key, "status", "PENDING", "current_retries", "0", "crash_count", "0",
    "queue_name", queue_key, "next_scheduled_run_time", due_text(due))
  redis.call("HDEL", job_key, "completion_time", "last_error", "worker_id", "cancel_requested_at", "dlq_name",
    "suspect")
  redis.call("PERSIST", job_key)
  redis.call("DEL", prefix .. ":events:job:" .. job_id)
  if unique_key ~= "" then hold_unique(prefix, unique_key, job_id, 0, unique_ttl) end
  redis.call("ZADD", queue_key, due, job_id)
  if not woken[queue] then redis.pcall("SADD", KEYS[2], queue) end
  count(queue, "requeued", 1)
  woken[queue] = true
  return "ok"
end

for index = 1, total do
  local at = FIRST + 2 * index - 2
  answers[index] = requeue(ARGV[at], ARGV[at + 1], index)
end
finish_taking(KEYS[1])
for queue in pairs(woken) do wake(prefix, queue) end
write_counts(prefix, now)
return answers
