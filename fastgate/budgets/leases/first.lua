-- When a limit was first used on any host, from where all of them count its windows; false: nobody can say yet.
--
-- KEYS  meta, firsts
-- ARGV  host, incarnation, epoch, id of the limit, what the host proposes in ns
--
-- A store that learns may have forgotten it, and a host that has not reported yet may count from it.

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
    first = ARGV[5]
    redis.call('HSET', KEYS[2], ARGV[4], first)
end
return {'first', first}
