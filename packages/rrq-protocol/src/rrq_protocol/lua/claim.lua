--[[
claim: lease due jobs of several queues to one orchestrator (T2), clearing away what cannot run (T2q); one
  round trip.

KEYS[1] ZSET of live orchestrators  KEYS[2] active ZSET of the orchestrator  KEYS[3] SET of paused queues
ARGV[1] key prefix  ARGV[2] orchestrator id  ARGV[3] now in ms, empty = server time  ARGV[4] slack: candidates
  looked at beyond what is wanted  ARGV[5] byte budget of the reply  ARGV[6] DLQ name for unusable records
  ARGV[7] their TTL in s
ARGV[8] lock extension in s, empty = no upstream locks are written (compat_job_locks)  ARGV[9] "1" = write job
  events
ARGV[10] n capacities  ARGV[11..] n pairs: runner, free slots, or "runner alone", places for suspects, which
  take slots where there is no such pair; then records of 4: queue, runner it routes to, wanted, after (resume
  of the last reply, empty = from the start)
The keys of jobs, queues, wake lists, locks and counters are spelled from the prefix as in keys.py.
Returns {"fenced"} or {"ok", now_ms, jobs, queues, start_time}; a job is {job_id, queue, due_ms, field values in FIELDS
  order, without the last two}; a queue is {claimed, skipped, next score or "", resume or ""} in the order asked, resume being
  "score n": go on at score, n jobs further
Invariant: a job leaves its queue, enters the active set and gets claim_seq + 1 in one step (I1, I5); one bad
  key stops nobody. Starts with a removal, so that a queue can be worked off when memory is full (6.5).
]]
--@include clock
--@include record
--@include stats
--@include wake
--@include unique
--@include close
local prefix, me, now = ARGV[1], ARGV[2], clock_ms(ARGV[3])
-- An active set that cannot be used is as good as none: under another id this orchestrator can work on.
local spoilt = is_wrong_type(redis.pcall("ZREM", KEYS[2], ""))
if spoilt or not redis.call("ZSCORE", KEYS[1], me) then return { "fenced" } end
local slack, budget, dlq, dead_ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
local lock_extension, job_events, now_text, now_int = ARGV[8], ARGV[9], rfc3339(now), whole(now)
local FIELDS = { "status", "claim_seq", "queue_name", "function_name", "job_params", "enqueue_time",
  "current_retries", "max_retries", "job_timeout_seconds", "result_ttl_seconds", "dlq_name", "crash_count",
  "trace_context", "correlation_context", "attempts_log", "cancel_requested_at", "suspect",
  "id", "job_unique_key" } -- the last two are looked at here, and left out of the reply
local STATUS, SEQ, QUEUE_NAME, FUNCTION, TIMEOUT = 1, 2, 3, 4, 9
local CANCEL, SUSPECT, ID, UNIQUE = 16, 17, 18, 19
local PAGE, LONGEST_WAIT_MS = 512, 315360000000
local LEEWAY_MS = 60000 -- until an attempt is dispatched, and between its time being up and its end being told
local free, paused, jobs, queues, spent = {}, {}, {}, {}, 0
local at = 11
for _ = 1, tonumber(ARGV[10]) do
  free[ARGV[at]] = tonumber(ARGV[at + 1])
  at = at + 2
end
local stopped = redis.pcall("SMEMBERS", KEYS[3])
for _, queue in ipairs(stopped) do paused[queue] = true end

local function close(queue, job_id, job_key, status, reason, ...)
  redis.call("HSET", job_key, "status", status, "last_error", reason, "completion_time", now_text, ...)
  release_unique(prefix, job_id, redis.call("HGET", job_key, "job_unique_key"))
  keep_for(job_key, dead_ttl)
  count(queue, string.lower(status), 1)
  announce(prefix, job_id, status, dead_ttl, job_events, reason, now_text)
end

-- A record no orchestrator can read is failed with the reason and kept for whoever looks into it (F83).
local function refuse(queue, job_id, job_key, field)
  push_dead(prefix, dlq, job_id)
  close(queue, job_id, job_key, "FAILED", "malformed: " .. field, "dlq_name", dlq)
end

local function runner_of(function_name, routed)
  local cut = string.find(function_name, "#", 1, true)
  return cut and string.sub(function_name, 1, cut - 1) or routed
end

-- What a job takes one of. A suspect runs alone: it waits in the queue, for whoever has a place first (6.6).
local function capacity_of(row, runner)
  local alone = row[SUSPECT] and runner .. " alone"
  return alone and free[alone] and alone or runner
end

-- Whether a queue's name can be put right, as a lease does with a foreign one; all jobs name the same few.
local tidy = {}
local function is_tidy(name)
  if tidy[name] == nil then tidy[name] = not string.find(name, "%c") end
  return tidy[name]
end

local LAST_SEQ = "999999999999999" -- there is none after it that readers would take

-- The field for which a waiting job cannot even be leased; all others are read by the orchestrator.
local function unusable_field(job_id, row)
  if #job_id > 128 or job_id == "" or string.find(job_id, "[^%w._:-]") or row[ID] ~= job_id then return "id" end
  if not row[FUNCTION] then return "function_name" end
  local seq = row[SEQ]
  if seq and (#seq > 15 or string.find(seq, "%D") or seq == "" or seq == LAST_SEQ) then return "claim_seq" end
  if row[UNIQUE] and string.find(row[UNIQUE], "%c") then return "job_unique_key" end
  if row[QUEUE_NAME] and not is_tidy(row[QUEUE_NAME]) then return "queue_name" end
  return nil
end

-- Whether the job can be leased: true, false = leave it in the queue, nil = cleared away, out of the queue.
local function may_run(queue, job_id, job_key, row, lock, capacity)
  if is_wrong_type(row) then
    quarantine(prefix, job_id)
    count(queue, "lost", 1)
    return nil
  end
  local status = row[STATUS]
  if status ~= "PENDING" and status ~= "RETRYING" then
    if is_terminal(status) then return nil end
    -- An orchestrator of the public line gives a job back in steps: it locks it, puts it into the queue, and
    -- only then is it PENDING. Taken out in between it would be in no queue.
    if status == "ACTIVE" then if lock then return false else return nil end end
    if redis.call("EXISTS", job_key) == 1 then
      refuse(queue, job_id, job_key, "status")
    else
      count(queue, "lost", 1)
    end
    return nil
  end
  local field = unusable_field(job_id, row)
  if field then return refuse(queue, job_id, job_key, field) end
  if row[CANCEL] then return close(queue, job_id, job_key, "CANCELLED", "cancelled") end
  return not lock and (free[capacity] or 1) > 0
end

local function timeout_ms(row) return bounded(tonumber(row[TIMEOUT] or "") or 300, 0, 31536000) * 1000 end

local function lease(queue_key, job_id, job_key, row, capacity)
  if free[capacity] then free[capacity] = free[capacity] - 1 end
  local seq = whole((row[SEQ] or 0) + 1)
  local unique_key = row[UNIQUE]
  row[SEQ], row[ID], row[UNIQUE] = seq, nil, nil
  redis.call("HSET", job_key, "status", "ACTIVE", "worker_id", me, "start_time", now_text, "claim_seq", seq)
  -- The queue it was found in is the one it goes back to, whatever a foreign writer put into the record (I1).
  if row[QUEUE_NAME] ~= queue_key then redis.call("HSET", job_key, "queue_name", queue_key) end
  redis.call("PERSIST", job_key)
  if unique_key then hold_on(prefix, unique_key, job_id, timeout_ms(row) + LEEWAY_MS) end
  if lock_extension ~= "" then
    local ttl = bounded(timeout_ms(row) / 1000 + lock_extension, 1, 31536000)
    redis.call("SET", prefix .. ":lock:job:" .. job_id, me .. ":" .. seq, "EX", whole(math.ceil(ttl)))
  end
  -- All that is in the reply: a stranger can make any field large.
  for field = 1, ID - 1 do spent = spent + #(row[field] or "") end
end

-- One of the latest jobs was ours already: its record was deleted under its attempt, and its id enqueued again.
-- Where the numbers begin again, they go on from one that no claim had; a time in us, within 15 digits.
local function count_anew(latest)
  for i = #jobs - latest + 1, #jobs do
    local job_id, row = jobs[i][1], jobs[i][4]
    if row[SEQ] == "1" then
      row[SEQ] = whole(now * 1000 % 1e15)
      redis.call("HSET", prefix .. ":job:" .. job_id, "claim_seq", row[SEQ])
      if lock_extension ~= "" then
        redis.call("SET", prefix .. ":lock:job:" .. job_id, me .. ":" .. row[SEQ], "KEEPTTL")
      end
    end
  end
end

-- The locks of upstream orchestrators on the candidates, in their order.
local function locks_of(found)
  local keys = {}
  for i = 1, #found, 2 do keys[#keys + 1] = prefix .. ":lock:job:" .. found[i] end
  return redis.call("MGET", unpack(keys))
end

local function take(queue, routed, wanted, after)
  local queue_key, limit = prefix .. ":queue:" .. queue, wanted + slack
  local from, offset = string.match(after, "^(%S+) ?(%d*)$")
  local claimed, skipped, looked, wait, more = 0, 0, 0, 0, true
  from, offset = from or "-inf", tonumber(offset) or 0
  while more and claimed < wanted and looked < limit and spent < budget do
    local size = math.min(wanted - claimed + (looked > 0 and slack or 0), limit - looked, PAGE)
    local found = redis.pcall("ZRANGEBYSCORE", queue_key, from, now, "WITHSCORES", "LIMIT", offset, size)
    if is_wrong_type(found) then return { 0, 0, "", "" } end
    local locks, leased, gone = #found > 0 and locks_of(found), {}, {}
    for i = 1, #found, 2 do
      if claimed >= wanted or spent >= budget then break end
      local job_id, due = found[i], found[i + 1]
      local job_key = prefix .. ":job:" .. job_id
      local row = redis.pcall("HMGET", job_key, unpack(FIELDS))
      local capacity = capacity_of(row, runner_of(row[FUNCTION] or "", routed))
      local may = may_run(queue, job_id, job_key, row, locks[(i + 1) / 2], capacity)
      looked = looked + 1
      if may == false then
        skipped = skipped + 1
        if due == from then offset = offset + 1 else from, offset = due, 1 end
      else
        gone[#gone + 1] = job_id
      end
      if may then
        lease(queue_key, job_id, job_key, row, capacity)
        claimed = claimed + 1
        leased[#leased + 1] = now_int
        leased[#leased + 1] = job_id
        jobs[#jobs + 1] = { job_id, queue, due, row }
        if now - due < LONGEST_WAIT_MS then wait = wait + (now - due) end
      end
    end
    remove_members(queue_key, gone)
    if #leased > 0 and 2 * redis.call("ZADD", KEYS[2], unpack(leased)) < #leased then count_anew(#leased / 2) end
    more = #found == 2 * size
  end
  if claimed > 0 then
    count(queue, "started", claimed)
    count(queue, "wait_ms", math.floor(wait))
  end
  local first = redis.call("ZRANGE", queue_key, 0, 0, "WITHSCORES")
  if first[2] and tonumber(first[2]) <= now then
    wake(prefix, queue)
  else
    redis.call("DEL", prefix .. ":wake:" .. queue)
  end
  local hidden = more and claimed < wanted and spent < budget and skipped > 0
  return { claimed, skipped, first[2] or "", hidden and from .. " " .. offset or "" }
end

while ARGV[at] do
  local queue, wanted = ARGV[at], tonumber(ARGV[at + 2])
  if paused[queue] then
    queues[#queues + 1] = { 0, 0, "", "" }
  else
    queues[#queues + 1] = take(queue, ARGV[at + 1], wanted, ARGV[at + 3])
  end
  at = at + 4
end
write_counts(prefix, now)
return { "ok", now_int, jobs, queues, now_text }
