-- What a host has of some windows, and wants more of them; what it gets.
--
-- KEYS  meta, live, known, reported, ends, firsts, then a hash for each window
-- ARGV  host, incarnation, sequence, epoch, now in ms or '', lapse_ms, then thirteen for each window:
--       limit, claim, used, spent, want, need, version, seen and holders as it was told them last, begin and end in ms (0: never),
--       the limit's id, and its first use in ns (0: nobody asks for it)
--
-- Everything is said in absolute numbers. A host's claim on a window is what it may use at most, by its own word: what it was
-- granted and has heard of, less what it gave back. So a lost answer returns by itself what it granted, and whatever comes
-- late or twice is known by its sequence number, and ignored. At all times the sum of claims is no less than what hosts may use.
--
-- What lies here has no expiry of Redis' own, lest it be taken for something that may be evicted: windows that are long over are
-- forgotten by whoever comes.
--
-- Numbers are whole and below 2^53, in which Lua is exact; `spent` is not reckoned with here, only added up by Redis itself.

local HUNGER_MS = 1000
local KEPT_MS = 3600000
local FORGOTTEN_AT_ONCE = 16
local ITEM = 13
local SKEW_MS = 5000 -- between clocks of hosts and of the store
local LONGEST_QUIET_MS = 60000
local OTHERS = 8 -- hosts of which a mark is kept: as many as can be told apart quickly

local meta, live, known, reported, endings, firsts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local host, incarnation, sequence, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local now, lapse = tonumber(ARGV[5]), tonumber(ARGV[6])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local state = redis.call('HMGET', meta, 'epoch', 'incarnation:' .. host, 'sequence:' .. host, 'learning', 'quiet_until',
    'nonce:' .. host)
if state[1] ~= epoch or state[2] ~= incarnation or not tonumber(state[3]) or not state[6] then
    return {'join'}
end
if sequence <= tonumber(state[3]) then
    return {'late'}
end
redis.call('HSET', meta, 'sequence:' .. host, ARGV[3])
redis.call('ZADD', live, string.format('%.0f', now), host)
local hosts = redis.call('ZCOUNT', live, string.format('(%.0f', now - lapse), string.format('%.0f', now + SKEW_MS))

-- While it learns, the store grants nothing of windows that somebody may have used who has not reported yet.
local learning = state[4]
if learning and tonumber(state[5]) > now + LONGEST_QUIET_MS then -- no script wrote that
    redis.call('HDEL', meta, 'epoch')
    return {'join', meta}
end
if learning and now >= tonumber(state[5]) and redis.call('SCARD', known) <= redis.call('SCARD', reported)
    and #redis.call('SDIFF', known, reported) == 0 then -- which it takes a while to find out
    redis.call('HDEL', meta, 'learning')
    learning = false
end

local function whole(number)
    return string.format('%.0f', number)
end

-- A set of hosts as one number: the sum of the marks that stand for each with its counters. Sets of the same number are the same.
-- A host whose counters came back from its ledger has another mark than before: it may have forgotten what it spent last.
local MARKS = 2 ^ 48
local mark = tonumber(string.sub(redis.sha1hex(host .. ' ' .. state[6]), 1, 12), 16)

-- Whether it is that set, with some of those of whom a mark is given.
local function is_with_some(wanted, set, marks, from)
    if wanted == set then
        return true
    end
    for i = from, #marks do
        if is_with_some(wanted, (set + tonumber(marks[i])) % MARKS, marks, i + 1) then
            return true
        end
    end
    return false
end

-- A whole number that nobody need doubt; nil: it is none.
local function number(text)
    local found = tonumber(text or 0)
    return found and found >= 0 and found < 2 ^ 53 and found % 1 == 0 and found or nil
end

-- What lies at a window's key; nil: nothing that a script wrote.
local function read(key)
    local values = redis.pcall('HMGET', key, 'claimed', 'used', 'lost', 'version', 'hungry', 'holders', 'host:' .. host, 'seen', 'back',
        'spent')
    if values.err then
        return nil
    end
    local mine, seen, spent = values[7], values[8], values[10]
    local row = {
        is_new = not values[1], claimed = number(values[1]), used = number(values[2]), lost = number(values[3]),
        version = number(values[4]), hungry = number(values[5]), holders = number(values[6]), back = values[9] or '0|',
        spent = spent or '0',
    }
    if not (row.claimed and row.used and row.lost and row.version and row.hungry and row.holders) then
        return nil
    end
    if mine then
        local claim, used, mine_spent, of_mark, of_epoch = string.match(mine, '^(%d+) (%d+) (%-?%d+) (%d+) (.*)$')
        row.mine = claim and number(claim) and number(used) and {
            claim = number(claim), used = number(used), spent = mine_spent, mark = tonumber(of_mark), epoch = of_epoch,
        }
        if not row.mine or row.mine.claim > row.claimed or row.mine.used > row.used then
            return nil
        end
    end
    if seen then
        local sum, set = string.match(seen, '^(%d+) (%d+)$')
        row.seen = sum and number(sum) and {sum = number(sum), set = tonumber(set)}
    end
    if (seen and not row.seen) or (spent and not string.match(spent, '^%-?%d+$')) then
        return nil
    end
    return row
end

-- Who has told of a window in an epoch, as it is kept; nil: nothing that a script wrote.
local function read_back(kept)
    local sure, others, of = string.match(kept, '^(%d+)([%d ]*)|(.*)$')
    local back = sure and {epoch = of, sure = tonumber(sure), others = {}}
    for other in string.gmatch(others or '', '%d+') do
        table.insert(back.others, other)
    end
    return back
end

-- Fields of a window: claimed, used, spent: sums over hosts. version: counts the changes of `claimed` with `lost`, as hosts are told
-- it. seen: the latest that any host remembers of that, while the store learns, and of whose claims it is the sum; until it knows
-- again, hosts are told what they remember, and `version` is that of `seen`. lost: what of it was claimed by hosts that are gone:
-- nothing, where all whose claims were seen have told theirs in this epoch. What they gave back since, or never heard of, is there
-- for all. holders: the hosts that claim. back: the epoch, and who has told in it: those who had been told of the window before, and
-- some others, who may have claimed before or not. hungry: until when somebody lacks. host:...: what that one said last: claim, used
-- and spent, its mark, in which epoch.
local function exchange(key, limit, claim, used, spent, want, need, version, seen, seen_of, begins, ends)
    if ends > 0 and ends + KEPT_MS <= now then -- forgotten: whoever tells of it has another time, or has slept
        return {whole(claim), whole(version), whole(seen), seen_of, '0', spent, 0, '0'}
    end
    local row, back = read(key), nil
    local is_first = row and (not row.mine or row.mine.epoch ~= epoch) -- that it tells of it in this epoch
    if row and (is_first or row.seen) then
        back = read_back(row.back)
    end
    if not row or (is_first and not back) or (row.seen and not back) then
        redis.call('UNLINK', key)
        return nil, key
    end
    if version > row.version and not learning then
        return nil -- of what was told nothing is here: somebody has deleted it, or speaks who was waited for in vain
    end
    local mine = row.mine or {claim = 0, used = 0, spent = '0', mark = mark}
    local lost, holders, latest, hungry = row.lost, row.holders, row.version, row.hungry
    if not row.mine then
        holders = (holders + mark) % MARKS
    end
    if is_first then
        if back.epoch ~= epoch then
            back = {epoch = epoch, sure = 0, others = {}}
        end
        if version > 0 then
            back.sure = (back.sure + mark) % MARKS
        elseif #back.others < OTHERS then
            table.insert(back.others, whole(mark))
        end
        lost = math.max(0, lost - math.max(0, claim - mine.claim))
    end
    if mine.mark ~= mark then
        lost = lost + math.max(0, mine.claim - claim) -- it may have used that, and forgotten with its counters
    end
    local claimed, total = row.claimed - mine.claim + claim, row.used - mine.used + used
    if learning and version > latest then
        redis.call('HSET', key, 'seen', whole(seen) .. ' ' .. seen_of)
        latest = version
    elseif row.seen and not learning then
        if not is_with_some(row.seen.set, back.sure, back.others, 1) then
            lost = math.max(lost, row.seen.sum - claimed)
        end
        redis.call('HDEL', key, 'seen')
    end

    local left, give = limit - claimed - lost, 0
    if want > 0 and (not learning or begins > tonumber(learning) + SKEW_MS) then
        local share = hosts > 1 and math.floor(left / (2 * (hosts - 1))) or left
        give = math.min(want, math.max(share, need), left)
        if give < need or give <= 0 then
            give, hungry = 0, now + HUNGER_MS
        end
    end
    claim, claimed = claim + give, claimed + give
    if not learning then
        version, latest, seen, seen_of = latest + 1, latest + 1, claimed + lost, lost > 0 and '0' or whole(holders)
    end

    local sum_spent = row.spent
    if mine.spent ~= spent then -- which Lua cannot add exactly
        local less = string.sub(mine.spent, 1, 1) == '-' and string.sub(mine.spent, 2) or '-' .. mine.spent
        for _, change in ipairs({mine.spent ~= '0' and less or '0', spent}) do
            local said = redis.pcall('HINCRBY', key, 'spent', change)
            if type(said) == 'table' and said.err then -- beyond 2^63
                redis.call('UNLINK', key)
                return nil, key
            end
        end
        sum_spent = redis.call('HGET', key, 'spent')
    end
    redis.call('HSET', key, 'claimed', whole(claimed), 'used', whole(total), 'lost', whole(lost), 'version', whole(latest),
        'hungry', whole(hungry), 'host:' .. host, table.concat({whole(claim), whole(used), spent, whole(mark), epoch}, ' '))
    if is_first then
        redis.call('HSET', key, 'holders', whole(holders),
            'back', table.concat({whole(back.sure), unpack(back.others)}, ' ') .. '|' .. epoch)
        if ends > 0 then
            redis.call('ZADD', endings, whole(ends), key)
        end
    end
    local recall = hungry > now and want == 0
    return {whole(claim), whole(version), whole(seen), seen_of, whole(total - used), sum_spent,
        recall and 1 or 0, whole(lost)}
end

for _, key in ipairs(redis.call('ZRANGEBYSCORE', endings, '-inf', whole(now - KEPT_MS), 'LIMIT', 0, FORGOTTEN_AT_ONCE)) do
    if string.sub(key, 1, #endings - 4) == string.sub(endings, 1, -5) then -- else it is no window's
        redis.call('UNLINK', key)
    end
    redis.call('ZREM', endings, key)
end

local answers = {'done', learning and 1 or 0, hosts}
for i = 7, #KEYS do
    local at = 6 + (i - 7) * ITEM
    if ARGV[at + 13] ~= '0' and tonumber(ARGV[at + 13]) / 1e6 <= now + SKEW_MS then -- else a host's clock was ahead
        redis.call('HSETNX', firsts, ARGV[at + 12], ARGV[at + 13])
    end
    local answer, broken = exchange(KEYS[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), ARGV[at + 4],
        tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8]), ARGV[at + 9],
        tonumber(ARGV[at + 10]), tonumber(ARGV[at + 11]))
    if not answer then
        redis.call('HDEL', meta, 'epoch') -- all have to tell what they have, as to a store that is empty
        return {'join', broken or ''}
    end
    answers[i - 3] = answer
end
return answers
