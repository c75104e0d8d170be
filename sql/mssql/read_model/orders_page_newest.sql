-- Orders between two keys with their payments and items, newest first: one row for each item, at least one for each order.
-- @P1 and @P2 are time and id of the older key, @P3 and @P4 of the newer one, @P5 is the limit. One range of ix_orders_recent,
-- then one search of a primary key for each order, each payment, and the items of each order.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at,
    p.status AS payment_status, p.payment_id, p.amount AS paid, p.currency AS paid_in, p.method, p.settled_at,
    i.sku, i.quantity, i.unit_price
FROM (
    SELECT TOP (@P5) r.order_id, r.user_id, r.amount, r.currency, r.status, r.placed_at
    FROM dbo.orders AS r
    WHERE r.placed_at >= CAST(@P1 AS DATETIME2(6)) AND (r.placed_at > CAST(@P1 AS DATETIME2(6)) OR r.order_id > @P2)
        AND r.placed_at <= CAST(@P3 AS DATETIME2(6)) AND (r.placed_at < CAST(@P3 AS DATETIME2(6)) OR r.order_id < @P4)
    ORDER BY r.placed_at DESC, r.order_id DESC
) AS o
LEFT JOIN dbo.payments AS p ON p.order_id = o.order_id
LEFT JOIN dbo.order_items AS i ON i.order_id = o.order_id
ORDER BY o.placed_at DESC, o.order_id DESC, i.line_no;
