-- Rows as the projector leaves them. Times are microseconds since 1970, amounts ten-thousandths.
-- 1767225600000000 is 2026-01-01T00:00:00Z; a day is 86400000000.

INSERT INTO users (user_id, email, name, occurred_at, event_id) VALUES
    ('customer-2',  'leonekohler@surfeu.de',     'Leonie Köhler',    1767225600000000, 'e-2'),
    ('customer-59', 'puja_srivastava@yahoo.in',  'Puja Srivastava',  1767312000000000, 'e-59'),
    ('customer-60', 'yuki@example.jp',           '山田 🌸 "Yuki"',     1767398400500000, 'e-60'),
    ('customer-61', 'nobody@example.com',        'Without Orders',   1767398400500000, 'e-61');

-- Seven orders of customer-2; invoice-6 and invoice-7 were placed in the same microsecond.
INSERT INTO orders (order_id, user_id, amount, currency, status, placed_at, items, occurred_at, event_id) VALUES
    ('invoice-1',  'customer-2',  19800,  'EUR', 'PLACED',  1767225600000000, '[]', 1, 'o-1'),
    ('invoice-2',  'customer-2',  39600,  'EUR', 'PLACED',  1767312000000000, '[]', 1, 'o-2'),
    ('invoice-3',  'customer-2',  59400,  'EUR', 'PLACED',  1767398400000000, '[]', 1, 'o-3'),
    ('invoice-4',  'customer-2',  1250,   'EUR', 'PLACED',  1767484800000000, '[]', 1, 'o-4'),
    ('invoice-5',  'customer-2',  138600, 'EUR', 'SHIPPED', 1767571200000000, '[]', 1, 'o-5'),
    ('invoice-6',  'customer-2',  9900,   'EUR', 'PLACED',  1767657600000000, '[]', 1, 'o-6'),
    ('invoice-7',  'customer-2',  9900,   'EUR', 'PLACED',  1767657600000000, '[]', 1, 'o-7'),
    ('invoice-20', 'customer-59', 9223372036854775807, 'USD', 'PLACED', 1767657600123456,
        '[{"sku":"track-2","quantity":1000000000,"unitPrice":922337203685477.5807},{"sku":"track-3","quantity":2,"unitPrice":0.125}]',
        1, 'o-20'),
    ('invoice-21', 'customer-60', 10000,  'USD', 'PLACED',  1767657600000000, '[]', 1, 'o-21'),
    ('invoice-99', 'not-arrived', 10000,  'USD', 'PLACED',  1767657600000000, '[]', 1, 'o-99');

-- invoice-6 has none yet; that of invoice-88 came before its order.
INSERT INTO payments (order_id, payment_id, amount, currency, method, status, settled_at, occurred_at, event_id) VALUES
    ('invoice-1',  'payment-1',  19800,  'EUR', 'card', 'SETTLED', 1767225601000000, 1, 'p-1'),
    ('invoice-5',  'payment-5',  138600, 'EUR', NULL,   'FAILED',  1767571201000000, 1, 'p-5'),
    ('invoice-7',  NULL,         9900,   'EUR', NULL,   'PENDING', NULL,             1, 'p-7'),
    ('invoice-20', 'payment-20', 9223372036854775807, 'USD', 'wire', 'SETTLED', 1767657601000000, 1, 'p-20'),
    ('invoice-88', 'payment-88', 100,    'EUR', 'card', 'SETTLED', 1767657601000000, 1, 'p-88');

INSERT INTO inventory (sku, quantity, reported_quantity, reported_at, reported_by, updated_at) VALUES
    ('track-2', 9007199254740993, 40,   1767225600000000, 'i-2', 1767225600000000),
    ('track-3', -5,               NULL, NULL,             NULL,  1767225600000000);
