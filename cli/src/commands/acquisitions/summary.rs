//! What each campaign brought.

use std::collections::BTreeMap;

use fulfilment::{AcquisitionEvent, AcquisitionKind, Cause, Currency, Money, PaymentId};
use serde::Serialize;

/// What a campaign brought in one currency. Amounts are decimal numbers; what went back is below zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CampaignSum {
    pub(super) campaign: String,
    pub(super) currency: String,
    pub(super) payments: u64,
    pub(super) gross: String,
    pub(super) refunded: String,
    pub(super) disputed: String,
    pub(super) net: String,
}

#[derive(Default)]
struct Minor {
    payments: u64,
    gross: i64,
    refunded: i64,
    disputed: i64,
}

/// A payment without a campaign.
const NONE: &str = "(none)";

/// Money that moved back or forth for a payment that was made before.
const EARLIER: &str = "(paid earlier)";

/// The sums of each campaign and currency, in their order. A payment with several codes counts for its first, as in the
/// analysts' queries.
pub(super) fn by_campaign(events: &[AcquisitionEvent]) -> Vec<CampaignSum> {
    let paid = events.iter().filter(|event| event.kind == AcquisitionKind::Acquisition);
    let campaigns: BTreeMap<&PaymentId, &str> = paid
        .map(|event| (&event.payment_id, event.campaign_codes.first().map_or(NONE, String::as_str)))
        .collect();
    let mut sums: BTreeMap<(&str, &str), Minor> = BTreeMap::new();
    for event in events {
        let campaign = campaigns.get(&event.payment_id).copied().unwrap_or(EARLIER);
        let sum = sums.entry((campaign, &event.currency)).or_default();
        let part = match event.cause {
            None => {
                sum.payments += 1;
                &mut sum.gross
            }
            Some(Cause::Refund) => &mut sum.refunded,
            Some(Cause::Dispute) => &mut sum.disputed,
        };
        *part = part.saturating_add(event.amount);
    }
    sums.into_iter().map(|((campaign, currency), sum)| written(campaign, currency, &sum)).collect()
}

fn written(campaign: &str, code: &str, sum: &Minor) -> CampaignSum {
    let currency = Currency::try_from(code.to_lowercase().as_str());
    let decimal = |minor: i64| {
        currency.map_or_else(|_| minor.to_string(), |currency| Money::new(minor, currency).decimal_text())
    };
    let Minor { payments, gross, refunded, disputed } = *sum;
    CampaignSum {
        campaign: campaign.to_owned(),
        currency: code.to_owned(),
        payments,
        gross: decimal(gross),
        refunded: decimal(refunded),
        disputed: decimal(disputed),
        net: decimal(gross.saturating_add(refunded).saturating_add(disputed)),
    }
}
