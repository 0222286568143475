--[[
recover: take back jobs of an orchestrator that was fenced, a bounded number per call (T7, T8, T9).

KEYS[1] ZSET of live orchestrators  KEYS[2] ZSET of orchestrators being reaped  KEYS[3] active ZSET of the
  dead one
KEYS[4] its health report  KEYS[5] its control list
ARGV[1] key prefix  ARGV[2] id of the dead orchestrator  ARGV[3] now in ms, empty = server time  ARGV[4] jobs
  at most
ARGV[5] max crashes  ARGV[6] delay in ms after a second crash, doubling  ARGV[7] DLQ name  ARGV[8] TTL in s of
  failed jobs
ARGV[9] TTL in s of cancelled jobs  ARGV[10] "1" = write job events
The keys of jobs, queues, DLQs, wake lists, locks, channels and counters are spelled from the prefix as in
  keys.py.
Returns {recovered, dead_lettered, cancelled, pruned, left}
Invariant: nothing is taken from an orchestrator that is not fenced; any janitor may stop at any point and any
  other goes on (RELIABILITY.md 6.6). Starts with a removal: works when memory is full (6.5).
]]
--@include clock
--@include record
--@include log
--@include attempts
--@include stats
--@include wake
--@include unique
--@include close
local prefix, dead, now = ARGV[1], ARGV[2], clock_ms(ARGV[3])
local max_crashes, delay, dlq = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local dead_ttl, cancel_ttl, job_events = ARGV[8], ARGV[9], ARGV[10]
local now_text, woken, LOG_ENTRIES = rfc3339(now), {}, 20
local recovered, failed, cancelled, pruned = 0, 0, 0, 0
local fenced = redis.call("ZSCORE", KEYS[2], dead) and not redis.call("ZSCORE", KEYS[1], dead)
if not fenced then return { 0, 0, 0, 0, 0 } end

local function close(job_id, job_key, held, status, reason, ttl, ...)
  redis.call("HSET", job_key, "status", status, "last_error", reason, "completion_time", now_text, ...)
  keep_for(job_key, ttl)
  release_unique(prefix, job_id, held[5])
  announce(prefix, job_id, status, ttl, job_events, reason, now_text)
  count(queue_of(prefix, held[4]), string.lower(status), 1)
end

local function drop(job_id, held)
  pruned = pruned + 1
  if held.err then
    quarantine(prefix, job_id)
  elseif not held[1] then
    count("default", "lost", 1)
  end
end

-- A lock of the dead, with the number of its claim or, of one of the public line, without. Whatever became of the
-- job, nobody else would take it off, and it lasts longer than its owner is dead.
local function unlock(job_id)
  local lock = prefix .. ":lock:job:" .. job_id
  local holder = redis.pcall("GET", lock)
  if type(holder) ~= "string" or string.sub(holder, 1, #dead) ~= dead then return end
  local claim = string.sub(holder, #dead + 1)
  if claim == "" or string.find(claim, "^:%d*$") then redis.call("DEL", lock) end
end

local function take_back(job_id)
  local job_key = prefix .. ":job:" .. job_id
  local held = redis.pcall("HMGET", job_key, "status", "worker_id", "crash_count", "queue_name",
    "job_unique_key", "cancel_requested_at", "claim_seq", "current_retries", "attempts_log")
  local started = redis.call("ZSCORE", KEYS[3], job_id)
  redis.call("ZREM", KEYS[3], job_id)
  unlock(job_id)
  -- One whose status a stranger took away is the dead one's like any other: its end would have left this set.
  if is_wrong_type(held) or (held[1] or "ACTIVE") ~= "ACTIVE" or held[2] ~= dead then return drop(job_id, held) end
  local queue, crash_count = queue_of(prefix, held[4]), plus_one(held[3])
  local crashes = tonumber(crash_count)
  local function told(retry_at, message)
    local entry = lost_attempt(dead, held[8], held[7], started, now, retry_at, message)
    return logged(held[9], entry, LOG_ENTRIES)
  end
  if held[6] then
    close(job_id, job_key, held, "CANCELLED", "cancelled; its orchestrator died", cancel_ttl)
    cancelled = cancelled + 1
  elseif crashes >= max_crashes then
    local reason = "orchestrator crashed " .. crash_count .. " times while running this job"
    push_dead(prefix, dlq, job_id)
    close(job_id, job_key, held, "FAILED", reason, dead_ttl, "crash_count", crash_count, "dlq_name", dlq,
      "attempts_log", told(nil, reason))
    failed = failed + 1
  else
    local due = due_in(now, crashes > 1 and delay * 2 ^ (crashes - 2) or 0)
    redis.call("HSET", job_key, "status", "PENDING", "crash_count", crash_count,
      "next_scheduled_run_time", rfc3339(due), "queue_name", prefix .. ":queue:" .. queue,
      "attempts_log", told(due, "its orchestrator died"))
    redis.call("HDEL", job_key, "worker_id")
    put_in_queue(prefix, queue, due, job_id)
    hold_on(prefix, held[5], job_id, due - now)
    count(queue, "recovered", 1)
    woken[queue] = true
    recovered = recovered + 1
  end
end

-- An active set that is none names no jobs; the reconciler finds them by their owner, in neither list then.
local held_ids, left = redis.pcall("ZRANGE", KEYS[3], 0, tonumber(ARGV[4]) - 1), 0
if not is_wrong_type(held_ids) then
  for _, job_id in ipairs(held_ids) do take_back(job_id) end
  left = redis.call("ZCARD", KEYS[3])
end
if left == 0 then
  redis.call("ZREM", KEYS[2], dead)
  redis.call("DEL", KEYS[4], KEYS[5])
end
for queue in pairs(woken) do wake(prefix, queue) end
write_counts(prefix, now)
return { recovered, failed, cancelled, pruned, left }
