//! Which open letters: the one form that the command line, the HTTP routes and the stores share.

use clap::Args;
use millrace_domain::Timestamp;
use millrace_platform::settings::InvalidSetting;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which open letters. An absent condition matches every letter, so the default matches all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LetterFilter {
    /// Of this event type; '' for letters of unknown type
    #[arg(long = "type", value_name = "TYPE")]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,

    /// With this reason
    #[arg(long, value_name = "REASON")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,

    /// Of this event
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,

    /// Dead since this time, such as 2026-11-21T07:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,

    /// Dead before this time
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
}

impl LetterFilter {
    /// Letters of this event.
    pub fn of_event(event_id: &str) -> Self {
        Self { event_id: Some(event_id.to_owned()), ..Self::default() }
    }

    /// Whether it matches every letter.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The same, without letters that die from `now` on. A loop that redrives what it finds would otherwise meet the
    /// letters that come back, and never end.
    #[must_use]
    pub fn until(mut self, now: Timestamp) -> Self {
        self.to = Some(self.to.map_or(now, |to| to.min(now)));
        self
    }
}

fn timestamp(text: &str) -> Result<Timestamp, InvalidSetting> {
    Timestamp::parse(text).map_err(|error| InvalidSetting(error.to_string()))
}
