-- Orders by id with their payments and items: one row for each item, at least one for each order. @P1 is a JSON array of ids.
-- Columns and order of the items are those of recent_orders.sql. One statement reads one state of all three tables. A payment
-- without its order is not returned.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at,
    p.status AS payment_status, p.payment_id, p.amount AS paid, p.currency AS paid_in, p.method, p.settled_at,
    i.sku, i.quantity, i.unit_price
FROM OPENJSON(@P1) WITH (id NVARCHAR(64) '$') AS k
INNER JOIN dbo.orders AS o ON o.order_id = k.id COLLATE Latin1_General_100_BIN2
LEFT JOIN dbo.payments AS p ON p.order_id = o.order_id
LEFT JOIN dbo.order_items AS i ON i.order_id = o.order_id
ORDER BY o.order_id, i.line_no;
