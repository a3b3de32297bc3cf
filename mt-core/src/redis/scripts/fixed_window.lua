-- KEYS[1]: the window. ARGV: limit, length in milliseconds.
-- Returns: how many remain, or -1 for a refusal, milliseconds to the end, milliseconds to the next that is allowed.
-- Counted and given an end in one step, so that no crash in between leaves a count that never ends.
local limit, length = tonumber(ARGV[1]), tonumber(ARGV[2])
local hits = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = length
  redis.call('PEXPIRE', KEYS[1], length)
end
if hits <= limit then
  return {limit - hits, left, 0}
end
return {-1, left, left}
