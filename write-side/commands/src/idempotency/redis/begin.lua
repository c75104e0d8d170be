#!lua
-- Begins an attempt under a key, unless something stands in the way. The first attempt's time stays.
-- KEYS: entry. ARGV: fingerprint, token, now in µs, lease in ms, how long it is kept in ms.
-- Answers {'attempt', time of the first one in µs} or {'answered', answer} or {'in-flight'} or {'another'}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = string.format('%d', now + tonumber(ARGV[4]))
local entry = redis.call('HMGET', KEYS[1], 'fingerprint', 'started', 'until', 'answer')
if not entry[1] then
    redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'started', ARGV[3], 'until', ends, 'token', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    return {'attempt', ARGV[3]}
elseif entry[1] ~= ARGV[1] then
    return {'another'}
elseif entry[4] then
    return {'answered', entry[4]}
elseif tonumber(entry[3]) > now then
    return {'in-flight'}
end
redis.call('HSET', KEYS[1], 'until', ends, 'token', ARGV[2])
return {'attempt', entry[2]}
