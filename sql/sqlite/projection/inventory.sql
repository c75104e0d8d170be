-- Adds deltas to the stock of one SKU. The inbox has removed duplicates before.
-- A sum of more than 64 bits would become a float, which a STRICT table refuses, so the event becomes a dead letter.
INSERT INTO inventory (sku, quantity, reported_quantity, reported_at, reported_by, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (sku) DO UPDATE SET
    quantity = inventory.quantity + excluded.quantity,
    reported_quantity = CASE WHEN (excluded.reported_at, excluded.reported_by) > (COALESCE(inventory.reported_at, -9223372036854775808), COALESCE(inventory.reported_by, ''))
        THEN excluded.reported_quantity ELSE inventory.reported_quantity END,
    reported_at = CASE WHEN (excluded.reported_at, excluded.reported_by) > (COALESCE(inventory.reported_at, -9223372036854775808), COALESCE(inventory.reported_by, ''))
        THEN excluded.reported_at ELSE inventory.reported_at END,
    reported_by = CASE WHEN (excluded.reported_at, excluded.reported_by) > (COALESCE(inventory.reported_at, -9223372036854775808), COALESCE(inventory.reported_by, ''))
        THEN excluded.reported_by ELSE inventory.reported_by END,
    updated_at = MAX(inventory.updated_at, excluded.updated_at);
