use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use raincheck_core::Tenant;

/// Whose file it is, its content, and the account that it goes to.
type Key = (Tenant, String, String);

/// Whose turn it is to upload a file. Holds no more than is being uploaded or waited for.
#[derive(Default)]
pub(super) struct Turns(Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// The turn of a file: whoever holds its lock uploads it.
    pub(super) fn of(&self, key: Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_shared_while_it_is_held_and_then_forgotten() {
        let turns = Turns::default();
        let key = |content: &str| ("voice".parse().unwrap(), content.to_owned(), "account".to_owned());
        let (one, same) = (turns.of(key("a")), turns.of(key("a")));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &turns.of(key("b"))));
        drop((one, same));
        turns.of(key("c"));
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
