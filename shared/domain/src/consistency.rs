//! The consistency token: the positions of a write. A read that sends the token waits until they are projected. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::record::Position;

/// Response header of a write, and request header of a read.
pub const HEADER: &str = "consistency-token";
/// Maximum number of positions in a token: one for each partition that a log can have.
pub const POSITIONS_MAX: usize = 1024;
/// Longest name of a topic in Kafka.
const TOPIC_BYTES_MAX: usize = 249;

/// Written as `topic:partition:offset`; several positions are separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyToken(Vec<(Box<str>, Position)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    #[error("expected a Consistency-Token as topic:partition:offset; separate several with commas")]
    Form,
    #[error("the Consistency-Token has too many positions; at most {POSITIONS_MAX} are allowed")]
    TooMany,
}

impl ConsistencyToken {
    /// The token of a write: the newest position of each partition. It covers the older ones.
    pub fn of(topic: &str, positions: &[Position]) -> Self {
        let mut newest = BTreeMap::new();
        for Position { partition, offset } in positions {
            let latest = newest.entry(*partition).or_insert(*offset);
            *latest = (*latest).max(*offset);
        }
        let positions = newest.into_iter().map(|(partition, offset)| Position { partition, offset });
        Self(positions.map(|position| (topic.into(), position)).collect())
    }

    /// Topic and position of each record that must have been projected.
    pub fn positions(&self) -> impl Iterator<Item = (&str, Position)> {
        self.0.iter().map(|(topic, position)| (&**topic, *position))
    }
}

impl FromStr for ConsistencyToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if text.split(',').nth(POSITIONS_MAX).is_some() {
            return Err(InvalidToken::TooMany);
        }
        text.split(',').map(|one| parse_one(one.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_one(text: &str) -> Result<(Box<str>, Position), InvalidToken> {
    let (topic, position) = text.split_once(':').ok_or(InvalidToken::Form)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || !topic.bytes().all(allowed) {
        return Err(InvalidToken::Form);
    }
    let position = position.parse().map_err(|_| InvalidToken::Form)?;
    Ok((topic.into(), position))
}

impl fmt::Display for ConsistencyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (topic, position)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{topic}:{position}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_through_text() {
        for text in ["events:0:0", "a.b-c_D:1023:9223372036854775807", "events:1:2,events:3:4,other:0:7"] {
            assert_eq!(text.parse::<ConsistencyToken>().unwrap().to_string(), text);
        }
        let spaced: ConsistencyToken = " events:1:2 , events:3:4".parse().unwrap();
        assert_eq!(spaced.to_string(), "events:1:2,events:3:4");
    }

    #[test]
    fn a_token_has_the_newest_position_of_each_partition() {
        let at = |partition, offset| Position { partition, offset };
        let token = ConsistencyToken::of("events", &[at(3, 7), at(0, 1), at(3, 9), at(3, 8)]);
        assert_eq!(token.to_string(), "events:0:1,events:3:9");
    }

    #[test]
    fn invalid_tokens_are_refused() {
        let long = format!("{}:1:1", "t".repeat(TOPIC_BYTES_MAX + 1));
        for text in [
            "",
            ",",
            "events",
            "events:1",
            "events:-1:0",
            "events:0:-1",
            ":1:1",
            "e v:1:1",
            "events:1:1,",
            &long,
        ] {
            assert_eq!(text.parse::<ConsistencyToken>(), Err(InvalidToken::Form), "{text}");
        }
        for text in ["events:2147483648:0", "events:0:9223372036854775808", "events:0x1:0", "events:1:1:1"] {
            assert_eq!(text.parse::<ConsistencyToken>(), Err(InvalidToken::Form), "{text}");
        }
        let many = vec!["t:1:1"; POSITIONS_MAX].join(",");
        assert!(many.parse::<ConsistencyToken>().is_ok());
        assert_eq!(format!("{many},t:1:1").parse::<ConsistencyToken>(), Err(InvalidToken::TooMany));
    }
}
