use effect_ledger::{EffectRow, EffectState};
use fulfilment::{Currency, Money, PaymentId, effects};

/// The reference of a `lookup` that found nothing.
pub const NOTHING_FOUND: &str = "none";

/// The reference of a `lookup` of a payment intent that came to nothing before its session showed that it is the key.
pub const NOT_NEEDED: &str = "not_needed";

/// Whether any of a payment's rows shows that the payment is ours.
pub fn is_ours(rows: &[EffectRow]) -> bool {
    rows.iter().any(|row| effects::is_of_our_payment(&row.effect))
}

/// Whether any of a payment's rows shows that the payment is ours and filed under this key.
///
/// A skipped term does not: of a first payment that version 0.1.0 filed under its session, the invoice has that row and
/// nothing else.
pub fn is_filed(rows: &[EffectRow]) -> bool {
    let is_skipped = |row: &EffectRow| matches!(row.state, EffectState::Skipped { .. });
    let files = |row: &EffectRow| row.effect != effects::contribution_term() || !is_skipped(row);
    rows.iter().any(|row| effects::is_of_our_payment(&row.effect) && files(row))
}

/// The invoice that a payment intent leads to, from the rows under the payment intent: the key of everything about the
/// payment. The session where version 0.1.0 filed a subscription's first payment. `None` when it leads to none, or when
/// Stripe has not been asked yet.
pub fn alias(rows: &[EffectRow]) -> Option<PaymentId> {
    let reply = lookup(rows)?.reference.as_ref()?;
    (reply.starts_with("in_") || reply.starts_with("cs_")).then(|| PaymentId::new(reply))
}

/// Whether a subscription is ours, from the rows under `sub_…`: the contract of its session, else Stripe's reply. `None`
/// when neither is there.
pub fn subscription_is_ours(rows: &[EffectRow]) -> Option<bool> {
    let has_contract =
        rows.iter().any(|row| row.effect == effects::contract() && row.state == EffectState::Done);
    if has_contract {
        return Some(true);
    }
    Some(lookup(rows)?.reference.as_deref().is_some_and(|reply| reply != NOTHING_FOUND))
}

/// Whether Stripe was asked which invoice a payment intent leads to, from the rows under the payment intent.
pub fn is_looked_up(rows: &[EffectRow]) -> bool {
    lookup(rows).is_some()
}

fn lookup(rows: &[EffectRow]) -> Option<&EffectRow> {
    rows.iter().find(|row| row.effect == effects::lookup() && row.state == EffectState::Done)
}

/// The refunded amount of a payment, from all its rows, in minor units of `currency`.
pub fn refunded(rows: &[EffectRow], currency: Currency) -> i64 {
    rows.iter()
        .filter(|row| row.state == EffectState::Done && effects::is_contribution_refund(&row.effect))
        .filter_map(|row| row.moved.as_ref())
        .filter(|moved| moved.amount.currency() == currency)
        .fold(0, |sum: i64, moved| sum.saturating_add(moved.amount.minor()))
}

/// Whether all of a payment was refunded, from all its rows. A payment of nothing never is.
pub fn is_refunded(rows: &[EffectRow], amount: Money) -> bool {
    let refunded = refunded(rows, amount.currency());
    refunded > 0 && refunded >= amount.minor()
}

#[cfg(test)]
mod tests {
    use effect_ledger::{Effect, MovedMoney};

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::try_from(code).unwrap()
    }

    #[test]
    fn adds_up_the_refunds() {
        let row = |effect: Effect, state, moved| EffectRow { moved, ..EffectRow::new(effect, state) };
        let money =
            |minor, code| Some(MovedMoney { amount: Money::new(minor, currency(code)), occurred_at: 1 });
        let done = |id, moved| row(effects::contribution_refund(id), EffectState::Done, moved);
        let parked = EffectState::Parked { reason: "no_amount".to_owned() };
        let rows = [
            done("re_1", money(500, "gbp")),
            done("re_2", money(250, "gbp")),
            done("re_failed", money(0, "gbp")),
            done("re_other_currency", money(70, "eur")),
            done("re_without_money", None),
            row(effects::contribution_dispute("dp_1"), EffectState::Done, money(1250, "gbp")),
            row(effects::contribution_refund("re_parked"), parked, None),
        ];
        assert_eq!(refunded(&rows, currency("gbp")), 750);
        assert_eq!(refunded(&[], currency("gbp")), 0);
        assert!(is_refunded(&rows, Money::new(750, currency("gbp"))));
        assert!(!is_refunded(&rows, Money::new(751, currency("gbp"))));
        assert!(!is_refunded(&[], Money::new(0, currency("gbp"))));
    }
}
