use std::time::Duration;

use raincheck_core::{Tenant, Time};
use raincheck_recipes::Scope;

use crate::api::Api;

/// A scope in which files of the tenant have addresses.
pub(super) fn to(api: &Api, tenant: &Tenant) -> Scope {
    let Some(links) = api.settings.links.clone() else { return Scope::default() };
    let (tenant, now, path) = (tenant.clone(), api.engine.clock().now(), api.settings.path.clone());
    Scope::default().with_links(Box::new(move |file, life| {
        let file = file.parse().ok()?;
        Some(format!("{path}{}", links.sign(&tenant, &file, expiry(now, life))))
    }))
}

/// When a link expires that is to be good for so long at least. Whoever asks again a little later is given the same address, so
/// that a browser need not fetch the picture again.
fn expiry(now: Time, life: Duration) -> Time {
    let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX).max(1);
    Time::from_millis((now.as_millis().div_euclid(life) + 2).saturating_mul(life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_the_same_for_a_while_and_is_good_long_enough() {
        let life = Duration::from_secs(3_600);
        let at = |seconds: i64| expiry(Time::from_millis(1_800_000_000_000 + seconds * 1_000), life).as_millis();
        assert_eq!(at(0), at(3_599));
        assert_eq!(at(3_600) - at(0), 3_600_000);
        for seconds in [0, 1, 3_599, 3_600] {
            let left = at(seconds) - (1_800_000_000_000 + seconds * 1_000);
            assert!((3_600_000..=7_200_000).contains(&left), "{left}");
        }
    }
}
