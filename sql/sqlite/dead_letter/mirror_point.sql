-- Which filling of the list the column mirrored speaks of; no row while nothing was ever mirrored.
SELECT generation, version FROM dead_letter_mirror WHERE id = 1;
