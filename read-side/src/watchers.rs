//! Watches rows for changes. The change feed names the changed rows; a watcher receives a notice and reads the row itself,
//! so it never shows a state older than the notice.
//!
//! The feed is received only while there are watchers. A slow watcher of one row misses nothing, because it reads the
//! current state; a slow watcher of many rows is removed and notices that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_domain::change::Changes;
use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_platform::change_feed::{ChangeFeed, FeedMessage, Subscriber};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::read_model::ReadModel;

/// Changed orders of a user that wait for one watcher.
const ORDERS_WAITING_MAX: usize = 256;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// An order and its payment.
    Order(OrderId),
    /// All orders of a user.
    OrdersOf(UserId),
    /// The stock of a SKU.
    Inventory(Sku),
}

/// A notice to a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeNotice {
    /// The watched row may have changed.
    Row,
    /// This order of the watched user may have changed.
    Order(OrderId),
    /// Changes may be missing: any watched row may have changed.
    Missed,
}

/// All watchers. Clones share them.
#[derive(Debug, Clone)]
pub struct Watchers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    feed: ChangeFeed,
    read_model: ReadModel,
    queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    by_topic: HashMap<Topic, Vec<Queue>>,
    last_number: u64,
    /// Whether a task receives the feed.
    is_receiving: bool,
}

#[derive(Debug)]
struct Queue {
    /// Identifies the queue.
    number: u64,
    sender: mpsc::Sender<ChangeNotice>,
}

/// A watcher; dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    topic: Topic,
    number: u64,
    notices: mpsc::Receiver<ChangeNotice>,
    watchers: Watchers,
}

impl Watchers {
    pub fn new(feed: ChangeFeed, read_model: ReadModel) -> Self {
        Self(Arc::new(Inner { feed, read_model, queues: Mutex::default() }))
    }

    /// Watches from now on. Must be called within a runtime.
    pub fn watch(&self, topic: Topic) -> Watch {
        let capacity = if let Topic::OrdersOf(_) = topic { ORDERS_WAITING_MAX } else { 1 };
        let (sender, notices) = mpsc::channel(capacity);
        let mut queues = self.queues();
        queues.last_number += 1;
        let number = queues.last_number;
        queues.by_topic.entry(topic.clone()).or_default().push(Queue { number, sender });
        if !queues.is_receiving {
            queues.is_receiving = true;
            // Subscribe to the feed here, not in the task: changes from now on must be received.
            tokio::spawn(self.clone().receive(self.0.feed.subscribe()));
        }
        drop(queues);
        Watch { topic, number, notices, watchers: self.clone() }
    }

    /// Distributes the feed until there are no watchers or the feed is closed.
    async fn receive(self, mut subscriber: Subscriber) {
        loop {
            match subscriber.next().await {
                Some(FeedMessage::Changes(changes)) if !changes.truncated => self.distribute(&changes).await,
                Some(_) => self.queues().notify_all(),
                None => return,
            }
            let mut queues = self.queues();
            if queues.by_topic.is_empty() {
                queues.is_receiving = false;
                return;
            }
        }
    }

    async fn distribute(&self, changes: &Changes) {
        let mut without_user = Vec::new();
        {
            let mut queues = self.queues();
            for order in &changes.orders {
                queues.notify(&Topic::Order(order.order_id.clone()), &ChangeNotice::Row);
                match &order.user_id {
                    Some(user) => queues.notify_user(user, &order.order_id),
                    None => without_user.push(order.order_id.clone()),
                }
            }
            for sku in &changes.inventory {
                queues.notify(&Topic::Inventory(sku.clone()), &ChangeNotice::Row);
            }
            if !queues.has_users() {
                return;
            }
        }
        if without_user.is_empty() {
            return;
        }
        // The change of a payment does not contain the user of its order.
        let orders = self.0.read_model.orders(&without_user).await;
        let mut queues = self.queues();
        match orders {
            Ok(orders) => {
                for order in orders {
                    queues.notify_user(&order.user_id, &order.order_id);
                }
            }
            Err(error) => {
                error.log();
                queues.notify_all();
            }
        }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn has_users(&self) -> bool {
        self.by_topic.keys().any(|topic| matches!(topic, Topic::OrdersOf(_)))
    }

    fn notify_user(&mut self, user: &UserId, order: &OrderId) {
        self.notify(&Topic::OrdersOf(user.clone()), &ChangeNotice::Order(order.clone()));
    }

    fn notify_all(&mut self) {
        let topics: Vec<_> = self.by_topic.keys().cloned().collect();
        for topic in topics {
            self.notify(&topic, &ChangeNotice::Missed);
        }
    }

    fn notify(&mut self, topic: &Topic, notice: &ChangeNotice) {
        let Some(queues) = self.by_topic.get_mut(topic) else { return };
        queues.retain(|queue| match queue.sender.try_send(notice.clone()) {
            Ok(()) => true,
            // A watcher of one row has an unread notice already, which covers this change.
            Err(TrySendError::Full(_)) => !matches!(topic, Topic::OrdersOf(_)),
            Err(TrySendError::Closed(_)) => false,
        });
        if queues.is_empty() {
            self.by_topic.remove(topic);
        }
    }
}

impl Watch {
    /// The next notice; `None` if this watcher was too slow and is removed.
    pub async fn next(&mut self) -> Option<ChangeNotice> {
        self.notices.recv().await
    }

    pub fn topic(&self) -> &Topic {
        &self.topic
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut queues = self.watchers.queues();
        if let Some(of_topic) = queues.by_topic.get_mut(&self.topic) {
            of_topic.retain(|queue| queue.number != self.number);
            if of_topic.is_empty() {
                queues.by_topic.remove(&self.topic);
            }
        }
    }
}
