-- A host comes, or comes again. Says by which epoch it is to speak, and as which of its incarnations.
--
-- KEYS  meta, live, known, reported
-- ARGV  host, nonce, run id of the server, now in ms or '', lapse_ms, quiet_ms, hosts that it knows...
--
-- The epoch names what the store remembers. A server that was started anew, or took over from another one, may have forgotten
-- something: then a new epoch begins, in which nothing is granted of older windows until every host that anybody knows, the
-- server itself among them, has reported what it has, and until every host that lives has had the time to come.

local meta, live, known, reported = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local host, nonce, run = ARGV[1], ARGV[2], ARGV[3]
local lapse, quiet = tonumber(ARGV[5]), tonumber(ARGV[6])
local now = tonumber(ARGV[4])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local state = redis.call('HMGET', meta, 'epoch', 'run', 'nonce:' .. host)
local seen = tonumber(redis.call('ZSCORE', live, host) or 0)
if state[3] and state[3] ~= nonce and seen + lapse > now then
    return {'taken'}
end

local epoch = state[1]
if not epoch or state[2] ~= run then
    epoch = run .. ':' .. string.format('%.0f', now)
    redis.call('HSET', meta, 'epoch', epoch, 'run', run, 'learning', string.format('%.0f', now),
        'quiet_until', string.format('%.0f', now + quiet))
    redis.call('DEL', known, reported)
    for _, other in ipairs(redis.call('ZRANGE', live, 0, -1)) do
        if string.match(other, '^[%w._-]+$') then -- else it is no host's, and would be waited for in vain
            redis.call('SADD', known, other)
        end
    end
end
if redis.call('HEXISTS', meta, 'learning') == 1 then
    redis.call('SADD', known, host)
    for i = 7, #ARGV do
        redis.call('SADD', known, ARGV[i])
    end
end
if state[3] ~= nonce then
    redis.call('HINCRBY', meta, 'life:' .. host, 1)
end
local incarnation = redis.call('HINCRBY', meta, 'incarnation:' .. host, 1)
redis.call('HSET', meta, 'nonce:' .. host, nonce, 'sequence:' .. host, 0)
redis.call('ZREMRANGEBYSCORE', live, '-inf', string.format('%.0f', now - 86400000))
redis.call('ZADD', live, string.format('%.0f', now), host)
return {'joined', epoch, incarnation}
