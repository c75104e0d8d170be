//! Polls an execution until it can make no further progress, then loads the keys that its fields wait for in one batch.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::graphql::schema::Loaders;

/// Runs `execution` to its end, loading batches in between.
pub(super) async fn run<T>(execution: impl Future<Output = T>, loaders: &Loaders) -> T {
    let mut execution = pin!(execution);
    loop {
        let step = std::future::poll_fn(|context| advance(execution.as_mut(), loaders, context));
        match step.await {
            Some(output) => return output,
            None => loaders.load_wanted().await,
        }
    }
}

/// Polls once: the output, or `None` when the execution waits for a batch.
fn advance<T>(
    execution: Pin<&mut impl Future<Output = T>>,
    loaders: &Loaders,
    context: &Context<'_>,
) -> Poll<Option<T>> {
    let wake_flag = Arc::new(WakeFlag { woken: AtomicBool::new(false), task: context.waker().clone() });
    let waker = Waker::from(wake_flag.clone());
    match execution.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        // Woken during the poll, it has only yielded to other tasks: more keys can follow.
        Poll::Pending if wake_flag.woken.load(Ordering::Acquire) => Poll::Pending,
        Poll::Pending if loaders.has_wanted() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    }
}

/// Forwards a wake-up and records it.
struct WakeFlag {
    woken: AtomicBool,
    task: Waker,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
