--[[
include/clock: the server's time, and its text form. One clock for all scores, so that no client's clock
matters (F47). And numbers kept within bounds.
]]
local LATEST_MS = 7258118400000 -- 1 January 2200: no due time lies behind it, and none before 1970 (I11)

local function clock_ms(given)
  if given ~= "" then return tonumber(given) end
  local t = redis.call("TIME")
  return tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
end

-- Digits without exponent or fraction: how the number is written into text fields and replies.
local function whole(number) return string.format("%.0f", math.floor(number)) end

-- A number between two bounds whatever was given; what is no number becomes the lower one.
local function bounded(given, least, most)
  local number = tonumber(given)
  if not number or not (number >= least) then return least end
  return number > most and most or number
end

-- When something is due that lies `delay` ms ahead.
local function due_in(now, delay) return bounded(now + bounded(delay, 0, LATEST_MS), 0, LATEST_MS) end

-- Epoch ms to RFC 3339 UTC with milliseconds; years are counted from 1 March, so that leap days come last.
local function rfc3339(ms)
  local s = math.floor(ms / 1000)
  local days = math.floor(s / 86400)
  local in_day = s - days * 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local leaps = math.floor(doe / 1460) - math.floor(doe / 36524) + math.floor(doe / 146096)
  local yoe = math.floor((doe - leaps) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, math.floor(in_day / 3600),
    math.floor(in_day / 60) % 60, in_day % 60, math.floor(ms - s * 1000))
end
