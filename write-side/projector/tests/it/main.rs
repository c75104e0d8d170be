//! The projector's one integration test binary (each further one would link librdkafka and OpenSSL again).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

/// A contract over both stores, one test per behaviour and store: `projection::on_sqlite::the_newest_user_wins_by_time_then_id`.
macro_rules! contract_tests {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $behaviour() { super::contract::$behaviour(super::Store::sqlite()); })+
        }
        mod on_sql_server {
            $(#[test] fn $behaviour() {
                if let Some(store) = super::Store::mssql() {
                    super::contract::$behaviour(store);
                }
            })+
        }
    };
}

mod change_feed;
mod dead_letter;
mod defects;
mod http;
mod inbox;
mod kafka;
mod mirror;
mod mssql_peer;
mod oracle;
mod projection;
mod projector;
mod world;
