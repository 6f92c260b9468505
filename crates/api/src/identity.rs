use std::sync::Arc;

use raincheck_core::{Tenant, Time};
use raincheck_store::{ApiKey, Scope};

/// Who sends a request, as the program knows that these routes are part of: whoever finds it in a request's extensions asks
/// for no API key. Nothing that comes over the network can put it there.
#[derive(Clone, Debug)]
pub struct Identity(pub(crate) Arc<ApiKey>);

impl Identity {
    /// Somebody who submits and reads the jobs of a tenant.
    #[must_use]
    pub fn of(tenant: Tenant) -> Self {
        Self::with_scopes(tenant, vec![Scope::Submit, Scope::Read])
    }

    /// Somebody who may do what a key with these scopes would allow.
    #[must_use]
    pub fn with_scopes(tenant: Tenant, scopes: Vec<Scope>) -> Self {
        // Ids of keys have no slash: nobody is taken for the owner of one.
        let id = format!("app/{}", tenant.as_str());
        Self(Arc::new(ApiKey { id, hash: [0; 32], tenant, scopes, created_at: Time::EPOCH, expires_at: None }))
    }
}
