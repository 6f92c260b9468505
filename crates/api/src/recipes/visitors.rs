use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many addresses are remembered. Where more come within a minute, those that came longest ago are let in anew.
const ADDRESSES_MAX: usize = 100_000;
/// Over how long requests are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// From where a connection comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// How often each address has come to each recipe of late.
#[derive(Debug, Default)]
pub(crate) struct Visitors(Mutex<BTreeMap<(IpAddr, String), Visits>>);

/// A bucket that fills evenly over a minute.
#[derive(Clone, Copy, Debug)]
struct Visits {
    left: f64,
    at: Instant,
}

impl Visitors {
    /// Lets a request of an address in; or says when the next will be.
    pub(super) fn enter(&self, from: IpAddr, recipe: &str, per_minute: u32, now: Instant) -> Result<(), Duration> {
        let most = f64::from(per_minute);
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if visits.len() >= ADDRESSES_MAX {
            visits.retain(|_, visit| now.duration_since(visit.at) < WINDOW);
            if visits.len() >= ADDRESSES_MAX {
                visits.clear();
            }
        }
        let visit = visits.entry((network(from), recipe.to_owned())).or_insert(Visits { left: most, at: now });
        let since = now.duration_since(visit.at).as_secs_f64() / WINDOW.as_secs_f64();
        *visit = Visits { left: (visit.left + since * most).min(most), at: now };
        if visit.left < 1.0 {
            return Err(WINDOW.mul_f64((1.0 - visit.left) / most));
        }
        visit.left -= 1.0;
        Ok(())
    }
}

/// One visitor of IPv6 has as many addresses as they like, within their network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 64)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_a_minute_and_others_have_theirs() {
        let (visitors, begun) = (Visitors::default(), Instant::now());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..20 {
            assert_eq!(visitors.enter(one, "landing", 20, begun), Ok(()));
        }
        let wait = visitors.enter(one, "landing", 20, begun).unwrap_err();
        assert!(wait > Duration::from_millis(2_900) && wait <= Duration::from_secs(3), "{wait:?}");
        assert_eq!(visitors.enter(one, "landing", 20, begun + Duration::from_secs(3)), Ok(()));
        assert_eq!(visitors.enter(one, "other", 20, begun), Ok(()));
        assert_eq!(visitors.enter("192.0.2.2".parse().unwrap(), "landing", 20, begun), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_visitor() {
        let (visitors, now) = (Visitors::default(), Instant::now());
        assert_eq!(visitors.enter("2001:db8::1".parse().unwrap(), "landing", 1, now), Ok(()));
        assert!(visitors.enter("2001:db8::ffff:2".parse().unwrap(), "landing", 1, now).is_err());
        assert_eq!(visitors.enter("2001:db8:0:1::1".parse().unwrap(), "landing", 1, now), Ok(()));
    }
}
