//! The contract of the dead letters' port, over SQLite always and over a live SQL Server when `MSSQL_TEST_URL` names one.

mod contract;
mod fixture;

use fixture::Store;

contract_tests![
    letters_come_back_whole,
    a_record_dies_once,
    pages_come_newest_first_and_meet,
    a_page_ends_with_the_letter_that_fills_it,
    filters_choose_by_every_field,
    letters_are_grouped_by_cause,
    a_letter_is_closed_once,
    discarding_begins_with_the_oldest,
    the_mirror_gets_what_to_push_and_what_to_remove,
    a_note_about_another_filling_is_refused,
];
