--[[
include/calls: the latest calls that moved a job, by the names they give themselves, with what they were told.
A call that is repeated because its answer was lost is told the same again: by then the job may have started,
and to take the repeat for another call would run its payload twice (I16, F2).
]]
local CALLS_BYTES, CALLS_MS = 4096, 600000 -- some 50 calls, the newest first

local function told_before(calls, name)
  if type(calls) ~= "string" or name == "" then return nil end
  local _, last = string.find(calls, ";" .. name .. " ", 1, true)
  if not last then return nil end
  local kind, job_id = string.match(calls, "^(%l+) ([%w._:-]+);", last + 1)
  return kind and { kind, job_id } or nil
end

local function with_call(calls, name, reply)
  local told = ";" .. name .. " " .. reply[1] .. " " .. reply[2] .. ";"
  local all = told .. (type(calls) == "string" and calls or "")
  if #all <= CALLS_BYTES then return all end
  return string.match(string.sub(all, 1, CALLS_BYTES), "^(.*;)")
end
