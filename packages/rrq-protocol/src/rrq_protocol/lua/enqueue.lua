--[[
enqueue: accept jobs (T0, T0r), or move a pending one (T1); each on its own, all of a call in one step.

KEYS[1] SET of queue names
ARGV[1] key prefix  ARGV[2] now in ms, empty = server time  ARGV[3..] records of 16:
  job_id, function_name, job_params, queue, max_retries, job_timeout_seconds, result_ttl_seconds,
  payload_digest, due ("" = now, "+N" = in N ms, "=N" = at epoch ms N), unique_key, unique_ttl_ms,
  guard ("", "rate_limit", "debounce", "reschedule", "tick"), guard_key, guard_ttl_ms (of a tick: the cron
  entry, and the tick's epoch ms; of debounce and reschedule a space may follow, and a name of A-Z a-z 0-9 -
  that this call alone has), trace_context, correlation_context
The keys of a job, its queue, wake list, counters and guards are spelled from the prefix as in keys.py.
Returns kind, job_id per record, flat, in order; kind is "created", "exists" (same id, same digest), "taken"
  (same id, other digest), "unique" (job_id, another job, holds the key), "rate_limited", "updated", "ended"
  (to be rescheduled, and has ended) or "wrong_type"; "exists" also for a tick that was fired before; a call with
  a name is told the same again when it is repeated
Invariant: a job hash is created here only, together with its queue entry (I1, I3); a repeat writes nothing
  (T0r, I16); a tick of a cron entry is fired once, whatever became of its job (F51). When memory is full the
  first write is refused and the call fails as a whole, nothing written (F32).
]]
--@include clock
--@include record
--@include stats
--@include wake
--@include unique
--@include calls
local prefix, now = ARGV[1], clock_ms(ARGV[2])
local now_text = rfc3339(now)
local WIDTH, FIRST = 16, 3
local total = (#ARGV - FIRST + 1) / WIDTH
local usable_queues, woken, replies = {}, {}, {}

-- Jobs of one call share one instant; a microsecond each keeps their order and none lies in the future.
local function due_at(text, index)
  local kind = string.sub(text, 1, 1)
  if kind == "=" then return bounded(string.sub(text, 2), 0, LATEST_MS) end
  if kind == "+" then return due_in(now, string.sub(text, 2)) end
  return now - (total - index) / 1000
end

-- The instants of a call are mostly the same ms, and to write one out is a tenth of what a job costs.
local last_ms, last_text
local function time_text(ms)
  local whole_ms = math.floor(ms)
  if whole_ms ~= last_ms then last_ms, last_text = whole_ms, rfc3339(whole_ms) end
  return last_text
end

local function ttl_text(r) return string.format("%.14g", tonumber(r.unique_ttl) / 1000) end

local function queue_usable(queue)
  if usable_queues[queue] == nil then
    local kind = redis.call("TYPE", prefix .. ":queue:" .. queue).ok
    usable_queues[queue] = kind == "zset" or kind == "none"
    if usable_queues[queue] then redis.pcall("SADD", KEYS[1], queue) end
  end
  return usable_queues[queue]
end

-- The key that a moved job holds from now on: that of the call, or else the one it has.
local function move_key(job_id, job_key, held_key, r, due)
  if r.unique_key == "" then return hold_on(prefix, held_key, job_id, due - now) end
  if held_key ~= r.unique_key then release_unique(prefix, job_id, held_key) end
  redis.call("HSET", job_key, "job_unique_key", r.unique_key, "job_unique_ttl_seconds", ttl_text(r))
  hold_unique(prefix, r.unique_key, job_id, due - now, r.unique_ttl)
end

local function replace_context(job_key, field, context)
  if context == "" then redis.call("HDEL", job_key, field) else redis.call("HSET", job_key, field, context) end
end

-- T1: give a job that still waits a new payload and due time; nil when it does not wait (any more). It is a new
-- request: what attempts of the one before spent, until they were given back, is not charged to it. The job
-- that holds the unique key of the call, if it is another one, stands in its way as in that of a new job.
local function move_pending(job_id, r, due)
  local job_key, queue_key = prefix .. ":job:" .. job_id, prefix .. ":queue:" .. r.queue
  local held = redis.pcall("HMGET", job_key, "status", "queue_name", "job_unique_key")
  if is_wrong_type(held) or held[1] ~= "PENDING" then return nil end
  local held_in = prefix .. ":queue:" .. queue_of(prefix, held[2])
  if type(redis.pcall("ZSCORE", held_in, job_id)) ~= "string" then return nil end
  local holder = r.unique_key ~= "" and unique_holder(prefix, r.unique_key, job_id)
  if holder then return { "unique", holder } end
  redis.call("HSET", job_key, "function_name", r.name, "job_params", r.params, "max_retries", r.max_retries,
    "job_timeout_seconds", r.timeout, "result_ttl_seconds", r.result_ttl, "queue_name", queue_key,
    "next_scheduled_run_time", time_text(due), "payload_digest", r.digest, "current_retries", "0")
  replace_context(job_key, "trace_context", r.trace)
  replace_context(job_key, "correlation_context", r.correlation)
  if held_in ~= queue_key then redis.call("ZREM", held_in, job_id) end
  redis.call("ZADD", queue_key, due, job_id)
  move_key(job_id, job_key, held[3], r, due)
  woken[r.queue] = true
  return { "updated", job_id }
end

local function create(r, due)
  local queue_key = prefix .. ":queue:" .. r.queue
  -- First, for where a right is missing half is left: an entry without a record is pruned at the next claim,
  -- a record without an entry would be taken for an accepted job.
  redis.call("ZADD", queue_key, due, r.id)
  redis.call("HSET", r.key, "id", r.id, "function_name", r.name, "job_params", r.params, "enqueue_time",
    now_text, "status", "PENDING", "current_retries", "0", "next_scheduled_run_time", time_text(due),
    "max_retries", r.max_retries, "job_timeout_seconds", r.timeout, "result_ttl_seconds", r.result_ttl,
    "queue_name", queue_key, "result", "null", "payload_digest", r.digest)
  -- Rarely given, so a further command now and then is cheaper than a table of fields each time.
  if r.trace ~= "" then redis.call("HSET", r.key, "trace_context", r.trace) end
  if r.correlation ~= "" then redis.call("HSET", r.key, "correlation_context", r.correlation) end
  if r.unique_key ~= "" then
    redis.call("HSET", r.key, "job_unique_key", r.unique_key, "job_unique_ttl_seconds", ttl_text(r))
    -- A key that ran out while its job still waits for its time would let a second one in.
    hold_unique(prefix, r.unique_key, r.id, due - now, r.unique_ttl)
  end
  woken[r.queue] = true
  count(r.queue, "enqueued", 1)
  return { "created", r.id }
end

-- The period of a guard, and the name of the call.
local function period_and_name(r) return string.match(r.guard_ttl, "^(%S*) ?([%w-]*)") end

-- Keep what a call was told with the job it created or moved.
local function note_call(r, calls, name, reply)
  if name ~= "" then redis.call("HSET", r.key, "calls", with_call(calls, name, reply)) end
  return reply
end

-- What an equal job under the id means to a call that reschedules; nil where it is as for any other.
local function reschedule(r, due)
  local _, name = period_and_name(r)
  local held = redis.call("HMGET", r.key, "status", "calls")
  local told = told_before(held[2], name)
  if told then return told end
  if is_terminal(held[1]) then return { "ended", r.id } end
  local moved = move_pending(r.id, r, due)
  if moved and moved[1] == "updated" then note_call(r, held[2], name, moved) end
  return moved
end

local function known(r, due)
  local moved = r.guard == "reschedule" and reschedule(r, due)
  if moved then return moved end
  return { redis.call("HGET", r.key, "payload_digest") == r.digest and "exists" or "taken", r.id }
end

-- Who stands in the way of a new job; nil when nobody does.
local function standing(r, due, size)
  if size > 0 then return known(r, due) end
  local holder = r.unique_key ~= "" and unique_holder(prefix, r.unique_key, r.id)
  return holder and { "unique", holder } or nil
end

-- A tick is told by the entry's hash before the job's record, which may be gone by now. The hash is written
-- last: where the job could not be stored, the tick is still to be fired.
local function accept_tick(r, due, size)
  local key = prefix .. ":cron:" .. r.guard_key
  local last = redis.pcall("HGET", key, "tick")
  if is_wrong_type(last) then return { "wrong_type", r.id } end
  last = tonumber(last or "")
  if last and last >= tonumber(r.guard_ttl) and last <= LATEST_MS then return { "exists", r.id } end
  local reply = standing(r, due, size) or create(r, due)
  redis.call("HSET", key, "tick", r.guard_ttl)
  if reply[1] == "created" then redis.call("HSET", key, "fired", r.guard_ttl, "job_id", r.id) end
  return reply
end

-- The pending job of the debounce key comes first: it may hold the unique key of the call itself.
local function accept_debounced(r, due, size)
  local period, name = period_and_name(r)
  local key, calls_key = prefix .. ":debounce:" .. r.guard_key, prefix .. ":debounced:" .. r.guard_key
  local calls = name ~= "" and redis.pcall("GET", calls_key)
  if is_wrong_type(calls) then calls = nil end
  local told = told_before(calls, name)
  if told then return told end
  if size > 0 then return known(r, due) end
  local gathering = redis.pcall("GET", key)
  local reply = type(gathering) == "string" and move_pending(gathering, r, due) or standing(r, due, size)
  if reply and reply[1] == "unique" then return reply end
  -- The job may wait long after it is due, and gathers calls until it starts.
  local ttl = bounded(due - now, 0, LATEST_MS) + math.max(tonumber(period), UNIQUE_TTL_MS)
  redis.call("SET", key, reply and gathering or r.id, "PX", whole(math.ceil(ttl)))
  reply = reply or create(r, due)
  -- Last: of what could not be stored nothing may be told.
  if name ~= "" then
    local kept = whole(math.max(tonumber(period), CALLS_MS))
    redis.call("SET", calls_key, with_call(calls, name, reply), "PX", kept)
  end
  return reply
end

local function accept_guarded(r, due, size)
  if r.guard == "tick" then return accept_tick(r, due, size) end
  if r.guard == "debounce" then return accept_debounced(r, due, size) end
  local other = standing(r, due, size)
  if other then return other end
  if r.guard == "rate_limit" then
    local key = prefix .. ":rate_limit:" .. r.guard_key
    if not redis.call("SET", key, r.id, "NX", "PX", r.guard_ttl) then
      -- One of another type has no end: no job would ever be accepted.
      if redis.call("TYPE", key).ok ~= "string" then return { "wrong_type", r.id } end
      return { "rate_limited", "" }
    end
  end
  local reply = create(r, due)
  if r.guard ~= "reschedule" then return reply end
  local _, name = period_and_name(r)
  return note_call(r, nil, name, reply)
end

local function accept(r, index)
  if not queue_usable(r.queue) then return { "wrong_type", r.id } end
  local due, size = due_at(r.due, index), redis.pcall("HLEN", r.key)
  if is_wrong_type(size) then return { "wrong_type", r.id } end
  if r.guard ~= "" then return accept_guarded(r, due, size) end
  return standing(r, due, size) or create(r, due)
end

for index = 1, total do
  local at = FIRST + (index - 1) * WIDTH
  local id = ARGV[at]
  local reply = accept({
    id = id, key = prefix .. ":job:" .. id, name = ARGV[at + 1], params = ARGV[at + 2], queue = ARGV[at + 3],
    max_retries = ARGV[at + 4], timeout = ARGV[at + 5], result_ttl = ARGV[at + 6], digest = ARGV[at + 7],
    due = ARGV[at + 8], unique_key = ARGV[at + 9], unique_ttl = ARGV[at + 10], guard = ARGV[at + 11],
    guard_key = ARGV[at + 12], guard_ttl = ARGV[at + 13], trace = ARGV[at + 14], correlation = ARGV[at + 15],
  }, index)
  replies[#replies + 1] = reply[1]
  replies[#replies + 1] = reply[2]
end
for queue in pairs(woken) do wake(prefix, queue) end
write_counts(prefix, now)
return replies
