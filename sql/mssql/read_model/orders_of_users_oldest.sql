-- Like orders_of_users_newest.sql, oldest first: the same ranges in the other direction.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at,
    p.status AS payment_status, p.payment_id, p.amount AS paid, p.currency AS paid_in, p.method, p.settled_at,
    i.sku, i.quantity, i.unit_price
FROM OPENJSON(@P7) WITH (id NVARCHAR(64) '$') AS k
CROSS APPLY (
    SELECT TOP (@P5) r.order_id, r.user_id, r.amount, r.currency, r.status, r.placed_at
    FROM dbo.orders AS r
    WHERE r.user_id = k.id COLLATE Latin1_General_100_BIN2
        AND (@P6 IS NULL OR r.status = @P6)
        AND r.placed_at >= CAST(@P1 AS DATETIME2(6)) AND (r.placed_at > CAST(@P1 AS DATETIME2(6)) OR r.order_id > @P2)
        AND r.placed_at <= CAST(@P3 AS DATETIME2(6)) AND (r.placed_at < CAST(@P3 AS DATETIME2(6)) OR r.order_id < @P4)
    ORDER BY r.placed_at ASC, r.order_id ASC
) AS o
LEFT JOIN dbo.payments AS p ON p.order_id = o.order_id
LEFT JOIN dbo.order_items AS i ON i.order_id = o.order_id
ORDER BY o.placed_at ASC, o.order_id ASC, i.line_no;
