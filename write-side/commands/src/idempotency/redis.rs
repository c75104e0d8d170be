//! Idempotency keys in Redis: all command processes share them, and each expires by itself.

use millrace_domain::Timestamp;
use millrace_platform::redis::{RESPONSE_TIMEOUT, RedisUrl, with_timeout};
use redis::Script;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use super::attempt::{Admission, Answer, Attempt, AttemptRequest, KEPT, LEASE};
use super::error::IdempotencyError;

/// The keys, and the connection while there is one. Clones of a connection share it, so requests do not queue for it.
#[derive(Debug)]
pub struct RedisKeys {
    url: RedisUrl,
    connection: Mutex<Option<MultiplexedConnection>>,
    begin: Script,
    end: Script,
}

impl RedisKeys {
    pub(super) fn new(url: RedisUrl) -> Self {
        Self {
            url,
            connection: Mutex::default(),
            begin: Script::new(include_str!("redis/begin.lua")),
            end: Script::new(include_str!("redis/end.lua")),
        }
    }

    /// The connection. One request connects while the others wait, and its result is the result of all: if each tried
    /// again, requests would wait for an unresponsive Redis one after the other.
    async fn connect(&self) -> Result<MultiplexedConnection, IdempotencyError> {
        let (mut slot, waited) = match self.connection.try_lock() {
            Ok(slot) => (slot, false),
            Err(_) => (self.connection.lock().await, true),
        };
        match &*slot {
            Some(connection) => Ok(connection.clone()),
            None if waited => Err(IdempotencyError::Unreachable),
            None => Ok(slot.insert(self.url.connect().await?).clone()),
        }
    }

    async fn invoke(&self, call: &redis::ScriptInvocation<'_>) -> Result<Vec<String>, IdempotencyError> {
        let mut connection = self.connect().await?;
        let answer = with_timeout(RESPONSE_TIMEOUT, call.invoke_async(&mut connection)).await;
        if answer.is_err() {
            *self.connection.lock().await = None;
        }
        Ok(answer?)
    }

    pub(super) async fn begin(&self, request: AttemptRequest) -> Result<Admission, IdempotencyError> {
        let mut call = self.begin.prepare_invoke();
        call.key(name(request.key.as_str())).arg(request.fingerprint.to_string()).arg(&request.token);
        call.arg(request.now.micros()).arg(LEASE.as_millis().to_string()).arg(KEPT.as_millis().to_string());
        let answer = self.invoke(&call).await?;
        match (answer.first().map(String::as_str), answer.get(1)) {
            (Some("attempt"), Some(started_at)) => {
                let started_at = started_at.parse().ok().and_then(Timestamp::from_micros);
                Ok(Admission::Attempt(request.attempt(started_at.ok_or(IdempotencyError::InvalidEntry)?)))
            }
            (Some("answered"), Some(text)) => serde_json::from_str(text)
                .map(Admission::Answered)
                .map_err(|_| IdempotencyError::InvalidEntry),
            (Some("in-flight"), _) => Ok(Admission::InFlight),
            (Some("another"), _) => Ok(Admission::AnotherCommand),
            _ => Err(IdempotencyError::InvalidEntry),
        }
    }

    pub(super) async fn accepted(&self, attempt: &Attempt, answer: &Answer) -> Result<(), IdempotencyError> {
        let text = serde_json::to_string(answer).expect("texts always serialise");
        self.end(attempt, "granted", &text).await
    }

    pub(super) async fn failed(&self, attempt: &Attempt, is_rejected: bool) -> Result<(), IdempotencyError> {
        self.end(attempt, if is_rejected { "forget" } else { "release" }, "").await
    }

    async fn end(&self, attempt: &Attempt, how: &str, answer: &str) -> Result<(), IdempotencyError> {
        let mut call = self.end.prepare_invoke();
        call.key(name(attempt.key.as_str())).arg(how).arg(&attempt.token);
        call.arg(attempt.started_at.micros()).arg(answer);
        self.invoke(&call).await.map(drop)
    }
}

fn name(key: &str) -> String {
    format!("millrace:idempotency:{key}")
}
