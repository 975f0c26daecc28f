use fulfilment::{EntitlementName, utc};

use crate::{Entitlements, Grant, GrantState};

/// Why a person has what they have, a line each: `dapps 3 = sub_A 2 + sub_B 1, until 2026-12-31T00:00:00Z`; and what
/// gives them nothing.
pub fn explain(grants: &[Grant], now: i64) -> Vec<String> {
    let together = Entitlements::of(grants, now);
    let mut lines: Vec<_> = together
        .entitlements
        .iter()
        .map(|(name, entitlement)| {
            let parts: Vec<_> = grants
                .iter()
                .filter(|grant| grant.is_active(now))
                .filter_map(|grant| part(grant, name))
                .collect();
            let limit = entitlement.limit.map(|limit| format!(" {limit}")).unwrap_or_default();
            let until =
                entitlement.until.map_or_else(|| "for good".to_owned(), |at| format!("until {}", utc(at)));
            format!("{name}{limit} = {}, {until}", parts.join(" + "))
        })
        .collect();
    for grant in grants.iter().filter(|grant| !grant.is_active(now)) {
        let state = match grant.state {
            GrantState::Active => "is over",
            GrantState::Suspended => "is suspended",
            GrantState::Ended => "has ended",
        };
        lines.push(format!("{} gives nothing: it {state} ({})", grant.source, grant.reason.as_str()));
    }
    lines
}

fn part(grant: &Grant, name: &EntitlementName) -> Option<String> {
    let given = grant.entitlements.get(name)?;
    let source = &grant.source;
    Some(given.limit.map_or_else(|| source.clone(), |limit| format!("{source} {limit}")))
}
