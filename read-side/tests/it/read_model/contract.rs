//! The behaviour of every read model. Each test has an empty one.

use millrace_domain::Amount;
use millrace_domain::event::OrderItem;
use millrace_domain::id::{OrderId, Sku, UserId};
use millrace_domain::text::OrderStatus;
use millrace_read_side::page::{Direction, Page, SortKey};
use millrace_read_side::view::{Order, User};

use super::fixture::{Store, time};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000_000;

fn user_ids(ids: &[&str]) -> Vec<UserId> {
    ids.iter().map(|id| UserId::parse(id).unwrap()).collect()
}

fn order_ids(ids: &[&str]) -> Vec<OrderId> {
    ids.iter().map(|id| OrderId::parse(id).unwrap()).collect()
}

fn of_users(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.user_id.as_str()).collect()
}

fn of_orders(orders: &[Order]) -> Vec<&str> {
    orders.iter().map(|order| order.order_id.as_str()).collect()
}

/// The ids of one user's orders, in the order of the rows.
fn of_user<'a>(orders: &'a [Order], user: &str) -> Vec<&'a str> {
    let own = orders.iter().filter(|order| order.user_id.as_str() == user);
    own.map(|order| order.order_id.as_str()).collect()
}

fn sorted(mut ids: Vec<&str>) -> Vec<&str> {
    ids.sort_unstable();
    ids
}

pub(crate) fn an_empty_database_has_no_rows(store: &Store) {
    let tables = &store.read_model;
    let page = Page::first(Direction::NewestFirst, 5);
    store.block_on(async {
        tables.ping().await.unwrap();
        assert!(tables.users(&user_ids(&["u"])).await.unwrap().is_empty());
        assert!(tables.orders(&order_ids(&["o"])).await.unwrap().is_empty());
        assert!(tables.recent_orders(&user_ids(&["u"]), 5).await.unwrap().is_empty());
        assert!(tables.user_with_orders(&user_ids(&["u"])[0], 5).await.unwrap().is_none());
        assert!(tables.recent_users(5).await.unwrap().is_empty());
        assert!(tables.users_page(&page).await.unwrap().is_empty());
        assert!(tables.orders_page(None, &page).await.unwrap().is_empty());
        assert!(tables.orders_page(Some(&OrderStatus::PLACED), &page).await.unwrap().is_empty());
        assert!(tables.orders_of_users(&user_ids(&["u"]), None, &page).await.unwrap().is_empty());
        assert!(tables.inventory(&[Sku::parse("s").unwrap()]).await.unwrap().is_empty());
        assert!(tables.checkpoints().await.unwrap().is_empty());
    });
}

pub(crate) fn ids_that_differ_in_case_are_two(store: &Store) {
    for (id, name) in [("u-A", "Ada"), ("u-a", "ada"), ("u-a.", "dot")] {
        store.user(id, name, NEW_YEAR);
        store.order(&id.replace('u', "o"), id, "PLACED", NEW_YEAR);
    }
    let tables = &store.read_model;
    let found = store.block_on(tables.users(&user_ids(&["u-a", "u-A", "unknown"]))).unwrap();
    assert_eq!(sorted(of_users(&found)), ["u-A", "u-a"]);
    let name = |id: &str| found.iter().find(|user| user.user_id.as_str() == id).unwrap().name.to_string();
    assert_eq!([name("u-A"), name("u-a")], ["Ada", "ada"]);
    let found = store.block_on(tables.orders(&order_ids(&["o-A"]))).unwrap();
    assert_eq!(of_orders(&found), ["o-A"]);
    let found = store.block_on(tables.recent_orders(&user_ids(&["u-a"]), 5)).unwrap();
    assert_eq!(of_orders(&found), ["o-a"]);
}

pub(crate) fn orders_have_their_lines_and_payment_and_every_digit(store: &Store) {
    let item = |sku: &str, quantity, units| OrderItem {
        sku: Sku::parse(sku).unwrap(),
        quantity,
        unit_price: Amount::from_units(units).unwrap(),
    };
    let items = [item("s-2", 1_000_000_000, i64::MAX), item("s-1", 1, 1), item("s-2", 3, 12_500)];
    let last = millrace_domain::Timestamp::parse("9999-12-31T23:59:59.999999Z").unwrap();
    let first = millrace_domain::Timestamp::parse("0001-01-01T00:00:00Z").unwrap();
    store.order_of("o-1", "u", "PLACED", last.micros(), i64::MAX, &items);
    store.payment("o-1", i64::MAX, Some(("SETTLED", "p-1", NEW_YEAR + 1)));
    store.order_of("o-2", "u", "SHIPPED", first.micros(), 1, &items[1..2]);
    store.payment("o-2", 1, None);
    store.order("o-3", "u", "PLACED", NEW_YEAR);
    let mut found = store.block_on(store.read_model.orders(&order_ids(&["o-3", "o-1", "o-2"]))).unwrap();
    found.sort_by(|a, b| a.order_id.cmp(&b.order_id));
    assert_eq!(of_orders(&found), ["o-1", "o-2", "o-3"]);
    let (full, small, bare) = (&found[0], &found[1], &found[2]);
    assert_eq!((full.amount.units(), full.placed_at), (i64::MAX, last));
    let lines = full.items.lines().unwrap();
    let lines: Vec<_> =
        lines.iter().map(|line| (&*line.sku, line.quantity, line.unit_price.units())).collect();
    assert_eq!(lines, [("s-2", 1_000_000_000, i64::MAX), ("s-1", 1, 1), ("s-2", 3, 12_500)]);
    let payment = full.payment.as_ref().unwrap();
    assert_eq!((payment.status.as_str(), payment.amount.units()), ("SETTLED", i64::MAX));
    assert_eq!(payment.payment_id.as_ref().unwrap().as_str(), "p-1");
    assert_eq!((payment.method.as_deref(), payment.settled_at), (Some("card"), Some(time(NEW_YEAR + 1))));
    assert_eq!((small.amount.units(), small.placed_at, &*small.status), (1, first, "SHIPPED"));
    let payment = small.payment.as_ref().unwrap();
    assert_eq!((payment.status.as_str(), payment.payment_id.is_none()), ("PENDING", true));
    assert_eq!((payment.method.is_none(), payment.settled_at), (true, None));
    assert!(bare.payment.is_none() && bare.items.lines().unwrap().is_empty());
}

pub(crate) fn a_payment_before_its_order_and_an_order_before_its_user_are_no_error(store: &Store) {
    store.payment("o-1", 1, Some(("FAILED", "p-1", NEW_YEAR)));
    store.order("o-2", "unknown", "PLACED", NEW_YEAR);
    let found = store.block_on(store.read_model.orders(&order_ids(&["o-1", "o-2"]))).unwrap();
    assert_eq!(of_orders(&found), ["o-2"]);
    let found = store.block_on(store.read_model.recent_orders(&user_ids(&["unknown"]), 5)).unwrap();
    assert_eq!(of_orders(&found), ["o-2"]);
    assert!(
        store.block_on(store.read_model.user_with_orders(&user_ids(&["unknown"])[0], 5)).unwrap().is_none()
    );
}

/// Users `a` with seven orders, of which three were placed at the same time, `b` with one, `c` with none.
fn three_users(store: &Store) {
    for (user, at) in [("a", 1), ("b", 2), ("c", 2)] {
        store.user(user, "Ada", NEW_YEAR + at);
    }
    let placed = [("a-1", 1), ("a-2", 5), ("a-Z", 5), ("a-x", 5), ("a-3", 6), ("a-4", 7), ("a-0", 0)];
    for (order, at) in placed {
        let status = if at == 5 { "SHIPPED" } else { "PLACED" };
        store.order(order, "a", status, NEW_YEAR + at);
        store.payment(order, 10_000, None);
    }
    store.order("b-1", "b", "PLACED", NEW_YEAR + 5);
}

pub(crate) fn the_last_orders_of_each_user_come_newest_first(store: &Store) {
    three_users(store);
    let users = user_ids(&["c", "b", "a", "unknown"]);
    let found = store.block_on(store.read_model.recent_orders(&users, 4)).unwrap();
    // Of the same time the greater id, byte by byte.
    assert_eq!(of_user(&found, "a"), ["a-4", "a-3", "a-x", "a-Z"]);
    assert_eq!(of_user(&found, "b"), ["b-1"]);
    assert_eq!(found.len(), 5, "the limit applies to each user");
    assert!(found.iter().all(|order| order.payment.is_some() == (order.user_id.as_str() == "a")));
}

pub(crate) fn a_user_comes_with_the_last_orders(store: &Store) {
    three_users(store);
    let with_orders = |id: &str, limit| {
        store.block_on(store.read_model.user_with_orders(&user_ids(&[id])[0], limit)).unwrap()
    };
    let (user, orders) = with_orders("a", 5).unwrap();
    assert_eq!((user.user_id.as_str(), user.created_at), ("a", time(NEW_YEAR + 1)));
    assert_eq!(of_orders(&orders), ["a-4", "a-3", "a-x", "a-Z", "a-2"]);
    assert!(orders.iter().all(|order| order.user_id.as_str() == "a" && order.payment.is_some()));
    let (user, orders) = with_orders("c", 5).unwrap();
    assert_eq!((user.user_id.as_str(), orders.len()), ("c", 0));
    assert!(with_orders("A", 5).is_none());
}

pub(crate) fn the_users_created_last_come_first(store: &Store) {
    three_users(store);
    let found = store.block_on(store.read_model.recent_users(2)).unwrap();
    assert_eq!(of_users(&found), ["c", "b"]);
    let found = store.block_on(store.read_model.recent_users(100)).unwrap();
    assert_eq!(of_users(&found), ["c", "b", "a"]);
}

/// Ids whose order by bytes is not that of a language, some with the same time.
fn many() -> Vec<(i64, &'static str)> {
    let ids = ["a", "B", "b", "A", "_", "-", ".", "0", ":", "@", "a-", "aB", "Z", "z", "9", "10"];
    ids.into_iter().zip([0, 1, 1, 1, 7].into_iter().cycle()).map(|(id, at)| (NEW_YEAR + at, id)).collect()
}

/// Reads pages from one end and returns all rows.
fn walk(
    direction: Direction,
    size: u32,
    mut show: impl FnMut(&Page) -> Vec<(i64, String)>,
) -> Vec<(i64, String)> {
    let mut all: Vec<(i64, String)> = Vec::new();
    let mut page = Page::first(direction, size);
    loop {
        let shown = show(&page);
        assert!(shown.len() <= size as usize);
        let Some((micros, id)) = shown.last().cloned() else { return all };
        all.extend(shown);
        let key = Some(SortKey::new(time(micros), &id));
        match direction {
            Direction::NewestFirst => page.older_than = key,
            Direction::OldestFirst => page.newer_than = key,
        }
        assert!(all.len() < 1_000, "the list ends");
    }
}

fn assert_walks(show: impl Fn(&Page) -> Vec<(i64, String)>) {
    let mut expected: Vec<_> = many().into_iter().map(|(at, id)| (at, id.to_owned())).collect();
    expected.sort();
    for size in [1, 2, 3, 5, 100] {
        assert_eq!(walk(Direction::OldestFirst, size, &show), expected, "oldest first by {size}");
    }
    expected.reverse();
    for size in [1, 2, 3, 5, 100] {
        assert_eq!(walk(Direction::NewestFirst, size, &show), expected, "newest first by {size}");
    }
}

pub(crate) fn pages_of_users_return_each_once_from_either_end(store: &Store) {
    for (at, id) in many() {
        store.user(id, "Ada", at);
    }
    assert_walks(|page| {
        let users = store.block_on(store.read_model.users_page(page)).unwrap();
        users.iter().map(|user| (user.created_at.micros(), user.user_id.to_string())).collect()
    });
}

pub(crate) fn pages_of_orders_return_each_once_from_either_end(store: &Store) {
    for (at, id) in many() {
        store.order(id, "u", "PLACED", at);
        store.order(&format!("other{id}"), "v", "SHIPPED", at);
    }
    let placed = |order: &Order| (order.placed_at.micros(), order.order_id.to_string());
    let status = Some(&OrderStatus::PLACED);
    assert_walks(|page| {
        let orders = store.block_on(store.read_model.orders_page(status, page)).unwrap();
        orders.iter().map(placed).collect()
    });
    let users = user_ids(&["u"]);
    for status in [None, status] {
        assert_walks(|page| {
            let orders = store.block_on(store.read_model.orders_of_users(&users, status, page)).unwrap();
            orders.iter().map(placed).collect()
        });
    }
    let all = store.block_on(store.read_model.orders_page(None, &Page::first(Direction::OldestFirst, 500)));
    assert_eq!(all.unwrap().len(), 2 * many().len());
}

pub(crate) fn bounds_are_exclusive_and_narrow(store: &Store) {
    for (at, id) in [(0, "a"), (1, "a1"), (1, "b1"), (1, "c1"), (2, "a2"), (3, "a3")] {
        store.order(id, "u", "PLACED", NEW_YEAR + at);
    }
    let users = user_ids(&["u"]);
    let shown = |page: &Page| {
        let all = store.block_on(store.read_model.orders_page(None, page)).unwrap();
        let of_status =
            store.block_on(store.read_model.orders_page(Some(&OrderStatus::PLACED), page)).unwrap();
        let own = store.block_on(store.read_model.orders_of_users(&users, None, page)).unwrap();
        assert_eq!(of_orders(&all), of_orders(&of_status));
        assert_eq!(of_orders(&all), of_orders(&own));
        of_orders(&all).join(" ")
    };
    let oldest = Page::first(Direction::OldestFirst, 100);
    let newest = Page::first(Direction::NewestFirst, 100);
    let key = |at: i64, id: &str| SortKey::new(time(NEW_YEAR + at), id);
    let start = |at: i64| SortKey::start_of(time(NEW_YEAR + at));
    assert_eq!(shown(&oldest.clone().newer_than(key(1, "a1"))), "b1 c1 a2 a3");
    assert_eq!(shown(&oldest.clone().newer_than(key(1, "b"))), "b1 c1 a2 a3", "a key without a row");
    assert_eq!(shown(&newest.clone().older_than(key(1, "c1"))), "b1 a1 a");
    assert_eq!(shown(&newest.clone().newer_than(key(1, "a1")).older_than(key(3, "a3"))), "a2 c1 b1");
    // From a time, and before a time.
    assert_eq!(shown(&oldest.clone().newer_than(start(1))), "a1 b1 c1 a2 a3");
    assert_eq!(shown(&oldest.older_than(start(1))), "a");
    assert_eq!(shown(&newest.newer_than(key(2, "a2")).older_than(key(2, "a2"))), "");
}

pub(crate) fn a_status_is_a_filter_not_a_prefix(store: &Store) {
    for (id, status) in [("o-1", "PLACED"), ("o-2", "PLACED_AGAIN"), ("o-3", "PLACE"), ("o-4", "PLACED")] {
        store.order(id, "u", status, NEW_YEAR);
    }
    let page = Page::first(Direction::OldestFirst, 100);
    let of = |status: &str| {
        let status = OrderStatus::parse(status).unwrap();
        let all = store.block_on(store.read_model.orders_page(Some(&status), &page)).unwrap();
        of_orders(&all).join(" ")
    };
    assert_eq!([of("PLACED"), of("PLACE"), of("LOST")], ["o-1 o-4", "o-3", ""]);
}

pub(crate) fn each_user_gets_a_page_of_orders(store: &Store) {
    three_users(store);
    let users = user_ids(&["a", "b", "c"]);
    let read = |status: Option<&str>, page: &Page| {
        let status = status.map(|status| OrderStatus::parse(status).unwrap());
        store.block_on(store.read_model.orders_of_users(&users, status.as_ref(), page)).unwrap()
    };
    let found = read(None, &Page::first(Direction::NewestFirst, 3));
    assert_eq!((of_user(&found, "a"), of_user(&found, "b")), (vec!["a-4", "a-3", "a-x"], vec!["b-1"]));
    let found = read(None, &Page::first(Direction::OldestFirst, 3));
    assert_eq!((of_user(&found, "a"), of_user(&found, "b")), (vec!["a-0", "a-1", "a-2"], vec!["b-1"]));
    let found = read(Some("SHIPPED"), &Page::first(Direction::NewestFirst, 2));
    assert_eq!((of_user(&found, "a"), of_user(&found, "b")), (vec!["a-x", "a-Z"], vec![]));
}

pub(crate) fn stock_is_read_by_sku(store: &Store) {
    store.stock("s-1", i64::MAX, Some(-7));
    store.stock("s-2", -5, None);
    store.stock("S-1", 1, None);
    let skus = ["s-1", "s-2", "s-9"].map(|sku| Sku::parse(sku).unwrap());
    let mut found = store.block_on(store.read_model.inventory(&skus)).unwrap();
    found.sort_by(|a, b| a.sku.cmp(&b.sku));
    let found: Vec<_> =
        found.iter().map(|item| (item.sku.as_str(), item.quantity, item.reported_quantity)).collect();
    assert_eq!(found, [("s-1", i64::MAX, Some(-7)), ("s-2", -5, None)]);
}

pub(crate) fn every_checkpoint_is_read(store: &Store) {
    for (topic, partition, next) in [("events", 0, 7), ("events", 11, i64::MAX), ("other", 0, 1)] {
        store.checkpoint(topic, partition, next);
    }
    let found = store.block_on(store.read_model.checkpoints()).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found["events"][&0], found["events"][&11], found["other"][&0]), (7, i64::MAX, 1));
}
