//! A row of an answer: columns are read by name, into types of ours, and nothing is converted on the way.

use tiberius::FromSql;
use tiberius::numeric::Numeric;

use super::MssqlError;
use millrace_domain::{Amount, Timestamp, amount};

/// A row that SQL Server gave.
#[derive(Debug)]
pub struct Row(tiberius::Row);

/// What a column can be read as.
pub trait Cell<'a>: Sized {
    /// The type that the driver has for it.
    type Raw: FromSql<'a>;
    /// `None` for a value that never was one of ours.
    fn of(raw: Self::Raw) -> Option<Self>;
}

macro_rules! as_it_is {
    ($($cell:ty),*) => {$(
        impl<'a> Cell<'a> for $cell {
            type Raw = Self;
            fn of(raw: Self) -> Option<Self> {
                Some(raw)
            }
        }
    )*};
}
// INT, BIGINT, NVARCHAR, VARBINARY.
as_it_is!(i32, i64, &'a str, &'a [u8]);

/// `DECIMAL(19,4)`, exactly.
impl Cell<'_> for Amount {
    type Raw = Numeric;
    fn of(number: Numeric) -> Option<Self> {
        let has_our_scale = u32::from(number.scale()) == amount::SCALE;
        has_our_scale.then(|| i64::try_from(number.value()).ok()).flatten().and_then(Self::from_units)
    }
}

/// `DATETIME2(6)`, which is UTC.
impl Cell<'_> for Timestamp {
    type Raw = chrono::NaiveDateTime;
    fn of(time: chrono::NaiveDateTime) -> Option<Self> {
        Self::from_micros(time.and_utc().timestamp_micros())
    }
}

impl Row {
    pub(super) fn new(row: tiberius::Row) -> Self {
        Self(row)
    }

    /// As the driver has it, for those who do not know the columns beforehand.
    pub fn into_driver(self) -> tiberius::Row {
        self.0
    }

    /// A column that always holds something.
    ///
    /// # Errors
    /// [`MssqlError::Driver`], which names the column, for NULL and for another type.
    pub fn get<'a, T: Cell<'a>>(&'a self, column: &'static str) -> Result<T, MssqlError> {
        self.maybe(column)?.ok_or_else(|| unreadable(column))
    }

    /// A column that may be NULL.
    ///
    /// # Errors
    /// [`MssqlError::Driver`], which names the column, for another type.
    pub fn maybe<'a, T: Cell<'a>>(&'a self, column: &'static str) -> Result<Option<T>, MssqlError> {
        match self.0.try_get::<T::Raw, _>(column).map_err(|_| unreadable(column))? {
            Some(raw) => T::of(raw).map(Some).ok_or_else(|| unreadable(column)),
            None => Ok(None),
        }
    }

    /// A text that always stands for something.
    ///
    /// # Errors
    /// [`MssqlError::Driver`], which names the column, for NULL, for another type, and for what cannot be parsed.
    pub fn parsed<T, E>(
        &self,
        column: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, MssqlError> {
        parse(self.get(column)?).map_err(|_| unreadable(column))
    }

    /// The first column, an `INT` that counts something.
    ///
    /// # Errors
    /// [`MssqlError::Driver`] for NULL, for another type, and for less than nothing.
    pub fn count(&self) -> Result<u64, MssqlError> {
        let count = self.0.try_get::<i32, _>(0).ok().flatten();
        let count = count.and_then(|count| u64::try_from(count).ok());
        count.ok_or_else(|| MssqlError::Driver("the first column is no count".to_owned()))
    }
}

fn unreadable(column: &'static str) -> MssqlError {
    MssqlError::Driver(format!("column {column} cannot be read"))
}
