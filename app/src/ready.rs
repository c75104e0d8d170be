//! `millrace ready`: checks the readiness of a running process, for health checks in containers.

use anyhow::Context;

use crate::output::print_line;

/// # Errors
/// The process does not answer, or its not-ready reasons.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let response = reqwest::get(url).await.with_context(|| format!("no response from {url}"))?;
    let status = response.status();
    let body = response.text().await?;
    anyhow::ensure!(status.is_success(), "{url}: not ready: {body}");
    Ok(print_line(body)?)
}
