-- When a limit was first used on any host, from where all of them count its windows; false: nobody can say yet.
--
-- KEYS  meta, firsts
-- ARGV  host, incarnation, epoch, id of the limit, what the host proposes in ns, now in ms or ''
--
-- A store that learns may have forgotten it, and a host that has not reported yet may count from it. No use is later than now,
-- whatever the clock of a host says: until then all others would count in the first window.

local state = redis.call('HMGET', KEYS[1], 'epoch', 'incarnation:' .. ARGV[1], 'learning')
if state[1] ~= ARGV[3] or state[2] ~= ARGV[2] then
    return {'join'}
end
local first = redis.call('HGET', KEYS[2], ARGV[4])
if first and not (string.match(first, '^%d+$') and #first <= 19) then
    redis.call('HDEL', KEYS[2], ARGV[4])
    redis.call('HDEL', KEYS[1], 'epoch') -- all tell it again, who know it
    return {'join', KEYS[2]}
end
if not first and not state[3] then
    local now = tonumber(ARGV[6])
    if not now then
        local time = redis.call('TIME')
        now = time[1] * 1000 + math.floor(time[2] / 1000)
    end
    first = tonumber(ARGV[5]) / 1e6 > now and string.format('%.0f', now) .. '000000' or ARGV[5]
    redis.call('HSET', KEYS[2], ARGV[4], first)
end
return {'first', first}
