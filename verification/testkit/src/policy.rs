//! Policies that differ from the one that is compiled in.

use fulfilment::{FulfilmentKind, Policy};

/// The policy that is compiled in, but for renewals, which are thanked for only where these kinds are sold.
pub fn with_renewals_thanked(kinds: &[FulfilmentKind]) -> Policy {
    let mut policy = Policy::compiled_in().unwrap();
    for kind in FulfilmentKind::ALL {
        policy.kind_mut(kind).thank_renewals = kinds.contains(&kind);
    }
    policy
}
