-- Step 1 of the read model: every table that the projector writes and the read side reads.
--
-- Ids are compared by bytes (BIN2): 'A-1' and 'a-1' are two orders. Amounts are DECIMAL(19,4), times are UTC with
-- microseconds. There are no foreign keys between projected tables: an order may arrive before its user (docs/adr/0004). The
-- targets of MERGE have no triggers, indexed views, filtered unique indexes or IGNORE_DUP_KEY, which MERGE does not handle well.
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
    -- For the users that were created last.
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
    -- Covers the last orders of several users.
    CREATE INDEX ix_orders_of_user ON dbo.orders (user_id, placed_at DESC, order_id DESC)
        INCLUDE (amount, currency, status);
    -- For the last orders of all users.
    CREATE INDEX ix_orders_recent ON dbo.orders (placed_at DESC, order_id DESC);
    -- For the last orders with a status.
    CREATE INDEX ix_orders_of_status ON dbo.orders (status, placed_at DESC, order_id DESC);
END;

-- The items of an order belong to one version of it: occurred_at and event_id are those of the order's row.
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

-- One row for each order: the order opens it as PENDING, the payment ends it, in any order of arrival.
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

-- quantity is the sum of all deltas. The newest count that a producer reported is stored beside it.
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

-- The inbox: the ids of events with a delta, whose repetition would count twice.
IF OBJECT_ID(N'dbo.projected_events', N'U') IS NULL
BEGIN
    CREATE TABLE dbo.projected_events (
        event_id NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
        projected_at DATETIME2(6) NOT NULL,
        CONSTRAINT pk_projected_events PRIMARY KEY CLUSTERED (event_id)
    );
    -- For deleting the oldest entries.
    CREATE INDEX ix_projected_events_age ON dbo.projected_events (projected_at);
END;

-- Checkpoints: rows are projected up to, not including, next_offset. Changes only in the transaction that changes rows.
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
        payload VARBINARY(MAX) NULL, -- unchanged bytes
        headers VARBINARY(MAX) NOT NULL, -- in the encoding of shared/domain/src/record.rs
        attempts INT NOT NULL, -- 1, and one more for each redrive
        appended_at DATETIME2(6) NOT NULL,
        dead_at DATETIME2(6) NOT NULL,
        state VARCHAR(9) COLLATE Latin1_General_100_BIN2 NOT NULL
            CONSTRAINT ck_dead_letters_state CHECK (state IN ('open', 'redriven', 'discarded')),
        closed_at DATETIME2(6) NULL,
        -- In the Redis list: 0 no, 1 possibly (a push has started and its result is unknown), 2 yes.
        mirrored INT NOT NULL CONSTRAINT df_dead_letters_mirrored DEFAULT 0,
        CONSTRAINT pk_dead_letters PRIMARY KEY CLUSTERED (topic, partition_id, record_offset)
    );
    -- Open letters are filtered, counted and paged within this index.
    CREATE INDEX ix_dead_letters_state ON dbo.dead_letters (state, dead_at DESC, partition_id DESC, record_offset DESC)
        INCLUDE (reason, event_type, event_id);
    -- The work of the mirror.
    CREATE INDEX ix_dead_letters_mirrored ON dbo.dead_letters (state, mirrored, dead_at, partition_id, record_offset);
END;

-- The generation of the Redis list that the column mirrored refers to. No row before the first mirroring.
IF OBJECT_ID(N'dbo.dead_letter_mirror', N'U') IS NULL
    CREATE TABLE dbo.dead_letter_mirror (
        id INT NOT NULL CONSTRAINT ck_dead_letter_mirror_id CHECK (id = 1),
        generation NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL, -- a unique name for the content of the list
        version BIGINT NOT NULL, -- the version of the list that is recorded here; an older list in Redis has lost changes
        CONSTRAINT pk_dead_letter_mirror PRIMARY KEY CLUSTERED (id)
    );
COMMIT TRANSACTION;
