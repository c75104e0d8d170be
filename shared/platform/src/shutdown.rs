//! Turning SIGTERM and Ctrl-C into a token that every part is handed; a second signal ends the process at once.

use tokio_util::sync::CancellationToken;

/// Longest time from the first signal to the end of the process.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_millis(4_500);

/// Exit code when a second signal cuts the drain short.
pub const EXIT_CUT: i32 = 130;

/// A token that is cancelled by the first SIGTERM or Ctrl-C.
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
        tracing::info!("draining; a second signal ends at once");
        first.cancel();
        tokio::select! {
            _ = terminate.recv() => std::process::exit(EXIT_CUT),
            _ = interrupt.recv() => std::process::exit(EXIT_CUT),
            () = tokio::time::sleep(DEADLINE) => {}
        }
        // Whatever is durable stays, whatever is not is redone at the next start: this is not a failure.
        tracing::warn!("the drain took too long; ending without waiting for the rest");
        std::process::exit(0);
    });
    Ok(token)
}
