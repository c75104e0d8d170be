#!lua flags=allow-oom
-- Takes or keeps the lease of the list, for one round: every change names the round's token, so what an earlier round or
-- another process left under way changes nothing. Allowed while memory is full, because removing letters needs a lease.
-- KEYS: list, index, mirror. ARGV: owner, token, lease in ms, 'force' or ''.
-- Answers {0} when another holds it, else {1, generation, version, 1 if list and index agree}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[3], 'owner', 'until', 'generation', 'version')
if held[1] and held[1] ~= ARGV[1] and tonumber(held[2]) > now and ARGV[4] ~= 'force' then
    return {0}
end
local ends = string.format('%d', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[3], 'owner', ARGV[1], 'until', ends, 'token', ARGV[2])
local list, index = redis.call('TYPE', KEYS[1])['ok'], redis.call('TYPE', KEYS[2])['ok']
local known = (list == 'list' or list == 'none') and (index == 'zset' or index == 'none')
local agree = known and redis.call('LLEN', KEYS[1]) == redis.call('ZCARD', KEYS[2])
return {1, held[3] or '', tonumber(held[4] or '0'), agree and 1 or 0}
