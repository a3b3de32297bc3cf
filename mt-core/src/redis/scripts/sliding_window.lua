-- KEYS[1]: two windows. ARGV: limit, length in milliseconds. Returns what fixed_window.lua does.
-- The same arithmetic as `limit/policy.rs`, by the server's clock.
local limit, length = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = math.floor(now / length)
local left = length - (now - number * length)
local stored = redis.call('HMGET', KEYS[1], 'number', 'current', 'previous')
local at, current, previous = tonumber(stored[1] or -2), tonumber(stored[2] or 0), tonumber(stored[3] or 0)
if at == number - 1 then
  current, previous = 0, current
elseif at ~= number then
  current, previous = 0, 0
end
local free = limit * length - previous * left - current * length
local allowed = free >= length
if allowed then
  current = current + 1
  free = free - length
  redis.call('HSET', KEYS[1], 'number', number, 'current', current, 'previous', previous)
end
redis.call('PEXPIRE', KEYS[1], length + left)
if allowed then
  return {math.floor(free / length), length + left, 0}
end
local wait
if current < limit then
  wait = left - math.floor((limit - current - 1) * length / math.max(previous, 1))
else
  wait = left + length - math.floor((limit - 1) * length / current)
end
return {-1, length + left, math.ceil(wait)}
