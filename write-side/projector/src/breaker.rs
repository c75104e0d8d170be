//! The circuit breaker around the read-model store. Pure: the time comes in as a parameter.
//!
//! Closed, it lets calls pass. After `failures_max` failures in a row it opens and lets none pass until `timeout` is
//! over. Then it is half-open and lets calls pass one by one: `probes` successes close it, one failure opens it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// `CIRCUIT_BREAKER_*`.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures_max: u32,
    /// How long it stays open.
    pub timeout: Duration,
    /// Successes that close it again.
    pub probes: u32,
    /// A failure counts together with the one before when that is no older than this.
    pub interval: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls pass on probation.
    HalfOpen,
    /// No call passes.
    Open,
}

impl BreakerState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    /// The value of the metric `circuit_breaker_state`.
    pub fn as_metric(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    failures: u32,
    successes: u32,
    failed_at: Option<Instant>,
    opened_at: Option<Instant>,
}

impl Breaker {
    /// A closed one.
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, failures: 0, successes: 0, failed_at: None, opened_at: None }
    }

    /// The state at `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.opened_at {
            None => BreakerState::Closed,
            Some(_) if self.wait(now).is_zero() => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    /// How long no call may pass; zero when one may.
    pub fn wait(&self, now: Instant) -> Duration {
        self.opened_at
            .map_or(Duration::ZERO, |at| (at + self.settings.timeout).saturating_duration_since(now))
    }

    /// Records a successful call.
    pub fn success(&mut self) {
        self.failures = 0;
        self.successes += 1;
        if self.opened_at.is_none() || self.successes >= self.settings.probes {
            self.opened_at = None;
            self.successes = 0;
        }
    }

    /// Closes it and forgets all failures.
    pub fn reset(&mut self) {
        *self = Self::new(self.settings);
    }

    /// Failed calls in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Since when it is not closed.
    pub fn opened_at(&self) -> Option<Instant> {
        self.opened_at
    }

    /// Records a failed call; returns how many have failed in a row.
    pub fn failure(&mut self, now: Instant) -> u32 {
        if self.failed_at.is_some_and(|at| now.saturating_duration_since(at) > self.settings.interval) {
            self.failures = 0;
        }
        self.failed_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.successes = 0;
        if self.opened_at.is_some() || self.failures >= self.settings.failures_max {
            self.opened_at = Some(now);
        }
        self.failures
    }
}

/// A breaker that the projector uses and other threads may read and reset. Clones are the same breaker.
#[derive(Debug, Clone)]
pub struct SharedBreaker(Arc<Mutex<Breaker>>);

impl SharedBreaker {
    /// A closed one.
    pub fn new(settings: BreakerSettings) -> Self {
        Self(Arc::new(Mutex::new(Breaker::new(settings))))
    }

    pub fn lock(&self) -> MutexGuard<'_, Breaker> {
        // Each change under the lock leaves the breaker consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);
    const INTERVAL: Duration = Duration::from_secs(60);

    fn breaker() -> (Breaker, Instant) {
        (
            Breaker::new(BreakerSettings {
                failures_max: 3,
                timeout: TIMEOUT,
                probes: 2,
                interval: INTERVAL,
            }),
            Instant::now(),
        )
    }

    #[test]
    fn opens_after_failures_in_a_row() {
        let (mut breaker, now) = breaker();
        breaker.failure(now);
        breaker.failure(now);
        breaker.success();
        breaker.failure(now);
        breaker.failure(now);
        assert_eq!(breaker.state(now), BreakerState::Closed);
        assert_eq!(breaker.failure(now), 3);
        assert_eq!(breaker.state(now), BreakerState::Open);
        assert_eq!(breaker.wait(now), TIMEOUT);
    }

    #[test]
    fn failures_that_lie_far_apart_do_not_add_up() {
        let (mut breaker, mut now) = breaker();
        for _ in 0..10 {
            assert_eq!(breaker.failure(now), 1);
            now += INTERVAL + Duration::from_secs(1);
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn a_reset_closes_it() {
        let (mut breaker, now) = breaker();
        for _ in 0..3 {
            breaker.failure(now);
        }
        breaker.reset();
        assert_eq!((breaker.state(now), breaker.failures()), (BreakerState::Closed, 0));
        assert_eq!(breaker.wait(now), Duration::ZERO);
    }

    #[test]
    fn half_open_closes_by_successes_and_opens_by_one_failure() {
        let (mut breaker, now) = breaker();
        for _ in 0..3 {
            breaker.failure(now);
        }
        let later = now + TIMEOUT;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        breaker.success();
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        breaker.failure(later);
        assert_eq!(breaker.state(later), BreakerState::Open);
        let later = later + TIMEOUT;
        breaker.success();
        breaker.success();
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }
}
