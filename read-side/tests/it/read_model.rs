//! The contract of the read model's port, on SQLite and, if `MSSQL_TEST_URL` is set, on SQL Server.

mod contract;
mod fixture;

use fixture::Store;

/// One test for each behaviour and store: `read_model::on_sqlite::ids_that_differ_in_case_are_two`.
macro_rules! contract_tests {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $behaviour() { super::contract::$behaviour(&super::Store::sqlite()); })+
        }
        mod on_sql_server {
            $(#[test] fn $behaviour() {
                if let Some(store) = super::Store::mssql() {
                    super::contract::$behaviour(&store);
                }
            })+
        }
    };
}

contract_tests![
    an_empty_database_has_no_rows,
    ids_that_differ_in_case_are_two,
    orders_have_their_lines_and_payment_and_every_digit,
    a_payment_before_its_order_and_an_order_before_its_user_are_no_error,
    the_last_orders_of_each_user_come_newest_first,
    a_user_comes_with_the_last_orders,
    the_users_created_last_come_first,
    pages_of_users_return_each_once_from_either_end,
    pages_of_orders_return_each_once_from_either_end,
    bounds_are_exclusive_and_narrow,
    a_status_is_a_filter_not_a_prefix,
    each_user_gets_a_page_of_orders,
    stock_is_read_by_sku,
    every_checkpoint_is_read,
];
