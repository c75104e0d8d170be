-- Lets a test write to orders and payments one by one, as if they were tables: for its own connection only.

CREATE TEMP TRIGGER order_written INSTEAD OF INSERT ON main.orders BEGIN
    INSERT INTO orders_with_payments (order_id, user_id, amount, currency, status, placed_at, items, occurred_at, event_id)
    VALUES (NEW.order_id, NEW.user_id, NEW.amount, NEW.currency, NEW.status, NEW.placed_at, NEW.items,
        NEW.occurred_at, NEW.event_id)
    ON CONFLICT (order_id) DO UPDATE SET
        user_id = excluded.user_id, amount = excluded.amount, currency = excluded.currency, status = excluded.status,
        placed_at = excluded.placed_at, items = excluded.items,
        occurred_at = excluded.occurred_at, event_id = excluded.event_id;
END;

CREATE TEMP TRIGGER payment_written INSTEAD OF INSERT ON main.payments BEGIN
    INSERT INTO orders_with_payments (order_id, payment_id, payment_amount, payment_currency, method, payment_status,
        settled_at, payment_occurred_at, payment_event_id)
    VALUES (NEW.order_id, NEW.payment_id, NEW.amount, NEW.currency, NEW.method, NEW.status, NEW.settled_at,
        NEW.occurred_at, NEW.event_id)
    ON CONFLICT (order_id) DO UPDATE SET
        payment_id = excluded.payment_id, payment_amount = excluded.payment_amount,
        payment_currency = excluded.payment_currency, method = excluded.method,
        payment_status = excluded.payment_status, settled_at = excluded.settled_at,
        payment_occurred_at = excluded.payment_occurred_at, payment_event_id = excluded.payment_event_id;
END;
