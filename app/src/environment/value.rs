//! A value with the name of its variable, for error messages.

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub text: String,
    /// The variable that holds it, or several such as `REDIS_HOST and REDIS_PORT`.
    pub variable: String,
}

impl Value {
    pub(super) fn new(text: impl Into<String>, variables: &[&str]) -> Self {
        Self { text: text.into(), variable: variables.join(" and ") }
    }
}
