-- Projects one batch in one request and one transaction, and returns one row of counts. Either everything is applied or nothing.
--
-- @P1 JSON  {"spans":[…],"users":[…],"orders":[…],"items":[…],"payments":[…],"adjustments":[…],"letters":[…]}. A missing list
--           is treated as empty. Times end in Z. The paths of required fields are strict: a missing field is an error of the
--           batch, and never a NULL in a row.
-- @P2 bytes The keys, payloads and headers of the dead letters, concatenated. The letters have the positions of their parts.
-- @P3 text  The topic of all positions.
--
-- The projector coalesces before it sends, so each key normally appears once. If a key appears twice, the higher version is
-- used, and an adjustment counts once.
--
-- Locks: HOLDLOCK locks the gap of a missing key, so that no other session can insert it (error 2627). UPDLOCK takes the update
-- lock at once, so that two batches that read the same gap do not deadlock (error 1205). Tables are always written in the order
-- of this file, and each table in the order of its keys. Loop joins and FORCESEEK search the tables by key: a plan that was
-- compiled for a small table would otherwise scan the whole table, and lock it.
SET NOCOUNT, XACT_ABORT ON;
SET LOCK_TIMEOUT 5000;
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;

DECLARE @spans TABLE (
    partition_id INT NOT NULL PRIMARY KEY,
    from_offset BIGINT NULL,
    next_offset BIGINT NOT NULL
);
DECLARE @users TABLE (
    user_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    email NVARCHAR(320) NOT NULL,
    name NVARCHAR(200) NOT NULL,
    occurred_at DATETIME2(6) NOT NULL,
    event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL
);
DECLARE @orders TABLE (
    order_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    user_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    amount DECIMAL(19, 4) NOT NULL,
    currency CHAR(3) COLLATE Latin1_General_100_BIN2 NOT NULL,
    status NVARCHAR(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
    placed_at DATETIME2(6) NOT NULL,
    occurred_at DATETIME2(6) NOT NULL,
    event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL
);
DECLARE @items TABLE (
    order_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    occurred_at DATETIME2(6) NOT NULL,
    event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    line_no INT NOT NULL,
    sku NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    quantity INT NOT NULL,
    unit_price DECIMAL(19, 4) NOT NULL,
    PRIMARY KEY (order_id, occurred_at, event_id, line_no)
);
-- Rows of dbo.order_items that belong to a superseded version of their order.
DECLARE @stale TABLE (
    order_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    line_no INT NOT NULL,
    PRIMARY KEY (order_id, line_no)
);
DECLARE @payments TABLE (
    order_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    payment_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NULL,
    amount DECIMAL(19, 4) NOT NULL,
    currency CHAR(3) COLLATE Latin1_General_100_BIN2 NOT NULL,
    method NVARCHAR(64) NULL,
    status VARCHAR(8) COLLATE Latin1_General_100_BIN2 NOT NULL,
    ended INT NOT NULL,
    settled_at DATETIME2(6) NULL,
    occurred_at DATETIME2(6) NOT NULL,
    event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL
);
DECLARE @adjustments TABLE (
    event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    sku NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    delta BIGINT NOT NULL,
    reported_quantity BIGINT NULL,
    occurred_at DATETIME2(6) NOT NULL
);
-- The adjustments that are not in the inbox.
DECLARE @fresh TABLE (
    event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    sku NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    delta BIGINT NOT NULL,
    reported_quantity BIGINT NULL,
    occurred_at DATETIME2(6) NOT NULL
);
DECLARE @has_users INT, @has_orders INT, @has_items INT, @has_payments INT, @has_adjustments INT, @has_letters INT, @counted INT;
DECLARE @fenced INT, @message NVARCHAR(200);

INSERT INTO @spans (partition_id, from_offset, next_offset)
SELECT j.partition_id, j.from_offset, j.next_offset
FROM OPENJSON(@P1, N'strict $.spans') WITH (
    partition_id INT 'strict $.partition',
    from_offset BIGINT '$.from',
    next_offset BIGINT 'strict $.next'
) AS j;

INSERT INTO @users (user_id, email, name, occurred_at, event_id)
SELECT r.user_id, r.email, r.name, r.occurred_at, r.event_id
FROM (
    SELECT j.user_id, j.email, j.name, j.occurred_at, j.event_id,
        ROW_NUMBER() OVER (
            PARTITION BY j.user_id COLLATE Latin1_General_100_BIN2
            ORDER BY j.occurred_at DESC, j.event_id COLLATE Latin1_General_100_BIN2 DESC
        ) AS place
    FROM OPENJSON(@P1, N'$.users') WITH (
        user_id NVARCHAR(64) 'strict $.id',
        email NVARCHAR(320) 'strict $.email',
        name NVARCHAR(200) 'strict $.name',
        occurred_at DATETIME2(6) 'strict $.at',
        event_id NVARCHAR(64) 'strict $.by'
    ) AS j
) AS r
WHERE r.place = 1;
SET @has_users = @@ROWCOUNT;

INSERT INTO @orders (order_id, user_id, amount, currency, status, placed_at, occurred_at, event_id)
SELECT r.order_id, r.user_id, r.amount, r.currency, r.status, r.placed_at, r.occurred_at, r.event_id
FROM (
    SELECT j.order_id, j.user_id, j.amount, j.currency, j.status, j.placed_at, j.occurred_at, j.event_id,
        ROW_NUMBER() OVER (
            PARTITION BY j.order_id COLLATE Latin1_General_100_BIN2
            ORDER BY j.occurred_at DESC, j.event_id COLLATE Latin1_General_100_BIN2 DESC
        ) AS place
    FROM OPENJSON(@P1, N'$.orders') WITH (
        order_id NVARCHAR(64) 'strict $.id',
        user_id NVARCHAR(64) 'strict $.user',
        amount DECIMAL(19, 4) 'strict $.amount',
        currency CHAR(3) 'strict $.currency',
        status NVARCHAR(32) 'strict $.status',
        placed_at DATETIME2(6) 'strict $.placed',
        occurred_at DATETIME2(6) 'strict $.at',
        event_id NVARCHAR(64) 'strict $.by'
    ) AS j
) AS r
WHERE r.place = 1;
SET @has_orders = @@ROWCOUNT;

INSERT INTO @items (order_id, occurred_at, event_id, line_no, sku, quantity, unit_price)
SELECT r.order_id, r.occurred_at, r.event_id, r.line_no, r.sku, r.quantity, r.unit_price
FROM (
    SELECT j.order_id, j.occurred_at, j.event_id, j.line_no, j.sku, j.quantity, j.unit_price,
        ROW_NUMBER() OVER (
            PARTITION BY j.order_id COLLATE Latin1_General_100_BIN2, j.occurred_at,
                j.event_id COLLATE Latin1_General_100_BIN2, j.line_no
            ORDER BY j.quantity
        ) AS place
    FROM OPENJSON(@P1, N'$.items') WITH (
        order_id NVARCHAR(64) 'strict $.order',
        occurred_at DATETIME2(6) 'strict $.at',
        event_id NVARCHAR(64) 'strict $.by',
        line_no INT 'strict $.line',
        sku NVARCHAR(64) 'strict $.sku',
        quantity INT 'strict $.quantity',
        unit_price DECIMAL(19, 4) 'strict $.price'
    ) AS j
) AS r
WHERE r.place = 1;
SET @has_items = @@ROWCOUNT;

INSERT INTO @payments (order_id, payment_id, amount, currency, method, status, ended, settled_at, occurred_at, event_id)
SELECT r.order_id, r.payment_id, r.amount, r.currency, r.method, r.status, r.ended, r.settled_at, r.occurred_at, r.event_id
FROM (
    SELECT j.order_id, j.payment_id, j.amount, j.currency, j.method, j.status, e.ended, j.settled_at, j.occurred_at, j.event_id,
        ROW_NUMBER() OVER (
            PARTITION BY j.order_id COLLATE Latin1_General_100_BIN2
            ORDER BY e.ended DESC, j.occurred_at DESC, j.event_id COLLATE Latin1_General_100_BIN2 DESC
        ) AS place
    FROM OPENJSON(@P1, N'$.payments') WITH (
        order_id NVARCHAR(64) 'strict $.order',
        payment_id NVARCHAR(64) '$.payment',
        amount DECIMAL(19, 4) 'strict $.amount',
        currency CHAR(3) 'strict $.currency',
        method NVARCHAR(64) '$.method',
        status VARCHAR(8) 'strict $.status',
        settled_at DATETIME2(6) '$.settled',
        occurred_at DATETIME2(6) 'strict $.at',
        event_id NVARCHAR(64) 'strict $.by'
    ) AS j
    CROSS APPLY (SELECT CASE WHEN j.status = 'PENDING' THEN 0 ELSE 1 END AS ended) AS e
) AS r
WHERE r.place = 1;
SET @has_payments = @@ROWCOUNT;

INSERT INTO @adjustments (event_id, sku, delta, reported_quantity, occurred_at)
SELECT r.event_id, r.sku, r.delta, r.reported_quantity, r.occurred_at
FROM (
    SELECT j.event_id, j.sku, j.delta, j.reported_quantity, j.occurred_at,
        ROW_NUMBER() OVER (
            PARTITION BY j.event_id COLLATE Latin1_General_100_BIN2
            ORDER BY j.occurred_at DESC
        ) AS place
    FROM OPENJSON(@P1, N'$.adjustments') WITH (
        event_id NVARCHAR(64) 'strict $.by',
        sku NVARCHAR(64) 'strict $.sku',
        delta BIGINT 'strict $.delta',
        reported_quantity BIGINT '$.reported',
        occurred_at DATETIME2(6) 'strict $.at'
    ) AS j
) AS r
WHERE r.place = 1;
SET @has_adjustments = @@ROWCOUNT;

SELECT @has_letters = COUNT(*)
FROM OPENJSON(@P1, N'$.letters') WITH (record_offset BIGINT 'strict $.offset') AS j;
SET @counted = 0;

BEGIN TRY
    BEGIN TRANSACTION;

    -- Each checkpoint must be where this projector left it. The locks are held until the end of the transaction.
    SELECT @fenced = MIN(s.partition_id)
    FROM @spans AS s
    LEFT JOIN dbo.checkpoints AS c WITH (UPDLOCK, HOLDLOCK) ON c.topic = @P3 AND c.partition_id = s.partition_id
    WHERE COALESCE(c.next_offset, -1) <> COALESCE(s.from_offset, -1)
    OPTION (LOOP JOIN, MAXDOP 1);
    IF @fenced IS NOT NULL
    BEGIN
        SET @message = CONCAT(N'fenced at partition ', @fenced);
        THROW 51001, @message, 1;
    END;

    IF @has_adjustments > 0
    BEGIN
        -- An adjustment that is in the inbox was counted before.
        INSERT INTO @fresh (event_id, sku, delta, reported_quantity, occurred_at)
        SELECT a.event_id, a.sku, a.delta, a.reported_quantity, a.occurred_at
        FROM @adjustments AS a
        WHERE NOT EXISTS (
            SELECT 1 FROM dbo.projected_events AS p WITH (UPDLOCK, HOLDLOCK) WHERE p.event_id = a.event_id
        )
        OPTION (LOOP JOIN, MAXDOP 1);
        SET @counted = @@ROWCOUNT;
        INSERT INTO dbo.projected_events (event_id, projected_at)
        SELECT f.event_id, SYSUTCDATETIME() FROM @fresh AS f;
    END;

    IF @has_users > 0
        MERGE dbo.users WITH (HOLDLOCK, UPDLOCK) AS t
        USING (
            SELECT u.user_id, u.email, u.name, u.occurred_at, u.event_id FROM @users AS u
        ) AS s ON t.user_id = s.user_id
        WHEN MATCHED AND (
            s.occurred_at > t.occurred_at
            OR (s.occurred_at = t.occurred_at AND s.event_id > t.event_id)
        ) THEN UPDATE SET
            email = s.email, name = s.name, occurred_at = s.occurred_at, event_id = s.event_id
        WHEN NOT MATCHED BY TARGET THEN
            INSERT (user_id, email, name, occurred_at, event_id)
            VALUES (s.user_id, s.email, s.name, s.occurred_at, s.event_id)
        OPTION (LOOP JOIN, MAXDOP 1);

    IF @has_orders > 0
    BEGIN
        MERGE dbo.orders WITH (HOLDLOCK, UPDLOCK) AS t
        USING (
            SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.occurred_at, o.event_id
            FROM @orders AS o
        ) AS s ON t.order_id = s.order_id
        WHEN MATCHED AND (
            s.occurred_at > t.occurred_at
            OR (s.occurred_at = t.occurred_at AND s.event_id > t.event_id)
        ) THEN UPDATE SET
            user_id = s.user_id, amount = s.amount, currency = s.currency, status = s.status,
            placed_at = s.placed_at, occurred_at = s.occurred_at, event_id = s.event_id
        WHEN NOT MATCHED BY TARGET THEN
            INSERT (order_id, user_id, amount, currency, status, placed_at, occurred_at, event_id)
            VALUES (s.order_id, s.user_id, s.amount, s.currency, s.status, s.placed_at, s.occurred_at, s.event_id)
        OPTION (LOOP JOIN, MAXDOP 1);

        -- The items of superseded versions, which most orders do not have. A session that writes items holds the lock on the row
        -- of their order.
        INSERT INTO @stale (order_id, line_no)
        SELECT i.order_id, i.line_no
        FROM @orders AS s
        INNER JOIN dbo.orders AS t WITH (FORCESEEK) ON t.order_id = s.order_id
        INNER JOIN dbo.order_items AS i WITH (FORCESEEK) ON i.order_id = s.order_id
        WHERE i.occurred_at <> t.occurred_at OR i.event_id <> t.event_id
        OPTION (LOOP JOIN, MAXDOP 1);
        IF @@ROWCOUNT > 0
            DELETE i
            FROM dbo.order_items AS i
            INNER JOIN @stale AS s ON s.order_id = i.order_id AND s.line_no = i.line_no
            OPTION (LOOP JOIN, MAXDOP 1);
    END;

    IF @has_items > 0
        -- The items of the current version, if that version is in this batch and its items are not stored yet.
        INSERT INTO dbo.order_items (order_id, line_no, occurred_at, event_id, sku, quantity, unit_price)
        SELECT s.order_id, s.line_no, s.occurred_at, s.event_id, s.sku, s.quantity, s.unit_price
        FROM @items AS s
        INNER JOIN dbo.orders AS t WITH (FORCESEEK)
            ON t.order_id = s.order_id AND t.occurred_at = s.occurred_at AND t.event_id = s.event_id
        WHERE NOT EXISTS (
            SELECT 1 FROM dbo.order_items AS i WHERE i.order_id = s.order_id AND i.line_no = s.line_no
        )
        OPTION (LOOP JOIN, MAXDOP 1);

    IF @has_payments > 0
        -- An ended payment ranks above an open one, then the higher version counts.
        MERGE dbo.payments WITH (HOLDLOCK, UPDLOCK) AS t
        USING (
            SELECT p.order_id, p.payment_id, p.amount, p.currency, p.method, p.status, p.ended, p.settled_at, p.occurred_at,
                p.event_id
            FROM @payments AS p
        ) AS s ON t.order_id = s.order_id
        WHEN MATCHED AND (
            s.ended > CASE WHEN t.status = 'PENDING' THEN 0 ELSE 1 END
            OR (
                s.ended = CASE WHEN t.status = 'PENDING' THEN 0 ELSE 1 END
                AND (
                    s.occurred_at > t.occurred_at
                    OR (s.occurred_at = t.occurred_at AND s.event_id > t.event_id)
                )
            )
        ) THEN UPDATE SET
            payment_id = s.payment_id, amount = s.amount, currency = s.currency, method = s.method,
            status = s.status, settled_at = s.settled_at, occurred_at = s.occurred_at, event_id = s.event_id
        WHEN NOT MATCHED BY TARGET THEN
            INSERT (order_id, payment_id, amount, currency, method, status, settled_at, occurred_at, event_id)
            VALUES (s.order_id, s.payment_id, s.amount, s.currency, s.method, s.status, s.settled_at, s.occurred_at, s.event_id)
        OPTION (LOOP JOIN, MAXDOP 1);

    IF @counted > 0
        -- A sum beyond BIGINT is error 8115: the event becomes a dead letter, and the stock does not change.
        MERGE dbo.inventory WITH (HOLDLOCK, UPDLOCK) AS t
        USING (
            SELECT a.sku, a.delta, a.updated_at, r.reported_quantity, r.occurred_at AS reported_at, r.event_id AS reported_by
            FROM (
                SELECT d.sku, SUM(d.delta) AS delta, MAX(d.occurred_at) AS updated_at
                FROM @fresh AS d
                GROUP BY d.sku
            ) AS a
            OUTER APPLY (
                SELECT TOP (1) n.reported_quantity, n.occurred_at, n.event_id
                FROM @fresh AS n
                WHERE n.sku = a.sku AND n.reported_quantity IS NOT NULL
                ORDER BY n.occurred_at DESC, n.event_id DESC
            ) AS r
        ) AS s ON t.sku = s.sku
        WHEN MATCHED THEN UPDATE SET
            quantity = t.quantity + s.delta,
            reported_quantity = CASE WHEN s.reported_at > t.reported_at OR (s.reported_at = t.reported_at AND s.reported_by > t.reported_by)
                OR (t.reported_at IS NULL AND s.reported_at IS NOT NULL) THEN s.reported_quantity ELSE t.reported_quantity END,
            reported_at = CASE WHEN s.reported_at > t.reported_at OR (s.reported_at = t.reported_at AND s.reported_by > t.reported_by)
                OR (t.reported_at IS NULL AND s.reported_at IS NOT NULL) THEN s.reported_at ELSE t.reported_at END,
            reported_by = CASE WHEN s.reported_at > t.reported_at OR (s.reported_at = t.reported_at AND s.reported_by > t.reported_by)
                OR (t.reported_at IS NULL AND s.reported_at IS NOT NULL) THEN s.reported_by ELSE t.reported_by END,
            updated_at = CASE WHEN s.updated_at > t.updated_at THEN s.updated_at ELSE t.updated_at END
        WHEN NOT MATCHED BY TARGET THEN
            INSERT (sku, quantity, reported_quantity, reported_at, reported_by, updated_at)
            VALUES (s.sku, s.delta, s.reported_quantity, s.reported_at, s.reported_by, s.updated_at)
        OPTION (LOOP JOIN, MAXDOP 1);

    IF @has_letters > 0
        -- The position is the key, so a repetition has no effect. The casts are needed because SUBSTRING of bytes returns text in
        -- some engines.
        INSERT INTO dbo.dead_letters (topic, partition_id, record_offset, reason, error, causes, event_id, event_type, record_key,
            payload, headers, attempts, appended_at, dead_at, state)
        SELECT @P3, j.partition_id, j.record_offset, j.reason, j.error, j.causes, j.event_id, j.event_type,
            CASE WHEN j.key_length IS NULL THEN NULL ELSE CAST(SUBSTRING(@P2, j.key_start, j.key_length) AS VARBINARY(MAX)) END,
            CASE WHEN j.payload_length IS NULL THEN NULL ELSE CAST(SUBSTRING(@P2, j.payload_start, j.payload_length) AS VARBINARY(MAX)) END,
            CAST(SUBSTRING(@P2, j.headers_start, j.headers_length) AS VARBINARY(MAX)),
            j.attempts, j.appended_at, j.dead_at, 'open'
        FROM OPENJSON(@P1, N'$.letters') WITH (
            partition_id INT 'strict $.partition',
            record_offset BIGINT 'strict $.offset',
            reason NVARCHAR(64) 'strict $.reason',
            error NVARCHAR(MAX) 'strict $.error',
            causes NVARCHAR(MAX) 'strict $.causes',
            event_id NVARCHAR(128) '$.event',
            event_type NVARCHAR(128) '$.type',
            key_start INT '$.keyStart',
            key_length INT '$.keyLength',
            payload_start INT '$.payloadStart',
            payload_length INT '$.payloadLength',
            headers_start INT 'strict $.headersStart',
            headers_length INT 'strict $.headersLength',
            attempts INT 'strict $.attempts',
            appended_at DATETIME2(6) 'strict $.appended',
            dead_at DATETIME2(6) 'strict $.dead'
        ) AS j
        WHERE NOT EXISTS (
            SELECT 1 FROM dbo.dead_letters AS d
            WHERE d.topic = @P3 AND d.partition_id = j.partition_id AND d.record_offset = j.record_offset
        )
        OPTION (LOOP JOIN, MAXDOP 1);

    MERGE dbo.checkpoints WITH (HOLDLOCK, UPDLOCK) AS t
    USING (SELECT @P3 AS topic, x.partition_id, x.next_offset FROM @spans AS x) AS s
        ON t.topic = s.topic AND t.partition_id = s.partition_id
    WHEN MATCHED THEN UPDATE SET next_offset = s.next_offset
    WHEN NOT MATCHED BY TARGET THEN
        INSERT (topic, partition_id, next_offset) VALUES (s.topic, s.partition_id, s.next_offset)
    OPTION (LOOP JOIN, MAXDOP 1);

    COMMIT TRANSACTION;
END TRY
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
END CATCH;
SELECT @counted AS counted;
