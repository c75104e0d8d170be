#!lua flags=allow-oom
-- Begins the list anew, empty, under a new generation. A key of that name that the mirror did not make (a list without
-- our index: an older system's letters, perhaps) is not ours to delete and is put aside under another name.
-- KEYS: list, index, mirror, aside. ARGV: token, generation.
-- Answers -1 for an old token, 1 when something was put aside, else 0.
if redis.call('HGET', KEYS[3], 'token') ~= ARGV[1] then
    return -1
end
local aside = 0
if redis.call('TYPE', KEYS[2])['ok'] == 'zset' and redis.call('TYPE', KEYS[1])['ok'] == 'list' then
    redis.call('DEL', KEYS[1])
elseif redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('RENAME', KEYS[1], KEYS[4])
    aside = 1
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[3], 'generation', ARGV[2], 'version', 0)
return aside
