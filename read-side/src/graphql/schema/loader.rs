//! Objects of one type by key, each loaded at most once per request (against N + 1 statements).
//!
//! Fields register the keys that they need and wait. The keys are loaded together when the execution can make no further
//! progress (`execution/batches.rs`), so a batch is as large as possible and no time passes waiting for it to fill. The
//! library's `DataLoader` collects for a fixed time, which costs a timer of a millisecond and a task for each level of a
//! query.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_graphql::{Error, Result};
use tokio::sync::oneshot;

use super::errors::INTERNAL;

pub(crate) struct Loader<K, V>(Mutex<State<K, V>>);

struct State<K, V> {
    /// Registered keys whose load has not started.
    wanted: Vec<K>,
    slots: HashMap<K, Slot<V>>,
}

enum Slot<V> {
    Wanted(Vec<oneshot::Sender<Result<V>>>),
    Loaded(Result<V>),
}

/// The value of a registered key.
enum Entry<V> {
    Wanted(oneshot::Receiver<Result<V>>),
    Loaded(Result<V>),
}

impl<V> Entry<V> {
    async fn loaded(self) -> Result<V> {
        match self {
            Self::Loaded(loaded) => loaded,
            // The loader outlives the fields of its request and sends to each, so this error does not occur.
            Self::Wanted(receiver) => receiver.await.map_err(|_| Error::new(INTERNAL))?,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone + Default> Loader<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { wanted: Vec::new(), slots: HashMap::new() }))
    }

    /// The value of a key; the default of `V` if it is not found.
    ///
    /// # Errors
    /// UNAVAILABLE or INTERNAL
    pub(super) async fn load(&self, key: K) -> Result<V> {
        self.register(key).loaded().await
    }

    /// The values of many keys, in their order.
    ///
    /// # Errors
    /// UNAVAILABLE or INTERNAL
    pub(super) async fn load_many(&self, keys: Vec<K>) -> Result<Vec<V>> {
        // All keys are registered before the first wait, so that they share a batch.
        let entries: Vec<_> = keys.into_iter().map(|key| self.register(key)).collect();
        let mut loaded = Vec::with_capacity(entries.len());
        for entry in entries {
            loaded.push(entry.loaded().await?);
        }
        Ok(loaded)
    }

    fn register(&self, key: K) -> Entry<V> {
        let mut state = self.state();
        if let Some(Slot::Loaded(loaded)) = state.slots.get(&key) {
            return Entry::Loaded(loaded.clone());
        }
        let (sender, receiver) = oneshot::channel();
        match state.slots.get_mut(&key) {
            Some(Slot::Wanted(senders)) => senders.push(sender),
            _ => {
                state.wanted.push(key.clone());
                state.slots.insert(key, Slot::Wanted(vec![sender]));
            }
        }
        Entry::Wanted(receiver)
    }

    pub(super) fn has_wanted(&self) -> bool {
        !self.state().wanted.is_empty()
    }

    pub(super) fn take_wanted(&self) -> Vec<K> {
        std::mem::take(&mut self.state().wanted)
    }

    /// Stores a value that was read for another reason. A key that is already registered is loaded all the same.
    pub(super) fn store(&self, key: K, value: V) {
        self.state().slots.entry(key).or_insert(Slot::Loaded(Ok(value)));
    }

    /// Stores the result of a batch and sends it to the fields that wait for it.
    pub(super) fn complete(&self, keys: Vec<K>, rows: Result<HashMap<K, V>>) {
        let mut state = self.state();
        let (mut rows, error) = match rows {
            Ok(rows) => (rows, None),
            Err(error) => (HashMap::new(), Some(error)),
        };
        for key in keys {
            let loaded = match &error {
                Some(error) => Err(error.clone()),
                None => Ok(rows.remove(&key).unwrap_or_default()),
            };
            let slot = state.slots.insert(key, Slot::Loaded(loaded.clone()));
            let Some(Slot::Wanted(senders)) = slot else {
                continue;
            };
            for sender in senders {
                // A field whose sibling has failed no longer waits.
                sender.send(loaded.clone()).ok();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
