#!lua flags=allow-oom
-- Takes letters out of list and index. One that is in neither is left alone. Allowed while memory is full: it frees some.
-- KEYS: list, index, mirror. ARGV: token, then the name of each letter.
-- Answers -1 for an old token, -2 when list and index disagree, else the list's version.
if redis.call('HGET', KEYS[3], 'token') ~= ARGV[1] then
    return -1
end
if redis.call('LLEN', KEYS[1]) ~= redis.call('ZCARD', KEYS[2]) then
    return -2
end
for at = 2, #ARGV do
    local newer = redis.call('ZREVRANK', KEYS[2], ARGV[at])
    if newer then
        -- No letter reads like a token, so the one that is marked is the one that goes.
        redis.call('LSET', KEYS[1], newer, ARGV[1])
        redis.call('LREM', KEYS[1], 1, ARGV[1])
        redis.call('ZREM', KEYS[2], ARGV[at])
    end
end
return redis.call('HINCRBY', KEYS[3], 'version', 1)
