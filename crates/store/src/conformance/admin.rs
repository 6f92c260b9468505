//! API keys, and the end.

use std::time::Duration;

use raincheck_core::Time;

use super::Backend;
use super::world::{START, World, new, spec};
use crate::{ApiKey, Scope, StoreError};

fn key(id: &str, created_at: Time) -> ApiKey {
    let scopes = vec![Scope::Submit, Scope::Read];
    ApiKey { id: id.into(), hash: [7; 32], tenant: spec().tenant, scopes, created_at, expires_at: None }
}

/// A key is refused from when it is revoked, or expires, whichever is first.
pub async fn keys_are_kept_found_and_revoked(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let later = START.after(Duration::from_secs(1));
    let (second, first) = (key("a", later), ApiKey { expires_at: Some(later), ..key("b", START) });
    world.store.add_key(second.clone()).await.unwrap();
    world.store.add_key(first.clone()).await.unwrap();
    assert_eq!(world.store.keys().await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(world.store.key("a").await.unwrap(), Some(second.clone()));
    assert_eq!(world.store.key("c").await.unwrap(), None);
    assert!(!world.store.revoke_key("c", START).await.unwrap());
    assert!(world.store.revoke_key("a", START).await.unwrap());
    assert!(world.store.revoke_key("b", later.after(Duration::from_secs(1))).await.unwrap());
    assert_eq!(world.store.key("a").await.unwrap().unwrap().expires_at, Some(START));
    assert_eq!(world.store.key("b").await.unwrap(), Some(first));
}

/// Nothing is done any more, and everybody is told so.
pub async fn a_closed_store_refuses_everything(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = world.submit(spec()).await.id;
    world.store.close().await.unwrap();
    assert_eq!(world.store.accept(vec![new(spec())], world.now).await, Err(StoreError::Stopped));
    assert_eq!(world.store.get(job, None).await, Err(StoreError::Stopped));
    assert_eq!(world.store.sweep(1, world.now).await, Err(StoreError::Stopped));
    assert_eq!(world.store.keys().await, Err(StoreError::Stopped));
    world.store.close().await.unwrap();
}
