//! How long to wait before trying again. Pure: attempt and chance come in, a duration comes out.

use std::time::Duration;

/// `RETRY_INITIAL_INTERVAL` and `RETRY_MAX_INTERVAL`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Longest wait before the second attempt.
    pub initial: Duration,
    /// Longest wait of all.
    pub max: Duration,
}

impl Backoff {
    /// The wait after failure number `attempt` (from 1): doubled each time up to `max`, then shortened by up to half by
    /// `chance` (0 to 1), so that processes that failed together do not retry together.
    pub fn delay(self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_limit() {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(30) };
        let waits: Vec<_> = (1..=7).map(|attempt| backoff.delay(attempt, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.delay(u32::MAX, 0.0), backoff.max);
        assert_eq!(backoff.delay(2, 1.0), Duration::from_secs(1), "at most half is taken off");
    }
}
