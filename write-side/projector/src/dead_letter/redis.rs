//! The list in Redis that shows the open letters: claimed for a round, then changed by scripts that each do all or nothing.
//!
//! Beside the list `dlq` there are `dlq:index`, a sorted set of its letters by age, and `dlq:mirror`, a hash with the
//! process that may change them. The index makes a repeated push harmless and gives a late letter its place.

use millrace_domain::Timestamp;
use millrace_platform::redis::{RESPONSE_TIMEOUT, RedisFailure, RedisUrl, with_timeout};
use redis::Script;
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

use super::letter::{DeadLetter, LetterId};

/// How long a claim excludes other processes: longer than all calls of a round may take.
const LEASE_MS: u32 = 15_000;

/// Why a round did not change the list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Redis is unavailable, slow or full, or its answer is an error.
    #[error("Redis")]
    Redis(#[from] RedisFailure),
    /// Another process has claimed the list since.
    #[error("another process maintains the list now")]
    Overtaken,
    /// Another program changed the list.
    #[error("another program changed the list")]
    Disagrees,
}

impl From<redis::RedisError> for ListError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// The list as a round found it.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    token: String,
    /// The id of its filling; empty before the first one.
    pub(super) generation: String,
    /// Changes since it was filled.
    pub(super) version: i64,
    /// Whether the list and its index agree.
    pub(super) agrees: bool,
}

/// The list, as one process uses it.
#[derive(Debug)]
pub(super) struct RedisList {
    url: RedisUrl,
    /// List, index, mirror.
    keys: [String; 3],
    owner: String,
    connection: Option<MultiplexedConnection>,
    scripts: Scripts,
}

#[derive(Debug)]
struct Scripts {
    claim: Script,
    reset: Script,
    push: Script,
    remove: Script,
}

impl RedisList {
    pub(super) fn new(url: RedisUrl, list: &str) -> Self {
        Self {
            url,
            keys: [list.to_owned(), format!("{list}:index"), format!("{list}:mirror")],
            owner: Uuid::now_v7().to_string(),
            connection: None,
            scripts: Scripts {
                claim: Script::new(include_str!("redis/claim.lua")),
                reset: Script::new(include_str!("redis/reset.lua")),
                push: Script::new(include_str!("redis/push.lua")),
                remove: Script::new(include_str!("redis/remove.lua")),
            },
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.keys[0]
    }

    /// Without the password.
    pub(super) fn address(&self) -> &RedisUrl {
        &self.url
    }

    /// Drops the connection after an error: the answer to the failed call may still arrive on it.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Claims the list for a round, from another process as well when `force` is set; `None` while another keeps it.
    pub(super) async fn claim(&mut self, force: bool) -> Result<Option<Claim>, ListError> {
        self.claim_for(LEASE_MS, force).await
    }

    async fn claim_for(&mut self, lease_ms: u32, force: bool) -> Result<Option<Claim>, ListError> {
        let token = Uuid::now_v7().to_string();
        let mut call = self.scripts.claim.prepare_invoke();
        call.key(&self.keys[..]).arg(&self.owner).arg(&token).arg(lease_ms);
        call.arg(if force { "force" } else { "" });
        let connection = match &mut self.connection {
            Some(connection) => connection,
            connection => connection.insert(self.url.connect().await?),
        };
        let answer: redis::Value = with_timeout(RESPONSE_TIMEOUT, call.invoke_async(connection)).await?;
        if matches!(&answer, redis::Value::Array(parts) if parts.len() == 1) {
            return Ok(None);
        }
        let (_, generation, version, agrees): (i64, String, i64, bool) =
            redis::from_redis_value(answer).map_err(redis::RedisError::from)?;
        Ok(Some(Claim { token, generation, version, agrees }))
    }

    /// Ends the claim, if it is still ours.
    pub(super) async fn release(&mut self) -> Result<(), ListError> {
        self.claim_for(0, false).await.map(drop)
    }

    /// Empties the list and starts a new generation. Returns the new name of a foreign list that was there, if any.
    pub(super) async fn reset(
        &mut self,
        claim: &Claim,
        generation: &str,
    ) -> Result<Option<String>, ListError> {
        let aside = format!("{}:before-{generation}", self.keys[0]);
        let mut call = self.scripts.reset.prepare_invoke();
        call.key(&self.keys[..]).key(&aside).arg(&claim.token).arg(generation);
        let connection = self.connection.as_mut().ok_or(ListError::Overtaken)?;
        let put_aside = changed(with_timeout(RESPONSE_TIMEOUT, call.invoke_async(connection)).await?)?;
        Ok((put_aside == 1).then_some(aside))
    }

    /// Puts letters into the list. Returns the list's version.
    pub(super) async fn push(&mut self, claim: &Claim, letters: &[DeadLetter]) -> Result<i64, ListError> {
        let mut call = self.scripts.push.prepare_invoke();
        call.key(&self.keys[..]).arg(&claim.token);
        for letter in letters {
            let text = serde_json::to_string(letter).expect("letters always serialise");
            call.arg(Timestamp::micros(letter.dead_at)).arg(name(&letter.id())).arg(text);
        }
        let connection = self.connection.as_mut().ok_or(ListError::Overtaken)?;
        changed(with_timeout(RESPONSE_TIMEOUT, call.invoke_async(connection)).await?)
    }

    /// Takes letters out of the list. Returns the list's version.
    pub(super) async fn remove(&mut self, claim: &Claim, ids: &[LetterId]) -> Result<i64, ListError> {
        let mut call = self.scripts.remove.prepare_invoke();
        call.key(&self.keys[..]).arg(&claim.token);
        for id in ids {
            call.arg(name(id));
        }
        let connection = self.connection.as_mut().ok_or(ListError::Overtaken)?;
        changed(with_timeout(RESPONSE_TIMEOUT, call.invoke_async(connection)).await?)
    }
}

/// What the scripts answer.
fn changed(answer: i64) -> Result<i64, ListError> {
    match answer {
        -1 => Err(ListError::Overtaken),
        -2 => Err(ListError::Disagrees),
        version => Ok(version),
    }
}

/// A letter's name in the index. Of letters of the same microsecond the index sorts by name, and so does the table by
/// partition and offset; hence the zeros.
fn name(id: &LetterId) -> String {
    let LetterId { topic, position } = id;
    format!("{:010}:{:019}:{topic}", position.partition, position.offset)
}
