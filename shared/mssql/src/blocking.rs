//! Runs a future from synchronous code.

use tokio::runtime::Handle;

/// Blocks until the future is complete. For the start of a process only: it uses a new thread.
pub fn wait_for<T: Send>(handle: &Handle, future: impl Future<Output = T> + Send) -> T {
    // A separate thread, because `block_on` panics on a thread of a runtime, and callers may be on one.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| handle.block_on(future));
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
