--[[
settle: end attempts of one orchestrator, many in one call; each guarded on its own (T3, T4, T5, T6, T9 and
  the crash of T7/T8).

KEYS[1] active ZSET of the orchestrator
ARGV[1] key prefix  ARGV[2] orchestrator id  ARGV[3] now in ms, empty = server time  ARGV[4] "1" = write job
  events
ARGV[5] "1" = upstream locks were written (compat_job_locks)  ARGV[6..] records of 11:
  job_id, claim_seq, kind, queue, text, number, ttl_s, dlq, attempts_log, run_ms, start_time (empty = any)
  kind "complete": text = result JSON, number = runner or empty; "retry": text = error, number = delay in ms;
  "fail": text = error, number = what the attempt is charged ("retry", "crash" or "none"); "release": nothing charged, text = what
  `releases_log` gets if it is an entry, number = delay in ms, or "=N": due at epoch ms N, the place it had;
  "crash": text = error, number = delay in ms, crash_count + 1; "suspect": text = error: its process died under several jobs, so nobody is charged and it
  runs alone next; "cancel": text = reason
The keys of jobs, queues, DLQs, wake lists, locks, channels and counters are spelled from the prefix as in
  keys.py.
Returns one of "ok", "already", "stale", "gone", "wrong_type" per record, in order
Invariant: a job is written only while its hash names this orchestrator and this claim_seq (I6), is ACTIVE, or has
  no status and is in the active set, and was claimed at that time, for the numbers of a record that was deleted
  and made anew begin again; whatever happens to a record, its neighbours are settled (I15). The first write is a
  removal, which Redis allows when memory is full (RELIABILITY.md 6.5).
]]
--@include clock
--@include record
--@include log
--@include stats
--@include wake
--@include unique
--@include close
local prefix, me, now, job_events, compat_locks = ARGV[1], ARGV[2], clock_ms(ARGV[3]), ARGV[4], ARGV[5]
local now_text = rfc3339(now)
local WIDTH, FIRST, KEEP_CANCELLED_S, RELEASES = 11, 5, "86400", 8
local STATUS, WORKER, SEQ, UNIQUE, LAST_ERROR, STARTED = 1, 2, 3, 4, 5, 6
local woken, answers, owned, ended, taken, broken = {}, {}, {}, {}, {}, {}

local function close(r, status, ...)
  redis.call("HSET", r.key, "status", status, "completion_time", now_text, ...)
  keep_for(r.key, r.ttl)
  release_unique(prefix, r.id, r.held[UNIQUE])
  announce(prefix, r.id, status, r.ttl, job_events, status == "COMPLETED" and "" or r.text, now_text)
  count(r.queue, string.lower(status), 1)
end

local function back_to_queue(r, due)
  put_in_queue(prefix, r.queue, due, r.id)
  hold_on(prefix, r.held[UNIQUE], r.id, due - now)
  woken[r.queue] = true
end

local apply = {}

function apply.complete(r)
  if r.held[LAST_ERROR] then redis.call("HDEL", r.key, "last_error", "suspect") end
  if r.number == "" then return close(r, "COMPLETED", "result", r.text) end
  close(r, "COMPLETED", "result", r.text, "runner", r.number)
end

function apply.cancel(r)
  redis.call("HDEL", r.key, "suspect")
  close(r, "CANCELLED", "last_error", r.text)
end

local CHARGED = { retry = "current_retries", crash = "crash_count" }

-- There are no more attempts spent than allowed, whatever a stranger wrote (I10).
local function charge(r, counter)
  local held = redis.call("HMGET", r.key, counter, "max_retries")
  local charged, allowed = plus_one(held[1]), counter == "current_retries" and tonumber(held[2] or "")
  if allowed and tonumber(charged) > allowed then charged = whole(bounded(allowed, 0, 1e15)) end
  redis.call("HSET", r.key, counter, charged)
end

function apply.fail(r)
  local counter = CHARGED[r.number]
  if counter then charge(r, counter) end
  push_dead(prefix, r.dlq, r.id)
  redis.call("HDEL", r.key, "suspect")
  close(r, "FAILED", "last_error", r.text, "dlq_name", r.dlq)
end

function apply.retry(r)
  local spent = redis.call("HMGET", r.key, "current_retries", "max_retries")
  local retries, allowed = plus_one(spent[1]), tonumber(spent[2] or "")
  if allowed and tonumber(retries) >= allowed then
    -- The budget is the record's, whatever the caller took it for (T4, T5).
    r.number = "retry"
    return apply.fail(r)
  end
  local due = due_in(now, r.number)
  redis.call("HSET", r.key, "status", "RETRYING", "last_error", r.text, "current_retries", retries,
    "next_scheduled_run_time", rfc3339(due))
  -- It ended without harm to its process.
  redis.call("HDEL", r.key, "suspect")
  back_to_queue(r, due)
  count(r.queue, "retried", 1)
end

-- worker_id and claim_seq stay, as after a retry, so that a repeat of this call is recognised.
function apply.release(r)
  redis.call("HSET", r.key, "status", "PENDING")
  if string.sub(r.text, 1, 11) == '{"attempt":' then
    local log = redis.call("HGET", r.key, "releases_log")
    redis.call("HSET", r.key, "releases_log", logged(log, r.text, RELEASES))
  end
  local place = string.match(r.number, "^=(.+)$")
  back_to_queue(r, place and bounded(place, 0, LATEST_MS) or due_in(now, r.number))
  count(r.queue, "released", 1)
end

function apply.crash(r)
  local due, crashes = due_in(now, r.number), plus_one(redis.call("HGET", r.key, "crash_count"))
  redis.call("HSET", r.key, "status", "PENDING", "last_error", r.text, "crash_count", crashes,
    "suspect", "1", "next_scheduled_run_time", rfc3339(due))
  back_to_queue(r, due)
  count(r.queue, "recovered", 1)
end

function apply.suspect(r)
  redis.call("HSET", r.key, "status", "PENDING", "last_error", r.text, "suspect", "1")
  back_to_queue(r, due_in(now, r.number))
  count(r.queue, "recovered", 1)
end

local GOES_BACK = { retry = true, release = true, crash = true, suspect = true }

local function settle(r)
  if r.log ~= "" then redis.call("HSET", r.key, "attempts_log", r.log) end
  if r.run_ms ~= "" then count(r.queue, "run_ms", bounded(r.run_ms, 0, LATEST_MS)) end
  if GOES_BACK[r.kind] and redis.call("HEXISTS", r.key, "cancel_requested_at") == 1 then
    -- Somebody was told that this job ends: it does not wait for another attempt (T9).
    r.text = "cancelled"
    if not ttl_arg(r.ttl) then r.ttl = KEEP_CANCELLED_S end
    return apply.cancel(r)
  end
  return apply[r.kind](r)
end

-- A stranger took the status away. Whoever ended the attempt also took it out of our active set, so while it is
-- there nobody did, and a repeat of this end finds it gone (I16).
local function lost_its_status(id, status)
  return not status and type(redis.pcall("ZSCORE", KEYS[1], id)) == "string"
end

-- What the attempt's owner is told; "ok" when it is the caller. Nothing is written here.
local function answer_for(id, seq, started, held, queue)
  if is_wrong_type(held) then
    ended[#ended + 1] = id
    broken[#broken + 1] = id
    return "wrong_type"
  end
  if held[WORKER] ~= me then
    -- Someone else's now, or nobody's: our index entry is the only thing that may go.
    ended[#ended + 1] = id
    if held[STATUS] or held[WORKER] then return "stale" end
    if type(redis.pcall("ZSCORE", KEYS[1], id)) == "string" then count(queue, "lost", 1) end
    return "gone"
  end
  if (held[SEQ] or "") ~= seq then return "stale" end
  if started ~= "" and held[STARTED] ~= started then return "stale" end
  if taken[id] then return "already" end
  if held[STATUS] ~= "ACTIVE" and not lost_its_status(id, held[STATUS]) then return "already" end
  taken[id] = true
  ended[#ended + 1] = id
  return "ok"
end

for at = FIRST + 1, #ARGV, WIDTH do
  local id, seq = ARGV[at], ARGV[at + 1]
  local key = prefix .. ":job:" .. id
  local held = redis.pcall("HMGET", key, "status", "worker_id", "claim_seq", "job_unique_key", "last_error",
    "start_time")
  local kind = ARGV[at + 2]
  if not apply[kind] then return redis.error_reply("ERR settle: unknown kind " .. tostring(kind)) end
  local answer = answer_for(id, seq, ARGV[at + 10], held, ARGV[at + 3])
  answers[#answers + 1] = answer
  if answer == "ok" then
    owned[#owned + 1] = { id = id, key = key, held = held, seq = seq, kind = kind, queue = ARGV[at + 3],
      text = ARGV[at + 4], number = ARGV[at + 5], ttl = ARGV[at + 6], dlq = ARGV[at + 7], log = ARGV[at + 8],
      run_ms = ARGV[at + 9] }
  end
end
remove_members(KEYS[1], ended)
for _, id in ipairs(broken) do quarantine(prefix, id) end
if compat_locks == "1" then
  -- Whatever became of its record: a lock of an attempt that is over would hold up the next job of that id.
  for at = FIRST + 1, #ARGV, WIDTH do
    local lock = prefix .. ":lock:job:" .. ARGV[at]
    if redis.pcall("GET", lock) == me .. ":" .. ARGV[at + 1] then redis.call("DEL", lock) end
  end
end
for _, r in ipairs(owned) do settle(r) end
for queue in pairs(woken) do wake(prefix, queue) end
write_counts(prefix, now)
return answers
