-- Records of one partition from an offset on, in order. Reads a range of the primary key, up to the limit.
SELECT "offset", appended_at, key, payload, headers
FROM records
WHERE partition = ?1 AND "offset" >= ?2
ORDER BY "offset"
LIMIT ?3;
