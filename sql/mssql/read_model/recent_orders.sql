-- The last @P2 orders of each of many users, with their payments and lines: one row a line, at least one an order.
-- @P1 is a JSON array of user ids, each at most once. Per user @P2 entries of ix_orders_of_user are read, then one search of a
-- primary key for each payment and one for the lines of each order. Newest first; of two placed at the same time the greater id.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at,
    p.status AS payment_status, p.payment_id, p.amount AS paid, p.currency AS paid_in, p.method, p.settled_at,
    i.sku, i.quantity, i.unit_price
FROM OPENJSON(@P1) WITH (id NVARCHAR(64) '$') AS k
CROSS APPLY (
    SELECT TOP (@P2) r.order_id, r.user_id, r.amount, r.currency, r.status, r.placed_at
    FROM dbo.orders AS r
    WHERE r.user_id = k.id COLLATE Latin1_General_100_BIN2
    ORDER BY r.placed_at DESC, r.order_id DESC
) AS o
LEFT JOIN dbo.payments AS p ON p.order_id = o.order_id
LEFT JOIN dbo.order_items AS i ON i.order_id = o.order_id
ORDER BY o.placed_at DESC, o.order_id DESC, i.line_no;
