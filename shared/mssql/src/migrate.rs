//! Migration of the read model on SQL Server: creates the database and brings its schema to the newest version.

use std::time::Duration;

use millrace_platform::schema::{self, SchemaMismatch};
use millrace_platform::{ErrorClass, sql};

use crate::connection::{Connection, Connections};
use crate::error::MssqlError;
use crate::param::Param;
use crate::pool::Pool;
use crate::row::Row;
use crate::url::MssqlUrl;

/// Time-out of one statement: an index on a large table takes long, and a second process waits for the lock meanwhile.
const TIMEOUT: Duration = Duration::from_secs(600);

/// SQL Server creates one database at a time, and a new database accepts connections only after a moment. Both are
/// retried.
const CREATE_ATTEMPTS: u32 = 120;
const CREATE_RETRY_DELAY: Duration = Duration::from_millis(250);

/// One step for each version. Running a step again changes nothing.
const STEPS: &[&str] = &[sql!("mssql/schema/read_model_1.sql")];

/// The schema version of this program.
pub const SCHEMA_VERSION: usize = STEPS.len();

/// The result of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Whether the database was created.
    pub created_database: bool,
    /// The number of steps that ran.
    pub steps: usize,
    /// Whether READ_COMMITTED_SNAPSHOT is on, so that readers do not wait for the projector.
    pub snapshot: bool,
}

/// Brings the database to the newest schema. Creates it if it is missing and the login may create it. Two processes may
/// do this at the same time.
///
/// # Errors
/// [`MssqlError`]; [`MssqlError::Schema`] for a newer schema.
pub async fn migrate(url: &MssqlUrl) -> Result<Migration, MssqlError> {
    let (mut connection, created_database) = match Connections::new(url).open().await {
        Ok(connection) => (connection, false),
        Err(error) if error.is_missing_database() => {
            let created = create_database(url, error).await?;
            (open_created(url).await?, created)
        }
        Err(error) => return Err(error),
    };
    check_openjson(&mut connection, url).await?;
    // The lock belongs to the session, so after an error it is released with the connection.
    connection.run(sql!("mssql/schema/lock.sql"), Vec::new(), TIMEOUT).await?;
    let steps = run_steps(&mut connection).await?;
    let rows = connection.run(sql!("mssql/schema/snapshot.sql"), Vec::new(), TIMEOUT).await?;
    let snapshot = first_count(&rows) == 1;
    connection.run(sql!("mssql/schema/unlock.sql"), Vec::new(), TIMEOUT).await?;
    if !snapshot {
        tracing::warn!(
            target: "millrace::mssql",
            "READ_COMMITTED_SNAPSHOT is off in {}, so reads wait for the projector; turn it on with ALTER DATABASE \
             while no other client is connected",
            url.name(),
        );
    }
    Ok(Migration { created_database, steps, snapshot })
}

async fn create_database(url: &MssqlUrl, missing: MssqlError) -> Result<bool, MssqlError> {
    let master = MssqlUrl { database: "master".to_owned(), ..url.clone() };
    // A login without access to master gets the first error, which names the missing database.
    let mut connection = Connections::new(&master).open().await.map_err(|_| missing)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let name = Param::Text(url.database.clone());
        match connection.run(sql!("mssql/schema/create_database.sql"), vec![name], TIMEOUT).await {
            Err(error) if error.is_template_locked() && attempts < CREATE_ATTEMPTS => {
                tokio::time::sleep(CREATE_RETRY_DELAY).await;
            }
            Err(error) if error.is_existing_database() => return Ok(false),
            rows => return Ok(first_count(&rows?) == 1),
        }
    }
}

async fn open_created(url: &MssqlUrl) -> Result<Connection, MssqlError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match Connections::new(url).open().await {
            Err(error) if error.is_missing_database() && attempts < CREATE_ATTEMPTS => {
                tokio::time::sleep(CREATE_RETRY_DELAY).await;
            }
            result => return result,
        }
    }
}

async fn check_openjson(connection: &mut Connection, url: &MssqlUrl) -> Result<(), MssqlError> {
    // A database that was restored from an older server keeps its compatibility level. There OPENJSON fails with a
    // syntax error, whose message does not help a user.
    let one = Param::Text("[1]".to_owned());
    match connection.run(sql!("mssql/schema/openjson.sql"), vec![one], TIMEOUT).await {
        Err(error) if error.class() == ErrorClass::Fatal => Err(MssqlError::Unsupported(format!(
            "{} does not support OPENJSON; it needs SQL Server 2016 or newer and a compatibility level of at least 130 \
             (see ALTER DATABASE … SET COMPATIBILITY_LEVEL): {error}",
            url.name()
        ))),
        result => result.map(drop),
    }
}

async fn run_steps(connection: &mut Connection) -> Result<usize, MssqlError> {
    let rows = connection.run(sql!("mssql/schema/version.sql"), Vec::new(), TIMEOUT).await?;
    let version = usize::try_from(first_count(&rows)).unwrap_or_default();
    if version > SCHEMA_VERSION {
        return Err(SchemaMismatch::Newer { found: version, known: SCHEMA_VERSION }.into());
    }
    for (step, number) in STEPS.iter().zip(1..).skip(version) {
        connection.run(step, Vec::new(), TIMEOUT).await?;
        let record = sql!("mssql/schema/record.sql");
        connection.run(record, vec![Param::Int(number)], TIMEOUT).await?;
    }
    Ok(SCHEMA_VERSION - version)
}

/// Checks that the database has the newest schema.
///
/// # Errors
/// [`MssqlError::Schema`] for another version; any other [`MssqlError`] when the version cannot be read.
pub async fn check_schema(pool: &Pool) -> Result<(), MssqlError> {
    let rows = pool.query(sql!("mssql/schema/version.sql"), Vec::new()).await?;
    let found = usize::try_from(first_count(&rows)).unwrap_or_default();
    Ok(schema::check(found, SCHEMA_VERSION)?)
}

/// The first column of the first row; 0 when there is no row.
fn first_count(rows: &[Row]) -> u64 {
    rows.first().and_then(|row| row.count().ok()).unwrap_or_default()
}
