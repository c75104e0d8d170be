//! Who waits for which row to change. The change feed names rows; watchers are told that theirs is among them, and read
//! it themselves, so that what they see is never older than what they were told of.
//!
//! The feed is listened to only while somebody watches. A watcher of one row that is slow misses nothing, for it reads
//! what there is by then; a watcher of many rows that is too slow is dropped, and told so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_domain::change::Changes;
use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_platform::change_feed::{ChangeFeed, FeedMessage, Subscriber};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::read_model::ReadModel;

/// Orders of a user that wait to be read by one watcher.
const ORDERS_WAITING_MAX: usize = 256;

/// What can be watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One order and its payment.
    Order(OrderId),
    /// All orders of a user.
    OrdersOf(UserId),
    /// Stock of one SKU.
    Inventory(Sku),
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The row may have changed.
    Row,
    /// This order, of the user who is watched, may have changed.
    Order(OrderId),
    /// Any of the rows may have changed.
    Missed,
}

/// Everybody who watches. Clones are the same.
#[derive(Debug, Clone)]
pub struct Watchers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    feed: ChangeFeed,
    read_model: ReadModel,
    watching: Mutex<Watching>,
}

#[derive(Debug, Default)]
struct Watching {
    by_topic: HashMap<Topic, Vec<Queue>>,
    /// Tells queues apart.
    last: u64,
    /// Whether a task listens to the feed.
    listening: bool,
}

#[derive(Debug)]
struct Queue {
    number: u64,
    sender: mpsc::Sender<Told>,
}

/// One watcher's end; dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    topic: Topic,
    number: u64,
    told: mpsc::Receiver<Told>,
    watchers: Watchers,
}

impl Watchers {
    /// Nobody yet.
    pub fn new(feed: ChangeFeed, read_model: ReadModel) -> Self {
        Self(Arc::new(Inner { feed, read_model, watching: Mutex::default() }))
    }

    /// Watches from now on. Must be called within a runtime.
    pub fn watch(&self, topic: Topic) -> Watch {
        let capacity = if let Topic::OrdersOf(_) = topic { ORDERS_WAITING_MAX } else { 1 };
        let (sender, told) = mpsc::channel(capacity);
        let mut watching = self.watching();
        watching.last += 1;
        let number = watching.last;
        watching.by_topic.entry(topic.clone()).or_default().push(Queue { number, sender });
        if !watching.listening {
            watching.listening = true;
            // Now, not in the task: what changes from here on is to be heard.
            tokio::spawn(self.clone().listen(self.0.feed.subscribe()));
        }
        drop(watching);
        Watch { topic, number, told, watchers: self.clone() }
    }

    /// Passes on what the feed tells until nobody watches any more, or the feed is gone.
    async fn listen(self, mut listener: Subscriber) {
        loop {
            match listener.next().await {
                Some(FeedMessage::Changes(changes)) if !changes.truncated => self.tell(&changes).await,
                Some(_) => self.watching().tell_all(),
                None => return,
            }
            let mut watching = self.watching();
            if watching.by_topic.is_empty() {
                watching.listening = false;
                return;
            }
        }
    }

    async fn tell(&self, changes: &Changes) {
        let mut ownerless = Vec::new();
        {
            let mut watching = self.watching();
            for order in &changes.orders {
                watching.tell(&Topic::Order(order.order_id.clone()), &Told::Row);
                match &order.user_id {
                    Some(user) => watching.tell_order(user, &order.order_id),
                    None => ownerless.push(order.order_id.clone()),
                }
            }
            for sku in &changes.inventory {
                watching.tell(&Topic::Inventory(sku.clone()), &Told::Row);
            }
            if !watching.has_users() {
                return;
            }
        }
        if ownerless.is_empty() {
            return;
        }
        // A payment does not know whose it is.
        let found = self.0.read_model.orders(&ownerless).await;
        let mut watching = self.watching();
        match found {
            Ok(orders) => {
                for order in orders {
                    watching.tell_order(&order.user_id, &order.order_id);
                }
            }
            Err(error) => {
                error.log();
                watching.tell_all();
            }
        }
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.0.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    fn has_users(&self) -> bool {
        self.by_topic.keys().any(|topic| matches!(topic, Topic::OrdersOf(_)))
    }

    fn tell_order(&mut self, user: &UserId, order: &OrderId) {
        self.tell(&Topic::OrdersOf(user.clone()), &Told::Order(order.clone()));
    }

    fn tell_all(&mut self) {
        let topics: Vec<_> = self.by_topic.keys().cloned().collect();
        for topic in topics {
            self.tell(&topic, &Told::Missed);
        }
    }

    fn tell(&mut self, topic: &Topic, told: &Told) {
        let Some(queues) = self.by_topic.get_mut(topic) else { return };
        queues.retain(|queue| match queue.sender.try_send(told.clone()) {
            Ok(()) => true,
            // Who watches one row has been told already and has not read it yet.
            Err(TrySendError::Full(_)) => !matches!(topic, Topic::OrdersOf(_)),
            Err(TrySendError::Closed(_)) => false,
        });
        if queues.is_empty() {
            self.by_topic.remove(topic);
        }
    }
}

impl Watch {
    /// What there is to know next; `None` when this watcher was too slow, and is told nothing more.
    pub async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }

    /// What is watched.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watching = self.watchers.watching();
        if let Some(queues) = watching.by_topic.get_mut(&self.topic) {
            queues.retain(|queue| queue.number != self.number);
            if queues.is_empty() {
                watching.by_topic.remove(&self.topic);
            }
        }
    }
}
