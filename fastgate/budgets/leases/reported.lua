-- A host has told all that it has: the store need not wait for it any more.
--
-- KEYS  meta, known, reported
-- ARGV  host, incarnation, epoch

local state = redis.call('HMGET', KEYS[1], 'epoch', 'incarnation:' .. ARGV[1])
if state[1] ~= ARGV[3] or state[2] ~= ARGV[2] then
    return 0
end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
return 1
