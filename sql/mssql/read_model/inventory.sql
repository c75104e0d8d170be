-- Stock by SKU, with one search of the primary key for each. @P1 is a JSON array of SKUs.
SELECT i.sku, i.quantity, i.reported_quantity
FROM OPENJSON(@P1) WITH (sku NVARCHAR(64) '$') AS k
INNER JOIN dbo.inventory AS i ON i.sku = k.sku COLLATE Latin1_General_100_BIN2;
