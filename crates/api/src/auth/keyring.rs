use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raincheck_store::{ApiKey, Store, StoreError};
use tokio::time::Instant;

/// How long what the store said is believed: so long a revoked key may go on.
const BELIEVED: Duration = Duration::from_secs(5);
/// How many keys are remembered at most.
const REMEMBERED_MAX: usize = 10_000;

/// A short memory of API keys, so that a request costs no look into the store.
#[derive(Default)]
pub(crate) struct Keyring(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    keys: HashMap<String, (Instant, Option<Arc<ApiKey>>)>,
    is_empty: Option<(Instant, bool)>,
}

impl Keyring {
    /// The key with this public part, if there is one.
    pub(crate) async fn key(&self, store: &Arc<dyn Store>, id: &str) -> Result<Option<Arc<ApiKey>>, StoreError> {
        let now = Instant::now();
        if let Some((_, key)) = self.lock().keys.get(id).filter(|(at, _)| now.duration_since(*at) < BELIEVED) {
            return Ok(key.clone());
        }
        let key = store.key(id).await?.map(Arc::new);
        let mut remembered = self.lock();
        if remembered.keys.len() >= REMEMBERED_MAX {
            remembered.keys.retain(|_, (at, _)| now.duration_since(*at) < BELIEVED);
        }
        if remembered.keys.len() >= REMEMBERED_MAX {
            remembered.keys.clear();
        }
        remembered.keys.insert(id.to_owned(), (now, key.clone()));
        Ok(key)
    }

    /// Whether the store holds no key at all.
    pub(crate) async fn is_empty(&self, store: &Arc<dyn Store>) -> Result<bool, StoreError> {
        let now = Instant::now();
        if let Some((_, is_empty)) = self.lock().is_empty.filter(|(at, _)| now.duration_since(*at) < BELIEVED) {
            return Ok(is_empty);
        }
        let is_empty = store.keys().await?.is_empty();
        self.lock().is_empty = Some((now, is_empty));
        Ok(is_empty)
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
