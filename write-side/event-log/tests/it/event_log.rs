//! The event log's contract, run over every adapter, and what each adapter promises beyond it.
//!
//! Real Kafka takes part when `KAFKA_TEST_BROKERS` names it (`host:port,…`); each test makes a topic of its own.

mod contract;
mod embedded;
mod fixture;
mod kafka;
mod kafka_group;

/// One test per behaviour and adapter: `event_log::kafka_mock::reads_back_what_was_appended`.
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
    reads_back_what_was_appended,
    a_key_keeps_its_partition,
    takes_a_record_of_one_mebibyte,
    reads_from_the_middle,
    respects_both_limits_without_loss,
    wakes_when_something_is_appended,
    an_empty_log_gives_an_empty_batch,
    starting_again_reads_again,
    a_position_beyond_the_end_is_fatal,
    concurrent_appends_get_places_of_their_own,
    lag_counts_down_to_zero,
    idling_loses_nothing,
    answers_a_ping,
];
