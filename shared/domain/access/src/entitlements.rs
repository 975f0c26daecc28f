use std::collections::BTreeMap;

use fulfilment::EntitlementName;
use serde::{Deserialize, Serialize};

use crate::{Given, Grant};

/// What a person may do: the sum of their grants, at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entitlements {
    /// By name. One whose time is over is not in it.
    pub entitlements: BTreeMap<EntitlementName, Entitlement>,
    /// The grants that it is made of, by their sources.
    pub sources: Vec<String>,
}

/// One thing that a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// So many; `None` where no number is meant.
    pub limit: Option<i64>,
    /// Until when, in Unix seconds; `None` for good. A reader compares it with the time.
    pub until: Option<i64>,
}

impl Entitlements {
    /// What grants give together at a time, in Unix seconds. Their order makes no difference.
    pub fn of<'a>(grants: impl IntoIterator<Item = &'a Grant>, now: i64) -> Self {
        let mut active: Vec<_> = grants.into_iter().filter(|grant| grant.is_active(now)).collect();
        active.sort_by(|one, two| one.source.cmp(&two.source));
        let mut together: BTreeMap<EntitlementName, (Given, Option<i64>)> = BTreeMap::new();
        for grant in &active {
            for (name, given) in &grant.entitlements {
                together
                    .entry(name.clone())
                    .and_modify(|(known, until)| {
                        *known = known.and(*given);
                        *until = later(*until, grant.until);
                    })
                    .or_insert((*given, grant.until));
            }
        }
        let entitlement = |(given, until): (Given, Option<i64>)| Entitlement { limit: given.limit, until };
        Self {
            entitlements: together.into_iter().map(|(name, it)| (name, entitlement(it))).collect(),
            sources: active.iter().map(|grant| grant.source.clone()).collect(),
        }
    }

    /// Until when the last of them holds, in Unix seconds: `Some(None)` for good, `None` where there is none.
    pub fn until(&self) -> Option<Option<i64>> {
        self.entitlements.values().map(|entitlement| entitlement.until).reduce(later)
    }

    /// When they must be looked at again, in Unix seconds: when the first grant of it runs out.
    pub fn changes_at<'a>(grants: impl IntoIterator<Item = &'a Grant>, now: i64) -> Option<i64> {
        grants.into_iter().filter(|grant| grant.is_active(now)).filter_map(|grant| grant.until).min()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entitlements.is_empty()
    }
}

/// The later of two ends; `None` never comes.
fn later(one: Option<i64>, two: Option<i64>) -> Option<i64> {
    one.zip(two).map(|(one, two)| one.max(two))
}
