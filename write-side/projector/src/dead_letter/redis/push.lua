#!lua
-- Puts letters into the list, each at its place by age, newest first. A letter whose name is in the index is in the list
-- already, so pushing it again does nothing. Redis refuses the whole script when its memory is full.
-- KEYS: list, index, mirror. ARGV: token, then age, name and text of each letter.
-- Answers -1 for an old token, -2 when list and index disagree, else the list's version.
if redis.call('HGET', KEYS[3], 'token') ~= ARGV[1] then
    return -1
end
if redis.call('LLEN', KEYS[1]) ~= redis.call('ZCARD', KEYS[2]) then
    return -2
end
for at = 2, #ARGV, 3 do
    local age, name, text = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    if redis.call('ZADD', KEYS[2], 'NX', age, name) == 1 then
        local newer = redis.call('ZREVRANK', KEYS[2], name)
        local next = newer > 0 and redis.call('LINDEX', KEYS[1], newer)
        if newer == 0 then
            redis.call('LPUSH', KEYS[1], text)
        elseif next then
            redis.call('LINSERT', KEYS[1], 'BEFORE', next, text)
        else
            redis.call('RPUSH', KEYS[1], text)
        end
    end
end
return redis.call('HINCRBY', KEYS[3], 'version', 1)
