-- A host comes, or comes again. Says by which epoch it is to speak, as which of its incarnations, and what it had to make anew.
--
-- KEYS  meta, live, known, reported, ends, firsts
-- ARGV  host, nonce, run id of the server, now in ms or '', lapse_ms, quiet_ms, hosts that it knows...
--
-- The epoch names what the store remembers. A server that was started anew, or took over from another one, may have forgotten
-- something: then a new epoch begins, in which nothing is granted of older windows until every host that anybody knows, the
-- server itself among them, has reported what it has, and until every host that lives has had the time to come.

local SKEW_MS = 5000 -- between clocks of servers that follow each other
local DAY_MS = 86400000

local meta, live, known, reported = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local host, nonce, run = ARGV[1], ARGV[2], ARGV[3]
local lapse, quiet = tonumber(ARGV[5]), tonumber(ARGV[6])
local now = tonumber(ARGV[4])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
    return string.format('%.0f', number)
end

-- What others wrote into these keys is deleted, and costs no more than what a server forgets that was started anew.
local KINDS = {'HLEN', 'ZCARD', 'SCARD', 'SCARD', 'ZCARD', 'HLEN'}
local broken = {}
for i, key in ipairs(KEYS) do
    local size = redis.pcall(KINDS[i], key)
    if type(size) == 'table' and size.err then
        redis.call('UNLINK', key)
        table.insert(broken, key)
    end
end

local state = redis.call('HMGET', meta, 'epoch', 'run', 'nonce:' .. host, 'learning', 'quiet_until', 'incarnation:' .. host)
local is_whole = not state[4] or state[5]
for i = 4, 6 do
    is_whole = is_whole and (not state[i] or (string.match(state[i], '^%d+$') and #state[i] < 16))
end
if not is_whole then
    redis.call('UNLINK', meta)
    table.insert(broken, meta)
end

local seen = tonumber(redis.call('ZSCORE', live, host) or 0)
if state[3] and state[3] ~= nonce and seen + lapse > now and seen <= now + SKEW_MS then
    return {'taken'}
end

local epoch = state[1]
if not epoch or state[2] ~= run or #broken > 0 then
    epoch = run .. ':' .. whole(now)
    redis.call('HSET', meta, 'epoch', epoch, 'run', run, 'learning', whole(now), 'quiet_until', whole(now + quiet))
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
local incarnation = redis.call('HINCRBY', meta, 'incarnation:' .. host, 1)
redis.call('HSET', meta, 'nonce:' .. host, nonce, 'sequence:' .. host, 0)
redis.call('ZREMRANGEBYSCORE', live, '-inf', whole(now - DAY_MS))
redis.call('ZREMRANGEBYSCORE', live, whole(now + DAY_MS), '+inf')
redis.call('ZADD', live, whole(now), host)
return {'joined', epoch, incarnation, unpack(broken)}
