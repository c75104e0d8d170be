#!lua
-- Ends an attempt: keeps its answer, or lets the same command, or any, be tried again.
-- KEYS: entry. ARGV: 'granted', 'release' or 'forget', token, time of the first attempt in µs, answer.
local entry = redis.call('HMGET', KEYS[1], 'token', 'started', 'answer')
if ARGV[1] == 'granted' then
    -- All attempts since that time are the same command with the same ids, so any of their answers will do.
    if entry[2] == ARGV[3] then
        redis.call('HSET', KEYS[1], 'answer', ARGV[4])
    end
elseif entry[1] == ARGV[2] and not entry[3] then
    if ARGV[1] == 'forget' then
        redis.call('DEL', KEYS[1])
    else
        redis.call('HSET', KEYS[1], 'until', 0)
    end
end
return {}
