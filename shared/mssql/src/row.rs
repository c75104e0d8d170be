//! A row of a result. Columns are read by name into domain types, without conversions between SQL types.

use millrace_domain::{Amount, Timestamp, amount};
use tiberius::FromSql;
use tiberius::numeric::Numeric;

use crate::error::MssqlError;

#[derive(Debug)]
pub struct Row(tiberius::Row);

/// A type that a column can be read as.
pub trait Cell<'a>: Sized {
    /// The type in the driver.
    type Raw: FromSql<'a>;
    /// `None` for a value out of range.
    fn from_raw(raw: Self::Raw) -> Option<Self>;
}

macro_rules! unconverted {
    ($($cell:ty),*) => {$(
        impl<'a> Cell<'a> for $cell {
            type Raw = Self;
            fn from_raw(raw: Self) -> Option<Self> {
                Some(raw)
            }
        }
    )*};
}
// INT, BIGINT, NVARCHAR, VARBINARY.
unconverted!(i32, i64, &'a str, &'a [u8]);

/// `DECIMAL(19,4)`.
impl Cell<'_> for Amount {
    type Raw = Numeric;
    fn from_raw(number: Numeric) -> Option<Self> {
        let has_scale = u32::from(number.scale()) == amount::SCALE;
        has_scale.then(|| i64::try_from(number.value()).ok()).flatten().and_then(Self::from_units)
    }
}

/// `DATETIME2(6)` in UTC.
impl Cell<'_> for Timestamp {
    type Raw = chrono::NaiveDateTime;
    fn from_raw(time: chrono::NaiveDateTime) -> Option<Self> {
        Self::from_micros(time.and_utc().timestamp_micros())
    }
}

impl Row {
    pub(super) fn new(row: tiberius::Row) -> Self {
        Self(row)
    }

    /// The row of the driver, for callers that do not know the columns.
    pub fn into_driver(self) -> tiberius::Row {
        self.0
    }

    /// A column that is not NULL.
    ///
    /// # Errors
    /// [`MssqlError::Driver`] with the name of the column, for NULL or another type.
    pub fn get<'a, T: Cell<'a>>(&'a self, column: &'static str) -> Result<T, MssqlError> {
        self.optional(column)?.ok_or_else(|| read_error(column))
    }

    /// A column that can be NULL.
    ///
    /// # Errors
    /// [`MssqlError::Driver`] with the name of the column, for another type.
    pub fn optional<'a, T: Cell<'a>>(&'a self, column: &'static str) -> Result<Option<T>, MssqlError> {
        match self.0.try_get::<T::Raw, _>(column).map_err(|_| read_error(column))? {
            Some(raw) => T::from_raw(raw).map(Some).ok_or_else(|| read_error(column)),
            None => Ok(None),
        }
    }

    /// A text column that is not NULL, parsed.
    ///
    /// # Errors
    /// [`MssqlError::Driver`] with the name of the column, for NULL, another type, or a text that `parse` refuses.
    pub fn parsed<T, E>(
        &self,
        column: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, MssqlError> {
        parse(self.get(column)?).map_err(|_| read_error(column))
    }

    /// The first column: an `INT` of 0 or more.
    ///
    /// # Errors
    /// [`MssqlError::Driver`] for NULL, another type, or a negative number.
    pub fn count(&self) -> Result<u64, MssqlError> {
        let count = self.0.try_get::<i32, _>(0).ok().flatten();
        let count = count.and_then(|count| u64::try_from(count).ok());
        count.ok_or_else(|| MssqlError::Driver("the first column is not a count".to_owned()))
    }
}

fn read_error(column: &'static str) -> MssqlError {
    MssqlError::Driver(format!("failed to read column {column}"))
}
