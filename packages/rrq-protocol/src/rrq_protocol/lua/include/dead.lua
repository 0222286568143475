--[[
include/dead: taking ids out of a DLQ, many in one call. Redis finds an entry of a list by looking at all before
it; whoever has read the list says where each entry stands, and then a call costs the same wherever they are.

A place is the number of entries behind an id, older ones, so that new dead letters change none. Ids come oldest
first, their places rise.
]]
-- No job has an empty id. Entries are marked with it, and all marked ones taken out together.
local MARK, NEAR = "", 16
local taken_before, marked, farthest = 0, 0, 0

-- Take one id out: "ok", "not_in_dlq", "wrong_type"; "moved" where it does not stand at `place`, and nothing was
-- done. Without a place it is looked for from the end, 1 or -1, that `from_end` says.
local function take_out(key, job_id, place, from_end)
  local stands = tonumber(place)
  if not stands then
    local removed = redis.pcall("LREM", key, from_end, job_id)
    if is_wrong_type(removed) then return "wrong_type" end
    return removed == 0 and "not_in_dlq" or "ok"
  end
  stands = stands - taken_before
  local there = redis.pcall("LINDEX", key, -1 - stands)
  if is_wrong_type(there) then return "wrong_type" end
  if there ~= job_id then return "moved" end
  -- The first change of all must be one that full memory allows, and LSET is none.
  if taken_before == 0 or stands < NEAR then
    local near = stands < NEAR or stands * 2 < redis.call("LLEN", key)
    redis.call("LREM", key, near and -1 or 1, job_id)
    taken_before = taken_before + 1
  else
    redis.call("LSET", key, -1 - stands, MARK)
    marked, farthest = marked + 1, stands
  end
  return "ok"
end

-- Take out an id that has no record: "gone" or "moved". Without a place all entries of it go.
local function take_out_stray(key, job_id, place)
  if place == "" then redis.pcall("LREM", key, 0, job_id) end
  return place ~= "" and take_out(key, job_id, place) == "moved" and "moved" or "gone"
end

-- Take out what was marked; once, at the end of a call.
local function finish_taking(key)
  if marked == 0 then return end
  local length = redis.call("LLEN", key)
  redis.call("LREM", key, farthest * 2 < length and -marked or marked, MARK)
end
