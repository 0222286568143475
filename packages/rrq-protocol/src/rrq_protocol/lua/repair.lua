--[[
repair: put right one index entry per record, if the job is still as it was seen (T15).

KEYS[1] ZSET of live orchestrators  KEYS[2] ZSET of orchestrators being reaped  KEYS[3] SET of queue names
ARGV[1] key prefix  ARGV[2] now in ms, empty = server time  ARGV[3..] records of 7: kind, job_id, status,
  worker_id, claim_seq (as they were seen, empty = not there), place, due in ms (empty = now)
  kind "queue": waits in no queue, or is never due: into the queue it names; "owner": active in nobody's set:
  into its owner's, who is given to the janitors unless listed; "ttl": a job that has not ended expires: it no
  longer does; "dead": failed, not exactly once in DLQ `place`: now it is; "queued", "held", "buried": it has
  no business in queue, active set or DLQ `place`: taken out; "idempotency", "unique": the key `place` names
  it though it ended or is gone: deleted; "key": has not ended: the unique key it has lasts until its due time
  and its TTL longer, and is taken again where it ran out and nobody else has it; "reap": orchestrator `place`
  is in neither list, has no health report (as one of the public line would) and has an active set: given to
  the janitors; "counters": the counters miss `due` jobs while that of lost ones says `place`: noted as lost
The keys of jobs, queues, active sets, reports, DLQs, unique keys, wake lists and counters are spelled from the
  prefix as in keys.py.
Returns one of "repaired", "fine" (nothing is wrong (any more); a "key" may last longer now), "changed" (the
  job is not as it was seen), "wrong_type" (a key is in the way) per record, in order
Invariant: nothing moves unless the job is as it was seen and the fault is still there, so a late or repeated
  call, and one of another reconciler, does nothing (I16). Starts with a removal: works when memory is full
  (RELIABILITY.md 6.5, 6.7).
]]
--@include clock
--@include record
--@include stats
--@include wake
--@include unique
--@include close
local prefix, now, woken, answers = ARGV[1], clock_ms(ARGV[2]), {}, {}
local WIDTH, FIRST = 7, 3
local STATUS, WORKER, SEQ, QUEUE, DLQ, UNIQUE = 1, 2, 3, 4, 5, 6
-- A list of the wrong type keeps nobody from repairing what does not need it.
is_wrong_type(redis.pcall("ZREM", KEYS[1], ""))

local function waits(r) return r.held[STATUS] == "PENDING" or r.held[STATUS] == "RETRYING" end

-- Whether the record says in which queue it is to be; a claim believes one that does not wherever it finds it.
local function names_a_queue(named)
  return named and named ~= "" and (queue_of(prefix, named) ~= "default" or named == "default"
    or named == prefix .. ":queue:default")
end

-- An orchestrator of the public line is in neither list; while it lives it has a health report. nil: a list is of
-- the wrong type, and nobody knows.
local function listed(orchestrator)
  local known = false
  for list = 1, 2 do
    local score = redis.pcall("ZSCORE", KEYS[list], orchestrator)
    if is_wrong_type(score) then known = nil elseif score then return true end
  end
  return redis.call("EXISTS", prefix .. ":health:worker:" .. orchestrator) == 1 or known
end

-- What a first write found, as an answer: a key of another type is left to a person.
local function done(reply) return is_wrong_type(reply) and "wrong_type" or "repaired" end

local function give_to_janitors(orchestrator) return done(redis.pcall("ZADD", KEYS[2], whole(now), orchestrator)) end

local mend = {}

function mend.queue(r)
  if not waits(r) then return "fine" end
  local queue = queue_of(prefix, r.held[QUEUE])
  local key = prefix .. ":queue:" .. queue
  local due = redis.pcall("ZSCORE", key, r.id)
  if is_wrong_type(due) then return "wrong_type" end
  if due and tonumber(due) >= 0 and tonumber(due) <= LATEST_MS then return "fine" end
  redis.call("ZADD", key, r.due == "" and now or bounded(r.due, 0, LATEST_MS), r.id)
  redis.pcall("SADD", KEYS[3], queue)
  woken[queue] = true
  return "repaired"
end

-- Whose jobs nobody can name is nobody's: under a name of its own the janitors take it back as any other.
local function owner_of(r)
  local owner = r.held[WORKER] or ""
  if owner ~= "" and #owner <= 256 and not string.find(owner, "[^%w._:-]") then return owner end
  redis.call("HSET", r.key, "worker_id", "unknown")
  return "unknown"
end

function mend.owner(r)
  if r.held[STATUS] ~= "ACTIVE" then return "fine" end
  local known = redis.pcall("ZSCORE", prefix .. ":active:jobs:" .. (r.held[WORKER] or ""), r.id)
  if is_wrong_type(known) then return "wrong_type" end
  if known then return "fine" end
  local owner = owner_of(r)
  local added = redis.pcall("ZADD", prefix .. ":active:jobs:" .. owner, whole(now), r.id)
  if is_wrong_type(added) then return "wrong_type" end
  -- Where nobody knows whether it lives, its set is a finding of its own as soon as somebody does (I7).
  if listed(owner) == false then give_to_janitors(owner) end
  return "repaired"
end

function mend.ttl(r)
  if not waits(r) and r.held[STATUS] ~= "ACTIVE" then return "fine" end
  return redis.call("PERSIST", r.key) == 1 and "repaired" or "fine"
end

-- How often a list holds an id, up to twice; nil where the server cannot say (before Redis 6.0.6).
local function times(key, id)
  local found = redis.pcall("LPOS", key, id, "COUNT", 2)
  if type(found) == "table" and found.err and string.find(found.err, "nknown") then return nil end
  return is_wrong_type(found) and found or #found
end

function mend.dead(r)
  if r.held[STATUS] ~= "FAILED" then return "fine" end
  local key, named = prefix .. ":dlq:" .. r.place, r.held[DLQ] or r.place
  -- One that lies where its record says is not to be moved.
  if named ~= r.place and (tonumber(times(prefix .. ":dlq:" .. named, r.id)) or 0) > 0 then return "fine" end
  local before = times(key, r.id)
  if type(before) == "table" then return "wrong_type" end
  if before == 1 and r.held[DLQ] == r.place then return "fine" end
  if before ~= 1 then
    local removed = redis.pcall("LREM", key, 0, r.id)
    if is_wrong_type(removed) then return "wrong_type" end
    push_dead(prefix, r.place, r.id)
  end
  redis.call("HSET", r.key, "dlq_name", r.place)
  return "repaired"
end

local function take_out(command, r, key, ...)
  local removed = redis.pcall(command, key, ...)
  if is_wrong_type(removed) then return "wrong_type" end
  return removed > 0 and "repaired" or "fine"
end

function mend.queued(r)
  local status, key = r.held[STATUS], prefix .. ":queue:" .. r.place
  if r.there and not waits(r) and status ~= "ACTIVE" and not is_terminal(status) then return "fine" end
  if waits(r) then
    -- The place it belongs to comes first: a job in the wrong queue only is better off than in none.
    local own = prefix .. ":queue:" .. queue_of(prefix, r.held[QUEUE])
    if own == key or not names_a_queue(r.held[QUEUE]) then return "fine" end
    if type(redis.pcall("ZSCORE", own, r.id)) ~= "string" then return "fine" end
  end
  local answer = take_out("ZREM", r, key, r.id)
  if answer == "repaired" and not r.there then count(r.place, "lost", 1) end
  return answer
end

function mend.held(r)
  if r.held[STATUS] == "ACTIVE" and r.held[WORKER] == r.place then return "fine" end
  local answer = take_out("ZREM", r, prefix .. ":active:jobs:" .. r.place, r.id)
  if answer == "repaired" and not r.there then count("default", "lost", 1) end
  return answer
end

function mend.buried(r)
  if r.held[STATUS] == "FAILED" and (not r.held[DLQ] or r.held[DLQ] == r.place) then return "fine" end
  return take_out("LREM", r, prefix .. ":dlq:" .. r.place, 0, r.id)
end

local function free_key(family)
  return function(r)
    if r.there and not is_terminal(r.held[STATUS]) then return "fine" end
    local key = prefix .. family .. r.place
    local holder = redis.pcall("GET", key)
    if is_wrong_type(holder) then return "wrong_type" end
    return holder == r.id and redis.call("DEL", key) == 1 and "repaired" or "fine"
  end
end

mend.idempotency = free_key(":idempotency:")
mend.unique = free_key(":lock:unique:")

function mend.key(r)
  local unique_key = r.held[UNIQUE] or ""
  if unique_key == "" or not (waits(r) or r.held[STATUS] == "ACTIVE") then return "fine" end
  local key = prefix .. ":idempotency:" .. unique_key
  local holder = redis.pcall("GET", key)
  if is_wrong_type(holder) then return "wrong_type" end
  local due = redis.pcall("ZSCORE", prefix .. ":queue:" .. queue_of(prefix, r.held[QUEUE]), r.id)
  local ahead = type(due) == "string" and bounded(tonumber(due) - now, 0, LATEST_MS) or 0
  local ttl = unique_ttl_ms(prefix, r.id)
  if holder == r.id then
    local left = redis.call("PTTL", key)
    if left >= 0 and left < ahead + ttl then hold_unique(prefix, unique_key, r.id, ahead, ttl) end
    return "fine"
  end
  if unique_holder(prefix, unique_key, r.id) then return "fine" end
  hold_unique(prefix, unique_key, r.id, ahead, ttl)
  return "repaired"
end

local function reap(orchestrator)
  local size = redis.pcall("ZCARD", prefix .. ":active:jobs:" .. orchestrator)
  if is_wrong_type(size) then return "wrong_type" end
  if size == 0 then return "fine" end
  local known = listed(orchestrator)
  if known == nil then return "wrong_type" end
  return known and "fine" or give_to_janitors(orchestrator)
end

-- Every other script keeps the sum, so what was missing then is missing now, unless somebody else noted it.
local function recount(lost, missing)
  if missing == "" then return "fine" end
  local held = redis.pcall("HGET", prefix .. ":stats:default", "lost")
  if is_wrong_type(held) then return "wrong_type" end
  if (held or "") ~= lost then return "changed" end
  count("default", "lost", tonumber(missing))
  return "repaired"
end

local function repair(at)
  local kind, id = ARGV[at], ARGV[at + 1]
  if kind == "reap" then return reap(ARGV[at + 5]) end
  if kind == "counters" then return recount(ARGV[at + 5], ARGV[at + 6]) end
  if not mend[kind] then return redis.error_reply("ERR repair: unknown kind " .. tostring(kind)) end
  local key = prefix .. ":job:" .. id
  local held = redis.pcall("HMGET", key, "status", "worker_id", "claim_seq", "queue_name", "dlq_name",
    "job_unique_key")
  if is_wrong_type(held) then return "wrong_type" end
  for i = STATUS, SEQ do
    if (held[i] or "") ~= ARGV[at + 1 + i] then return "changed" end
  end
  local there = held[STATUS] ~= false or redis.call("EXISTS", key) == 1
  return mend[kind]({ id = id, key = key, held = held, there = there, place = ARGV[at + 5],
    due = ARGV[at + 6] })
end

for at = FIRST, #ARGV, WIDTH do
  local answer = repair(at)
  if type(answer) == "table" then return answer end
  answers[#answers + 1] = answer
end
for queue in pairs(woken) do wake(prefix, queue) end
write_counts(prefix, now)
return answers
