//! Which subscriptions are the same, and who listens to each. Nothing that is read depends on who asks (there is one
//! set of tokens, and all of them may read everything), so that one answer serves all.
//!
//! A stream is in the list for as long as somebody may join it; who looks there and finds none begins it.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::{Receiver, Sender};

use super::Asked;
use super::documents::Document;
use super::live::Said;

/// A subscription but for who has it. The same when document, operation and variables are.
#[derive(Clone)]
pub(super) struct Same {
    pub(super) document: Arc<Document>,
    pub(super) asked: Arc<Asked>,
    /// The variables by name, as JSON.
    variables: Arc<str>,
}

impl Same {
    pub(super) fn of(document: Arc<Document>, asked: Asked) -> Self {
        let variables = serde_json::to_string(&asked.variables).expect("variables came as JSON");
        Self { document, asked: Arc::new(asked), variables: variables.into() }
    }
}

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.document, &other.document)
            && self.asked.operation_name == other.asked.operation_name
            && self.variables == other.variables
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.document).hash(state);
        self.asked.operation_name.hash(state);
        self.variables.hash(state);
    }
}

/// All streams that may be joined.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<Same, Sender<Said>>>);

impl Streams {
    /// Listens to a stream that has begun.
    pub(super) fn join(&self, same: &Same) -> Option<Receiver<Said>> {
        self.all().get(same).map(Sender::subscribe)
    }

    /// The same for one that perhaps has not. Who gets its other end has to speak.
    pub(super) fn begin(&self, same: &Same, waiting_max: usize) -> (Receiver<Said>, Option<Sender<Said>>) {
        let mut all = self.all();
        if let Some(begun) = all.get(same) {
            return (begun.subscribe(), None);
        }
        let speaker = Sender::new(waiting_max);
        let said = speaker.subscribe();
        all.insert(same.clone(), speaker.clone());
        (said, Some(speaker))
    }

    /// Ends a stream unless somebody has joined it meanwhile; `false` when somebody has.
    pub(super) fn end_unheard(&self, same: &Same, speaker: &Sender<Said>) -> bool {
        let mut all = self.all();
        let unheard = speaker.receiver_count() == 0;
        if unheard {
            all.remove(same);
        }
        unheard
    }

    /// Nobody joins it any more; what is said to those who have is heard still.
    pub(super) fn end(&self, same: &Same) {
        self.all().remove(same);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Same, Sender<Said>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Variables;
    use serde_json::json;

    use super::super::documents::Documents;
    use super::super::guard::Limits;
    use super::*;
    use crate::config::GraphqlConfig;

    #[test]
    fn what_is_the_same_is_spoken_once_and_ends_with_its_last_listener() {
        let documents = Documents::new(Limits::of(&GraphqlConfig::default()), None);
        let same = |text: &str, variables: serde_json::Value| {
            let variables = Variables::from_json(variables);
            Same::of(documents.find(Some(text), None).unwrap(), Asked { variables, ..Asked::default() })
        };
        let streams = Streams::default();
        let first = same("{ a }", json!({"x": 1, "y": [2]}));
        assert!(streams.join(&first).is_none());
        let (said, speaker) = streams.begin(&first, 1);
        let speaker = speaker.unwrap();
        let again = same("{ a }", json!({"y": [2], "x": 1}));
        let (also_said, nobody) = streams.begin(&again, 1);
        assert!(nobody.is_none() && streams.join(&again).is_some());
        for other in [same("{ a }", json!({"x": 2})), same("{ b }", json!({"x": 1, "y": [2]}))] {
            assert!(streams.join(&other).is_none());
        }
        drop(said);
        assert!(!streams.end_unheard(&first, &speaker), "one listens still");
        drop(also_said);
        assert!(streams.end_unheard(&first, &speaker));
        assert!(streams.join(&first).is_none());
    }
}
