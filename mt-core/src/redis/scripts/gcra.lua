-- KEYS[1]: when the bucket will be empty. ARGV: limit, length in milliseconds. Returns what
-- fixed_window.lua does. The same arithmetic as `limit/policy.rs`, by the server's clock.
local limit, length = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each = math.max(1, math.floor(length / limit))
local empty = tonumber(redis.call('GET', KEYS[1]) or now)
empty = math.min(math.max(empty, now), now + length)
local used = empty + each - now
if used <= length then
  redis.call('SET', KEYS[1], string.format('%.0f', now + used), 'PX', math.ceil(used / 1000))
  return {math.floor((length - used) / each), math.ceil(used / 1000), 0}
end
redis.call('PEXPIRE', KEYS[1], math.max(1, math.ceil((empty - now) / 1000)))
return {-1, math.ceil((empty - now) / 1000), math.ceil((used - length) / 1000)}
