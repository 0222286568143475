--[[
include/dead: taking ids out of a DLQ, many in one call. Redis finds an entry of a list by looking at all before
it; whoever has read the list says where each entry stands, and then a call costs the same wherever they are.

A place is the number of entries behind an id, older ones, so that new dead letters change none. Ids come oldest
first, their places rise. An id that is listed more than once has all its places, newest first, blanks between.
]]
-- No job has an empty id. Entries are marked with it, and all marked ones taken out together.
local MARK, NEAR = "", 16
local removed, marked, farthest = {}, 0, 0

-- Where what stood at `place` before this call stands now.
local function now_at(place)
  local stands = place
  for at = 1, #removed do
    if removed[at] < place then stands = stands - 1 end
  end
  return stands
end

-- Take one id out, all its entries: "ok", "not_in_dlq", "wrong_type"; "moved" where one does not stand at its
-- place, and nothing was done. Without a place one is looked for from the end, 1 or -1, that `from_end` says.
local function take_out(key, job_id, places, from_end)
  if places == "" then
    local found = redis.pcall("LREM", key, from_end, job_id)
    if is_wrong_type(found) then return "wrong_type" end
    return found == 0 and "not_in_dlq" or "ok"
  end
  local entries = {}
  for text in string.gmatch(places, "%d+") do
    local place = tonumber(text)
    local there = redis.pcall("LINDEX", key, -1 - now_at(place))
    if is_wrong_type(there) then return "wrong_type" end
    if there ~= job_id then return "moved" end
    entries[#entries + 1] = place
  end
  -- The first change of all must be one that full memory allows, and LSET is none.
  local oldest = entries[#entries]
  local stands = now_at(oldest)
  if #removed == 0 or stands < NEAR then
    local near = #entries > 1 or stands < NEAR or stands * 2 < redis.call("LLEN", key)
    redis.call("LREM", key, near and -1 or 1, job_id)
    removed[#removed + 1], entries[#entries] = oldest, nil
  end
  for at = 1, #entries do
    stands = now_at(entries[at])
    redis.call("LSET", key, -1 - stands, MARK)
    marked, farthest = marked + 1, math.max(farthest, stands)
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
