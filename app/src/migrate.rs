//! `millrace migrate`: waits for the server of the read model, then updates the schema.

use std::time::{Duration, Instant};

use millrace_mssql::{Pool, ReadModelUrl};
use millrace_platform::telemetry::chain;
use millrace_projector::projection::Projection;

use crate::cli::Settings;
use crate::output::print_line;
use crate::usage;

/// Time between two attempts to reach the server.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// # Errors
/// The store is unavailable, or a step of the migration failed.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let url = settings.read_model();
    wait_for_server(&url, settings.wait_for).await?;
    let (_projection, steps) =
        Projection::open(&url).map_err(|error| usage(format!("{}: {}", url.name(), chain(&error))))?;
    match steps {
        0 => print_line(format_args!("{}: up to date", url.name()))?,
        steps => print_line(format_args!("{}: {steps} migration steps applied", url.name()))?,
    }
    Ok(())
}

/// A file is always available.
async fn wait_for_server(url: &ReadModelUrl, wait: Duration) -> anyhow::Result<()> {
    let ReadModelUrl::Mssql(url) = url else { return Ok(()) };
    let until = Instant::now() + wait;
    loop {
        let Err(error) = Pool::probe(url).await else { return Ok(()) };
        // The migration creates a missing database.
        if error.is_missing_database() {
            return Ok(());
        }
        if error.is_login_failure() || Instant::now() >= until {
            return Err(usage(format!("READ_MODEL: {}: {error}", url.name())));
        }
        tracing::warn!(target: "millrace::app", %error, server = url.name(), "SQL Server unavailable; retrying");
        tokio::time::sleep(RETRY_EVERY).await;
    }
}
