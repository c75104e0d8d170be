//! The parameters of a statement.

use tiberius::{ColumnData, IntoSql};

/// A value for `@P1`, `@P2`, …
///
/// There are few types on purpose: the server compiles a plan for each combination of types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// `NVARCHAR`.
    Text(String),
    /// `NVARCHAR` or NULL.
    OptionalText(Option<String>),
    /// `VARBINARY`.
    Bytes(Vec<u8>),
    /// `INT`.
    Int(i32),
    /// `BIGINT`.
    BigInt(i64),
}

impl IntoSql<'static> for Param {
    fn into_sql(self) -> ColumnData<'static> {
        match self {
            Self::Text(text) => text.into_sql(),
            Self::OptionalText(text) => text.into_sql(),
            Self::Bytes(bytes) => bytes.into_sql(),
            Self::Int(number) => number.into_sql(),
            Self::BigInt(number) => number.into_sql(),
        }
    }
}
