//! Custom scalars: exact decimals, times, integers of 64 bits. They are newtypes because the inner types belong to another
//! crate.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use millrace_domain::{Amount, Timestamp};

pub(super) struct Decimal(pub(super) Amount);

pub(super) struct DateTime(pub(super) Timestamp);

pub(super) struct Long(pub(super) i64);

/// An exact decimal number, as a string: "149.99".
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Amount::parse(text).map(Self).map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A point in time in UTC by RFC 3339, with microseconds: "2026-11-21T07:00:00.500Z".
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Timestamp::parse(text).map(Self).map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An integer of 64 bits, as a JSON number. Int has only 32 bits.
#[Scalar]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number
                .as_i64()
                .map(Self)
                .ok_or_else(|| InputValueError::custom("must be an integer of 64 bits")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}
