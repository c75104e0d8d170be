//! The read model's schema on SQL Server: the database, its tables, and the version they have.

use std::time::Duration;

use millrace_platform::schema::{self, SchemaMismatch};
use millrace_platform::{ErrorClass, sql};

use super::connection::{Connection, Connections};
use super::{MssqlError, MssqlUrl, Param, Pool, Row};

/// For one statement; an index on a large table takes its time, and whoever comes second waits for the first.
const TIMEOUT: Duration = Duration::from_secs(600);

/// SQL Server makes one database at a time, and one that another has just made takes a moment until it lets anybody in.
const MAKING_TRIES: u32 = 120;
const MAKING_PAUSE: Duration = Duration::from_millis(250);

/// A step per version. Each can be run again.
const STEPS: &[&str] = &[sql!("mssql/schema/read_model_1.sql")];

/// The version that this program reads and writes.
pub const SCHEMA_VERSION: usize = STEPS.len();

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Whether the database itself was missing.
    pub made_database: bool,
    /// Steps run.
    pub steps: usize,
    /// Whether readers see the last committed state instead of waiting for the projector.
    pub snapshot: bool,
}

/// Brings the database to the newest schema, and makes it when it is missing and we may. Safe when two do so at once.
///
/// # Errors
/// [`MssqlError`]; [`MssqlError::Schema`] when a newer program was here.
pub async fn migrate(url: &MssqlUrl) -> Result<Migrated, MssqlError> {
    let (mut connection, made_database) = match Connections::new(url).open().await {
        Ok(connection) => (connection, false),
        Err(error) if error.is_a_missing_database() => {
            let made = create_database(url, error).await?;
            (open_made(url).await?, made)
        }
        Err(error) => return Err(error),
    };
    check_openjson(&mut connection, url).await?;
    // The lock belongs to the session: on an error it goes with the connection.
    connection.run(sql!("mssql/schema/lock.sql"), Vec::new(), TIMEOUT).await?;
    let steps = run_steps(&mut connection).await?;
    let rows = connection.run(sql!("mssql/schema/snapshot.sql"), Vec::new(), TIMEOUT).await?;
    let snapshot = number(&rows) == 1;
    connection.run(sql!("mssql/schema/unlock.sql"), Vec::new(), TIMEOUT).await?;
    if !snapshot {
        tracing::warn!(
            "READ_COMMITTED_SNAPSHOT is off in {}, so reads wait for the projector; turn it on with ALTER DATABASE \
             while nobody else is connected",
            url.name(),
        );
    }
    Ok(Migrated { made_database, steps, snapshot })
}

async fn create_database(url: &MssqlUrl, missing: MssqlError) -> Result<bool, MssqlError> {
    let master = MssqlUrl { database: "master".to_owned(), ..url.clone() };
    // Who may not enter master either is told what is missing.
    let mut connection = Connections::new(&master).open().await.map_err(|_| missing)?;
    let mut tried = 0;
    loop {
        tried += 1;
        let name = Param::Text(url.database.clone());
        match connection.run(sql!("mssql/schema/create_database.sql"), vec![name], TIMEOUT).await {
            Err(error) if error.is_a_busy_template() && tried < MAKING_TRIES => {
                tokio::time::sleep(MAKING_PAUSE).await;
            }
            Err(error) if error.is_an_existing_database() => return Ok(false),
            rows => return Ok(number(&rows?) == 1),
        }
    }
}

async fn open_made(url: &MssqlUrl) -> Result<Connection, MssqlError> {
    let mut tried = 0;
    loop {
        tried += 1;
        match Connections::new(url).open().await {
            Err(error) if error.is_a_missing_database() && tried < MAKING_TRIES => {
                tokio::time::sleep(MAKING_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// A database that was restored from an old server keeps its old dialect, and says so in strange words only.
async fn check_openjson(connection: &mut Connection, url: &MssqlUrl) -> Result<(), MssqlError> {
    let one = Param::Text("[1]".to_owned());
    match connection.run(sql!("mssql/schema/openjson.sql"), vec![one], TIMEOUT).await {
        Err(error) if error.class() == ErrorClass::Fatal => Err(MssqlError::Unsupported(format!(
            "{} does not understand OPENJSON, which takes SQL Server 2016 and a compatibility level of 130 at least: \
             see ALTER DATABASE … SET COMPATIBILITY_LEVEL ({error})",
            url.name()
        ))),
        result => result.map(drop),
    }
}

async fn run_steps(connection: &mut Connection) -> Result<usize, MssqlError> {
    let rows = connection.run(sql!("mssql/schema/version.sql"), Vec::new(), TIMEOUT).await?;
    let seen = usize::try_from(number(&rows)).unwrap_or_default();
    if seen > SCHEMA_VERSION {
        return Err(SchemaMismatch::Newer { found: seen, known: SCHEMA_VERSION }.into());
    }
    for (step, version) in STEPS.iter().zip(1..).skip(seen) {
        connection.run(step, Vec::new(), TIMEOUT).await?;
        let record = sql!("mssql/schema/record.sql");
        connection.run(record, vec![Param::Int(version)], TIMEOUT).await?;
    }
    Ok(SCHEMA_VERSION - seen)
}

/// Checks that the database has the newest schema, without changing it.
///
/// # Errors
/// [`MssqlError::Schema`] when it has not, or why the version cannot be read.
pub async fn check_schema(pool: &Pool) -> Result<(), MssqlError> {
    let rows = pool.query(sql!("mssql/schema/version.sql"), Vec::new()).await?;
    let found = usize::try_from(number(&rows)).unwrap_or_default();
    Ok(schema::check(found, SCHEMA_VERSION)?)
}

/// The one number of a result; 0 when there is none.
fn number(rows: &[Row]) -> u64 {
    rows.first().and_then(|row| row.count().ok()).unwrap_or_default()
}
