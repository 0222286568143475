--[[
requeue: give dead-lettered jobs a fresh start in the queue they came from, or in another one (T12).

KEYS[1] LIST, the DLQ  KEYS[2] SET of queue names
ARGV[1] key prefix  ARGV[2] now in ms, empty = server time  ARGV[3] target queue, empty = each job's own
ARGV[4] TTL in ms of a unique key that is taken again  ARGV[5..] job ids; they become due in this order
The keys of jobs, queues, wake lists, unique keys and counters are spelled from the prefix as in keys.py.
Returns one of "ok", "unique" (another job holds its unique key now), "not_failed", "not_in_dlq", "gone",
  "wrong_type" per job, in order
Invariant: DLQ entry, status, spent attempts, TTL, unique key and queue entry change in one step (I1, I2, I4,
  I9).
]]
--@include clock
--@include record
--@include stats
--@include wake
--@include unique
local prefix, now, target, unique_ttl, answers, woken = ARGV[1], clock_ms(ARGV[2]), ARGV[3], ARGV[4], {}, {}
local FIRST = 5
local total = #ARGV - FIRST + 1
local from_end = nearer_end(KEYS[1], ARGV[FIRST])

local function requeue(job_id, index)
  local job_key = prefix .. ":job:" .. job_id
  local held = redis.pcall("HMGET", job_key, "status", "queue_name", "job_unique_key")
  if is_wrong_type(held) then return "wrong_type" end
  if not held[1] then
    redis.pcall("LREM", KEYS[1], 0, job_id)
    return "gone"
  end
  if held[1] ~= "FAILED" then return "not_failed" end
  local queue, unique_key = target ~= "" and target or queue_of(prefix, held[2]), held[3] or ""
  local queue_key = prefix .. ":queue:" .. queue
  local kind = redis.call("TYPE", queue_key).ok
  if kind ~= "zset" and kind ~= "none" then return "wrong_type" end
  if unique_key ~= "" and unique_holder(prefix, unique_key, job_id) then return "unique" end
  local removed = redis.pcall("LREM", KEYS[1], from_end, job_id)
  if is_wrong_type(removed) then return "wrong_type" end
  if removed == 0 then return "not_in_dlq" end
  local due = now - (total - index) / 1000
  redis.call("HSET", job_key, "status", "PENDING", "current_retries", "0", "crash_count", "0",
    "queue_name", queue_key, "next_scheduled_run_time", rfc3339(due))
  redis.call("HDEL", job_key, "completion_time", "last_error", "worker_id", "cancel_requested_at", "dlq_name",
    "suspect")
  redis.call("PERSIST", job_key)
  redis.call("DEL", prefix .. ":events:job:" .. job_id)
  if unique_key ~= "" then hold_unique(prefix, unique_key, job_id, unique_ttl) end
  redis.call("ZADD", queue_key, due, job_id)
  redis.pcall("SADD", KEYS[2], queue)
  count(queue, "requeued", 1)
  woken[queue] = true
  return "ok"
end

for index = 1, total do answers[index] = requeue(ARGV[FIRST + index - 1], index) end
for queue in pairs(woken) do wake(prefix, queue) end
write_counts(prefix, now)
return answers
