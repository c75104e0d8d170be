//! Simulated events of users, orders, payments and inventory, for `produce`, the sample shop and benchmarks. The ids differ
//! from those of the sample shop.

use std::collections::VecDeque;

use millrace_domain::event::{
    Event, InventoryAdjusted, OrderItem, OrderPlaced, PaymentSettled, PaymentStatus, UserCreated,
};
use millrace_domain::id::{OrderId, PaymentId, Sku, UserId};
use millrace_domain::text::{Currency, Name, OrderStatus, Text};
use millrace_domain::{Amount, Envelope, Timestamp};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Users that place orders; older ones are forgotten.
const USERS_MAX: usize = 20_000;
/// Orders without a payment that are remembered.
const UNPAID_MAX: usize = 1_000;
const SKUS: u32 = 1_000;
const FIRST_NAMES: [&str; 8] = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Tony", "Radia"];
const LAST_NAMES: [&str; 8] =
    ["Lovelace", "Hopper", "Dijkstra", "Liskov", "Knuth", "Allen", "Hoare", "Perlman"];

/// Generates about 10 % users, 40 % orders, 35 % payments and 15 % inventory adjustments.
#[derive(Debug)]
pub struct Simulator {
    random: SmallRng,
    users: VecDeque<UserId>,
    unpaid: VecDeque<(OrderId, Amount)>,
}

impl Simulator {
    /// The seed determines everything but ids and times.
    pub fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), users: VecDeque::new(), unpaid: VecDeque::new() }
    }

    /// The next event, with the current time.
    pub fn next_event(&mut self) -> Envelope {
        let now = Timestamp::now();
        let event = match self.random.random_range(0..100) {
            _ if self.users.is_empty() => Event::UserCreated(self.user()),
            0..10 => Event::UserCreated(self.user()),
            10..50 => Event::OrderPlaced(self.order(now)),
            50..85 => match self.unpaid.pop_front() {
                Some((order_id, amount)) => Event::PaymentSettled(self.payment(order_id, amount, now)),
                None => Event::OrderPlaced(self.order(now)),
            },
            _ => Event::InventoryAdjusted(self.adjustment()),
        };
        Envelope::new(event, now, None)
    }

    fn user(&mut self) -> UserCreated {
        let user_id = UserId::generate();
        if self.users.len() == USERS_MAX {
            self.users.pop_front();
        }
        self.users.push_back(user_id.clone());
        let first = FIRST_NAMES[self.random.random_range(0..FIRST_NAMES.len())];
        let last = LAST_NAMES[self.random.random_range(0..LAST_NAMES.len())];
        UserCreated {
            user_id,
            email: Text::parse_address(&format!("{first}.{last}@example.com")).expect("an address"),
            name: Name::parse(&format!("{first} {last}")).expect("a name"),
        }
    }

    fn order(&mut self, now: Timestamp) -> OrderPlaced {
        let user = self.random.random_range(0..self.users.len());
        let quantity = self.random.random_range(1..4);
        let unit_price = Amount::from_units(self.random.random_range(99..50_000) * 100).expect("above zero");
        let amount = unit_price.times(quantity).expect("a few hundred");
        let order_id = OrderId::generate();
        if self.unpaid.len() < UNPAID_MAX {
            self.unpaid.push_back((order_id.clone(), amount));
        }
        OrderPlaced {
            order_id,
            user_id: self.users[user].clone(),
            amount,
            currency: Currency::USD,
            status: OrderStatus::PLACED,
            placed_at: now,
            items: vec![OrderItem { sku: self.sku(), quantity, unit_price }],
        }
    }

    fn payment(&mut self, order_id: OrderId, amount: Amount, now: Timestamp) -> PaymentSettled {
        let failed = self.random.random_ratio(1, 20);
        PaymentSettled {
            payment_id: PaymentId::generate(),
            order_id,
            amount,
            currency: Currency::USD,
            method: Some(Text::parse("credit_card").expect("a method")),
            status: if failed { PaymentStatus::Failed } else { PaymentStatus::Settled },
            settled_at: now,
        }
    }

    fn adjustment(&mut self) -> InventoryAdjusted {
        InventoryAdjusted {
            sku: self.sku(),
            delta: self.random.random_range(-5..=10),
            reason: Some(Text::parse("simulated").expect("a reason")),
            reported_quantity: None,
        }
    }

    fn sku(&mut self) -> Sku {
        Sku::parse(&format!("SKU-{:04}", self.random.random_range(0..SKUS))).expect("an id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_types_are_generated_in_their_shares() {
        let mut simulator = Simulator::new(7);
        let mut counts = [0_usize; 4];
        for _ in 0..10_000 {
            counts[simulator.next_event().event.event_type() as usize] += 1;
        }
        assert!(counts.iter().all(|count| *count > 800), "{counts:?}");
        assert!(counts[1] > counts[2] && counts[2] > counts[3], "{counts:?}");
    }
}
