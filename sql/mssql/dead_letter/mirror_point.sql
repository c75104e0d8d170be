-- Which filling of the list the column mirrored speaks of; no row while nothing was ever mirrored.
SELECT m.generation, m.version FROM dbo.dead_letter_mirror AS m WHERE m.id = 1;
