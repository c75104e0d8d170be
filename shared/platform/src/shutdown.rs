//! Cancels a token on SIGTERM or Ctrl-C. A second signal ends the process at once.

use tokio_util::sync::CancellationToken;

/// Maximum time from the first signal to the end of the process.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_millis(4_500);

/// Exit code after a second signal.
pub const EXIT_SECOND_SIGNAL: i32 = 130;

/// Returns a token that the first SIGTERM or Ctrl-C cancels.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let first = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!(target: "millrace::platform", "shutting down; a second signal ends the process at once");
        first.cancel();
        tokio::select! {
            _ = terminate.recv() => std::process::exit(EXIT_SECOND_SIGNAL),
            _ = interrupt.recv() => std::process::exit(EXIT_SECOND_SIGNAL),
            () = tokio::time::sleep(DEADLINE) => {}
        }
        // Not a failure: what is not durable by now is done again after the next start.
        tracing::warn!(target: "millrace::platform", "shutdown took too long; ending the process");
        std::process::exit(0);
    });
    Ok(token)
}
