-- Nobody waits any more for a host that is gone for good, and nobody names it.
--
-- KEYS  live, known, reported
-- ARGV  host, now in ms or '', lapse_ms
--
-- A host that had reported has to go from both sets: while a store learns it grants as soon as as many have reported as are known.

local SKEW_MS = 5000 -- as in exchange.lua

local host, now = ARGV[1], tonumber(ARGV[2])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local heard = tonumber(redis.call('ZSCORE', KEYS[1], host) or nil)
if heard and heard + tonumber(ARGV[3]) > now and heard <= now + SKEW_MS then
    return 'lives'
end
local gone = redis.call('ZREM', KEYS[1], host) + redis.call('SREM', KEYS[2], host)
redis.call('SREM', KEYS[3], host)
return gone > 0 and 'forgotten' or 'unknown'
