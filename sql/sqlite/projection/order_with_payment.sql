-- An order and its payment in the common case that neither has a row. Changes no row otherwise: then order.sql and
-- payment.sql apply their own rules.
INSERT INTO orders_with_payments (order_id, user_id, amount, currency, status, placed_at, items, occurred_at, event_id,
    payment_id, payment_amount, payment_currency, method, payment_status, settled_at, payment_occurred_at, payment_event_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT (order_id) DO NOTHING;
