-- Stock by SKU, with one search of the primary key for each. ?1 is a JSON array of SKUs.
SELECT i.sku, i.quantity, i.reported_quantity
FROM json_each(?1) AS k
CROSS JOIN inventory AS i ON i.sku = k.value;
