-- Records of one partition from a place on, in order; reads the primary key only as far as the limit goes.
SELECT "offset", appended_at, key, payload, headers
FROM records
WHERE partition = ?1 AND "offset" >= ?2
ORDER BY "offset"
LIMIT ?3;
