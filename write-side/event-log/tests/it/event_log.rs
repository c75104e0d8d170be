//! The contract of the event log, run on every adapter, and the tests of each adapter.
//!
//! With `KAFKA_TEST_BROKERS` (`host:port,…`) the contract runs on a real Kafka as well; each test creates a topic.

mod contract;
mod embedded;
mod fixture;
mod kafka;
mod kafka_group;

/// One test for each behaviour and adapter, for example `event_log::on_kafka_mock::reads_back_appended_records`.
macro_rules! contract_tests {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_embedded {
            $(#[test] fn $behaviour() { super::contract::$behaviour(&super::fixture::embedded()); })+
        }
        mod on_kafka_mock {
            $(#[test] fn $behaviour() { super::contract::$behaviour(&super::fixture::kafka_mock()); })+
        }
        mod on_kafka {
            $(#[test] fn $behaviour() {
                if let Some(fixture) = super::fixture::kafka() {
                    super::contract::$behaviour(&fixture);
                }
            })+
        }
    };
}

contract_tests![
    the_first_poll_assigns_every_partition,
    reads_back_appended_records,
    a_key_keeps_its_partition,
    takes_a_record_of_one_mebibyte,
    reads_from_the_middle,
    respects_both_limits_without_loss,
    wakes_when_something_is_appended,
    an_empty_log_returns_an_empty_batch,
    starting_again_reads_again,
    a_position_beyond_the_end_is_fatal,
    concurrent_appends_get_distinct_positions,
    lag_counts_down_to_zero,
    idling_loses_no_record,
    answers_a_ping,
];
