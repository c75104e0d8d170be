//! `millrace ready`: asks a running process whether it is ready.

use anyhow::Context;

use crate::output::print_line;

/// Runs `millrace ready`.
///
/// # Errors
/// What is not ready.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let answer = reqwest::get(url).await.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    let body = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{url} is not ready: {body}");
    Ok(print_line(body)?)
}
