-- Step 1 of the read model: every table that the projector writes and the read side reads.
--
-- Ids are compared byte by byte (BIN2): 'A-1' and 'a-1' are two orders. Money is DECIMAL(19,4), times are UTC to the
-- microsecond. There are no foreign keys between projected tables: an order may arrive before its user. Nothing that would
-- hinder MERGE stands on its targets: no trigger, no indexed view, no filtered unique index, no IGNORE_DUP_KEY.
SET NOCOUNT, XACT_ABORT ON;
BEGIN TRANSACTION;

IF OBJECT_ID(N'dbo.users', N'U') IS NULL
BEGIN
    CREATE TABLE dbo.users (
        user_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        email NVARCHAR(320) NOT NULL,
        name NVARCHAR(200) NOT NULL,
        occurred_at DATETIME2(6) NOT NULL,
        event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        CONSTRAINT pk_users PRIMARY KEY CLUSTERED (user_id)
    );
    -- The users created last.
    CREATE INDEX ix_users_recent ON dbo.users (occurred_at DESC, user_id DESC);
END;

IF OBJECT_ID(N'dbo.orders', N'U') IS NULL
BEGIN
    CREATE TABLE dbo.orders (
        order_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        user_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        amount DECIMAL(19, 4) NOT NULL,
        currency CHAR(3) COLLATE Latin1_General_100_BIN2 NOT NULL,
        status NVARCHAR(32) COLLATE Latin1_General_100_BIN2 NOT NULL,
        placed_at DATETIME2(6) NOT NULL,
        occurred_at DATETIME2(6) NOT NULL,
        event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        CONSTRAINT pk_orders PRIMARY KEY CLUSTERED (order_id)
    );
    -- The last orders of many users: found, ordered and answered from this index alone.
    CREATE INDEX ix_orders_of_user ON dbo.orders (user_id, placed_at DESC, order_id DESC)
        INCLUDE (amount, currency, status);
    -- The last orders of all.
    CREATE INDEX ix_orders_recent ON dbo.orders (placed_at DESC, order_id DESC);
    -- The last orders of a status.
    CREATE INDEX ix_orders_of_status ON dbo.orders (status, placed_at DESC, order_id DESC);
END;

-- The lines of an order are those of one version of it: occurred_at and event_id are those of the order's row.
IF OBJECT_ID(N'dbo.order_items', N'U') IS NULL
    CREATE TABLE dbo.order_items (
        order_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        line_no INT NOT NULL,
        occurred_at DATETIME2(6) NOT NULL,
        event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        sku NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        quantity INT NOT NULL,
        unit_price DECIMAL(19, 4) NOT NULL,
        CONSTRAINT pk_order_items PRIMARY KEY CLUSTERED (order_id, line_no)
    );

-- One row per order: opened PENDING by the order, ended by its payment, whichever arrives first.
IF OBJECT_ID(N'dbo.payments', N'U') IS NULL
    CREATE TABLE dbo.payments (
        order_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        payment_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NULL,
        amount DECIMAL(19, 4) NOT NULL,
        currency CHAR(3) COLLATE Latin1_General_100_BIN2 NOT NULL,
        method NVARCHAR(64) NULL,
        status VARCHAR(8) COLLATE Latin1_General_100_BIN2 NOT NULL
            CONSTRAINT ck_payments_status CHECK (status IN ('PENDING', 'SETTLED', 'FAILED')),
        settled_at DATETIME2(6) NULL,
        occurred_at DATETIME2(6) NOT NULL,
        event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        CONSTRAINT pk_payments PRIMARY KEY CLUSTERED (order_id)
    );

-- quantity is the sum of all deltas. What a sender reported stands beside it, the newest report wins.
IF OBJECT_ID(N'dbo.inventory', N'U') IS NULL
    CREATE TABLE dbo.inventory (
        sku NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        quantity BIGINT NOT NULL,
        reported_quantity BIGINT NULL,
        reported_at DATETIME2(6) NULL,
        reported_by NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NULL,
        updated_at DATETIME2(6) NOT NULL,
        CONSTRAINT pk_inventory PRIMARY KEY CLUSTERED (sku)
    );

-- The inbox: events whose repetition would count twice, which are those that carry a delta.
IF OBJECT_ID(N'dbo.projected_events', N'U') IS NULL
BEGIN
    CREATE TABLE dbo.projected_events (
        event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        projected_at DATETIME2(6) NOT NULL,
        CONSTRAINT pk_projected_events PRIMARY KEY CLUSTERED (event_id)
    );
    -- For forgetting the oldest.
    CREATE INDEX ix_projected_events_age ON dbo.projected_events (projected_at);
END;

-- The fence: rows are projected up to, not including, next_offset. Moves only together with the rows.
IF OBJECT_ID(N'dbo.checkpoints', N'U') IS NULL
    CREATE TABLE dbo.checkpoints (
        topic NVARCHAR(249) COLLATE Latin1_General_100_BIN2 NOT NULL,
        partition_id INT NOT NULL,
        next_offset BIGINT NOT NULL,
        CONSTRAINT pk_checkpoints PRIMARY KEY CLUSTERED (topic, partition_id)
    );

IF OBJECT_ID(N'dbo.dead_letters', N'U') IS NULL
BEGIN
    CREATE TABLE dbo.dead_letters (
        topic NVARCHAR(249) COLLATE Latin1_General_100_BIN2 NOT NULL,
        partition_id INT NOT NULL,
        record_offset BIGINT NOT NULL,
        reason NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL, -- a stable word, see DecodeError::reason
        error NVARCHAR(MAX) NOT NULL,
        causes NVARCHAR(MAX) NOT NULL, -- JSON list, outermost first
        event_id NVARCHAR(128) COLLATE Latin1_General_100_BIN2 NULL,
        event_type NVARCHAR(128) COLLATE Latin1_General_100_BIN2 NULL,
        record_key VARBINARY(MAX) NULL,
        payload VARBINARY(MAX) NULL, -- the bytes as they came
        headers VARBINARY(MAX) NOT NULL, -- in the encoding of shared/src/record.rs
        attempts INT NOT NULL, -- 1, and one more for each redrive
        appended_at DATETIME2(6) NOT NULL,
        dead_at DATETIME2(6) NOT NULL,
        state VARCHAR(9) COLLATE Latin1_General_100_BIN2 NOT NULL
            CONSTRAINT ck_dead_letters_state CHECK (state IN ('open', 'redriven', 'discarded')),
        closed_at DATETIME2(6) NULL,
        -- In the Redis list: 0 no, 1 perhaps (a push was begun, its answer is not known), 2 yes.
        mirrored INT NOT NULL CONSTRAINT df_dead_letters_mirrored DEFAULT 0,
        CONSTRAINT pk_dead_letters PRIMARY KEY CLUSTERED (topic, partition_id, record_offset)
    );
    -- Open letters are filtered, counted and paged within this index.
    CREATE INDEX ix_dead_letters_state ON dbo.dead_letters (state, dead_at DESC, partition_id DESC, record_offset DESC)
        INCLUDE (reason, event_type, event_id);
    -- What the mirror has to do.
    CREATE INDEX ix_dead_letters_mirrored ON dbo.dead_letters (state, mirrored, dead_at, partition_id, record_offset);
END;

-- Which filling of which Redis the column mirrored speaks of: one row, or none while nothing was ever mirrored.
IF OBJECT_ID(N'dbo.dead_letter_mirror', N'U') IS NULL
    CREATE TABLE dbo.dead_letter_mirror (
        id INT NOT NULL CONSTRAINT ck_dead_letter_mirror_id CHECK (id = 1),
        generation NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL, -- the name that the mirror gave the list
        version BIGINT NOT NULL, -- changes of the list that are noted here; Redis must not know of fewer
        CONSTRAINT pk_dead_letter_mirror PRIMARY KEY CLUSTERED (id)
    );
COMMIT TRANSACTION;
