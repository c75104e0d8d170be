//! One statement for all the things of a kind that a request waits for, instead of one for each (N + 1).
//!
//! Resolvers only note what they need and wait. [`drive`] polls the execution until it can go no further, at which
//! point everything that can be known to be needed has been noted, and loads it all. So batches are as large as they
//! can be, and no time is spent waiting for more: the library's `DataLoader` collects for a fixed time, which costs a
//! timer of a millisecond and a task per level of the query.
//!
//! Loaders live as long as one request: nothing read for one client is ever shown to another.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use async_graphql::{Error, Result};
use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_domain::text::OrderStatus;
use tokio::sync::oneshot;

use super::errors::masked;
use super::metrics::GraphqlMetrics;
use crate::page::Page;
use crate::read_model::ReadModel;
use crate::view::{InventoryItem, Order, User};

/// What the resolvers of one request load, by kind.
pub(super) struct Loaders {
    read_model: ReadModel,
    metrics: GraphqlMetrics,
    /// Statements so far.
    statements: AtomicU32,
    pub(super) users: Loader<UserId, Option<Arc<User>>>,
    pub(super) orders: Loader<OrderId, Option<Arc<Order>>>,
    pub(super) inventory: Loader<Sku, Option<Arc<InventoryItem>>>,
    /// The last orders of a user, by how many.
    pub(super) recent_orders: Loader<(UserId, u32), Arc<Vec<Order>>>,
    /// Recent orders that are going to be asked for once their user is there, and how many.
    expected: Mutex<Vec<(UserId, u32)>>,
    /// Pages of the orders of a user.
    pub(super) orders_of_users: Loader<(UserId, OrdersAsked), Vec<Arc<Order>>>,
}

/// Which orders of a user are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OrdersAsked {
    pub(super) status: Option<OrderStatus>,
    pub(super) page: Page,
}

/// Polls `execution` to its end; whenever it can go no further, loads what it waits for.
pub(super) async fn drive<T>(execution: impl Future<Output = T>, loaders: &Loaders) -> T {
    let mut execution = pin!(execution);
    loop {
        let step = std::future::poll_fn(|context| advance(execution.as_mut(), loaders, context));
        match step.await {
            Some(output) => return output,
            None => loaders.load_wanted().await,
        }
    }
}

/// One poll: the output, or `None` when only loading helps.
fn advance<T>(
    execution: Pin<&mut impl Future<Output = T>>,
    loaders: &Loaders,
    context: &Context<'_>,
) -> Poll<Option<T>> {
    let watch = Arc::new(Watch { woken: AtomicBool::new(false), task: context.waker().clone() });
    let waker = Waker::from(watch.clone());
    match execution.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        // Woken while it was polled: it has only paused to let other tasks run.
        Poll::Pending if watch.woken.load(Ordering::Acquire) => Poll::Pending,
        Poll::Pending if loaders.is_waited_for() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    }
}

/// Passes a wake-up on and remembers that there was one.
struct Watch {
    woken: AtomicBool,
    task: Waker,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Loaders {
    pub(super) fn new(read_model: ReadModel, metrics: &GraphqlMetrics) -> Self {
        Self {
            read_model,
            metrics: metrics.clone(),
            statements: AtomicU32::new(0),
            users: Loader::new(),
            orders: Loader::new(),
            inventory: Loader::new(),
            recent_orders: Loader::new(),
            expected: Mutex::default(),
            orders_of_users: Loader::new(),
        }
    }

    /// Notes how many statements the request has cost. To be called once, at its end.
    pub(super) fn note(&self) {
        self.metrics.statements.observe(f64::from(self.statements.load(Ordering::Relaxed)));
    }

    /// Notes a statement that loads so many things of a kind.
    fn count(&self, loader: &str, keys: usize) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a size for a metric")]
        let keys = keys as f64;
        self.metrics.batch_size.with_label_values(&[loader]).observe(keys);
    }

    fn is_waited_for(&self) -> bool {
        self.users.is_waited_for()
            || self.orders.is_waited_for()
            || self.inventory.is_waited_for()
            || self.recent_orders.is_waited_for()
            || self.orders_of_users.is_waited_for()
    }

    async fn load_wanted(&self) {
        self.load_users().await;
        let ids = self.orders.take_wanted();
        if !ids.is_empty() {
            self.count("orders", ids.len());
            let found = self.read_model.orders(&ids).await.map_err(|e| masked(&e));
            let found = found.map(|orders| by_key(orders, |order| order.order_id.clone()));
            self.orders.deliver(ids, found);
        }
        let skus = self.inventory.take_wanted();
        if !skus.is_empty() {
            self.count("inventory", skus.len());
            let found = self.read_model.inventory(&skus).await.map_err(|e| masked(&e));
            let found = found.map(|items| by_key(items, |item| item.sku.clone()));
            self.inventory.deliver(skus, found);
        }
        self.load_recent_orders().await;
        self.load_orders_of_users().await;
    }

    /// Says that the last `limit` orders of a user are going to be asked for, so that they can come with the user.
    pub(super) fn expect_recent_orders(&self, user: UserId, limit: u32) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).push((user, limit));
    }

    /// Many users are one statement, and their orders another. One user and the orders that are going to be asked for
    /// are one in all.
    async fn load_users(&self) {
        let ids = self.users.take_wanted();
        let expected = std::mem::take(&mut *self.expected.lock().unwrap_or_else(PoisonError::into_inner));
        match (&ids[..], expected.into_iter().next()) {
            ([], _) => {}
            ([only], Some((user, limit))) if *only == user => self.load_user_with_orders(user, limit).await,
            _ => {
                self.count("users", ids.len());
                let found = self.read_model.users(&ids).await.map_err(|e| masked(&e));
                let found = found.map(|users| by_key(users, |user| user.user_id.clone()));
                self.users.deliver(ids, found);
            }
        }
    }

    async fn load_user_with_orders(&self, id: UserId, limit: u32) {
        self.count("user_with_orders", 1);
        let found = self.read_model.user_with_orders(&id, limit).await.map_err(|e| masked(&e));
        let user = found.map(|found| {
            let (user, orders) = found?;
            self.recent_orders.put((id.clone(), limit), Arc::new(orders));
            Some(Arc::new(user))
        });
        self.users.deliver(vec![id.clone()], user.map(|user| HashMap::from([(id, user)])));
    }

    /// A page of all users. Loaded at once: nothing else can be part of the statement.
    pub(super) async fn users_page(&self, page: &Page) -> Result<Vec<Arc<User>>> {
        self.count("users_page", 1);
        let users = self.read_model.users_page(page).await.map_err(|e| masked(&e))?;
        let users: Vec<_> = users.into_iter().map(Arc::new).collect();
        for user in &users {
            // Whoever asks for the user of one of their orders has it here.
            self.users.put(user.user_id.clone(), Some(user.clone()));
        }
        Ok(users)
    }

    /// A page of all orders, likewise.
    pub(super) async fn orders_page(&self, status: Option<&OrderStatus>, page: &Page) -> Result<Vec<Order>> {
        self.count("orders_page", 1);
        self.read_model.orders_page(status, page).await.map_err(|e| masked(&e))
    }

    /// One statement for each limit asked for, and nearly all queries ask for one.
    async fn load_recent_orders(&self) {
        let mut by_limit = BTreeMap::<u32, Vec<UserId>>::new();
        for (user, limit) in self.recent_orders.take_wanted() {
            by_limit.entry(limit).or_default().push(user);
        }
        for (limit, users) in by_limit {
            self.count("recent_orders", users.len());
            let found = self.read_model.recent_orders(&users, limit).await;
            let found = found.map_err(|e| masked(&e)).map(|orders| by_user(orders, limit));
            let keys = users.into_iter().map(|user| (user, limit)).collect();
            self.recent_orders.deliver(keys, found);
        }
    }

    /// One statement for each page asked for: the same for all users of a list.
    async fn load_orders_of_users(&self) {
        let mut by_page = HashMap::<OrdersAsked, Vec<UserId>>::new();
        for (user, asked) in self.orders_of_users.take_wanted() {
            by_page.entry(asked).or_default().push(user);
        }
        for (asked, users) in by_page {
            self.count("orders_of_users", users.len());
            let found = self.read_model.orders_of_users(&users, asked.status.as_ref(), &asked.page).await;
            let found = found.map_err(|e| masked(&e)).map(|orders| by_user_and_page(orders, &asked));
            let keys = users.into_iter().map(|user| (user, asked.clone())).collect();
            self.orders_of_users.deliver(keys, found);
        }
    }
}

/// Keeps the order within each user.
fn by_user_and_page(
    orders: Vec<Order>,
    asked: &OrdersAsked,
) -> HashMap<(UserId, OrdersAsked), Vec<Arc<Order>>> {
    let mut found = HashMap::<_, Vec<_>>::new();
    for order in orders {
        found.entry((order.user_id.clone(), asked.clone())).or_default().push(Arc::new(order));
    }
    found
}

fn by_key<K: Hash + Eq, T>(found: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, Option<Arc<T>>> {
    let with_key = |thing| (key(&thing), Some(Arc::new(thing)));
    found.into_iter().map(with_key).collect()
}

/// Keeps the order within each user.
fn by_user(orders: Vec<Order>, limit: u32) -> HashMap<(UserId, u32), Arc<Vec<Order>>> {
    let mut found = HashMap::<_, Vec<Order>>::new();
    for order in orders {
        found.entry((order.user_id.clone(), limit)).or_default().push(order);
    }
    found.into_iter().map(|(key, orders)| (key, Arc::new(orders))).collect()
}

/// Things of one kind by key: each is loaded at most once per request.
pub(super) struct Loader<K, V>(Mutex<State<K, V>>);

struct State<K, V> {
    /// Keys that nobody has begun to load.
    wanted: Vec<K>,
    slots: HashMap<K, Slot<V>>,
}

enum Slot<V> {
    WaitedFor(Vec<oneshot::Sender<Result<V>>>),
    Loaded(Result<V>),
}

/// What a resolver has asked for.
enum Asked<V> {
    Waiting(oneshot::Receiver<Result<V>>),
    Loaded(Result<V>),
}

impl<V> Asked<V> {
    async fn arrived(self) -> Result<V> {
        match self {
            Self::Loaded(loaded) => loaded,
            // The loader outlives its resolvers and answers each, so that this error is never seen.
            Self::Waiting(receiver) => receiver.await.map_err(|_| Error::new("Internal error."))?,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone + Default> Loader<K, V> {
    fn new() -> Self {
        Self(Mutex::new(State { wanted: Vec::new(), slots: HashMap::new() }))
    }

    /// What is loaded for the key; the default of `V` when there is nothing.
    ///
    /// # Errors
    /// That the read model could not be asked, in words for the client.
    pub(super) async fn load(&self, key: K) -> Result<V> {
        self.ask(key).arrived().await
    }

    /// The same for many keys, in their order. All are asked for before the first is waited for.
    ///
    /// # Errors
    /// That the read model could not be asked, in words for the client.
    pub(super) async fn load_many(&self, keys: Vec<K>) -> Result<Vec<V>> {
        let asked: Vec<_> = keys.into_iter().map(|key| self.ask(key)).collect();
        let mut loaded = Vec::with_capacity(asked.len());
        for asked in asked {
            loaded.push(asked.arrived().await?);
        }
        Ok(loaded)
    }

    fn ask(&self, key: K) -> Asked<V> {
        let mut state = self.state();
        if let Some(Slot::Loaded(loaded)) = state.slots.get(&key) {
            return Asked::Loaded(loaded.clone());
        }
        let (sender, receiver) = oneshot::channel();
        match state.slots.get_mut(&key) {
            Some(Slot::WaitedFor(waiting)) => waiting.push(sender),
            _ => {
                state.wanted.push(key.clone());
                state.slots.insert(key, Slot::WaitedFor(vec![sender]));
            }
        }
        Asked::Waiting(receiver)
    }

    fn is_waited_for(&self) -> bool {
        !self.state().wanted.is_empty()
    }

    /// Has it ready before anybody asks. What was asked for already is left to be loaded.
    fn put(&self, key: K, value: V) {
        self.state().slots.entry(key).or_insert(Slot::Loaded(Ok(value)));
    }

    fn take_wanted(&self) -> Vec<K> {
        std::mem::take(&mut self.state().wanted)
    }

    fn deliver(&self, keys: Vec<K>, found: Result<HashMap<K, V>>) {
        let mut state = self.state();
        let (mut found, error) = match found {
            Ok(found) => (found, None),
            Err(error) => (HashMap::new(), Some(error)),
        };
        for key in keys {
            let loaded = match &error {
                Some(error) => Err(error.clone()),
                None => Ok(found.remove(&key).unwrap_or_default()),
            };
            let slot = state.slots.insert(key, Slot::Loaded(loaded.clone()));
            let Some(Slot::WaitedFor(waiting)) = slot else {
                continue;
            };
            for sender in waiting {
                sender.send(loaded.clone()).ok(); // A resolver that is gone needs nothing.
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
