//! Whether a customer may fetch what they bought. Decided anew at every request, from the payment's record alone.

use fulfilment::{Contribution, ContributionStatus, FilesPolicy};

/// What a payment's record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The money is there, or none was due.
    Open,
    /// The money is on its way.
    Pending,
    /// The money will not come.
    Failed,
    /// All of the money went back, by refunds or by the bank's decision.
    Refunded,
    /// The bank has not decided whether the money goes back.
    Disputed,
    /// The time the policy gives is over.
    Expired,
}

const SECONDS_A_DAY: i64 = 86_400;

/// What a record says at a time in Unix seconds.
pub(crate) fn access(contribution: &Contribution, policy: &FilesPolicy, now: i64) -> Access {
    let Some(paid_at) = contribution.paid_at else {
        return without_money(contribution);
    };
    match contribution.status() {
        ContributionStatus::Pending => Access::Pending,
        ContributionStatus::Failed => Access::Failed,
        ContributionStatus::Refunded | ContributionStatus::Lost => Access::Refunded,
        ContributionStatus::Disputed if contribution.is_refunded_in_full() => Access::Refunded,
        ContributionStatus::Disputed if !policy.while_disputed => Access::Disputed,
        ContributionStatus::Disputed | ContributionStatus::Paid | ContributionStatus::PartRefunded => {
            let until = paid_at.saturating_add(policy.days.saturating_mul(SECONDS_A_DAY));
            if now < until { Access::Open } else { Access::Expired }
        }
    }
}

/// A refund or a dispute can be reported before its payment.
fn without_money(contribution: &Contribution) -> Access {
    match contribution.status() {
        ContributionStatus::Failed => Access::Failed,
        ContributionStatus::Refunded | ContributionStatus::Lost => Access::Refunded,
        ContributionStatus::Disputed => Access::Disputed,
        ContributionStatus::Pending | ContributionStatus::Paid | ContributionStatus::PartRefunded => {
            Access::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use fulfilment::{PaymentId, Reading};
    use serde_json::Value;
    use stripe_events::Event;
    use testkit::stripe::{CorrectionEvent, SessionEvent as Session};
    use uuid::Uuid;

    use super::*;

    const POLICY: FilesPolicy = FilesPolicy { days: 365, fetches: 20, while_disputed: false };
    const PAID_AT: i64 = 1_795_000_000;

    fn record(events: &[Value]) -> Contribution {
        events.iter().fold(Contribution::new(PaymentId::new("pi_Example")), |record, json| {
            let event = Event::from_value(json.clone()).unwrap();
            let event = Reading::from_event(&event, false).ok().and_then(Reading::into_payment_event);
            record.with_event(&event.unwrap(), &Uuid::nil())
        })
    }

    fn refund(minor: i64, what: &str) -> Value {
        CorrectionEvent::refund("Example", "re_1", what).amount(minor, "gbp").at(PAID_AT + 60).to_json()
    }

    fn dispute(what: &str, status: &str, seconds: i64) -> Value {
        CorrectionEvent::dispute("Example", "dp_1", what).status(status).at(PAID_AT + seconds).to_json()
    }

    fn dispute_over(minor: i64, id: &str, what: &str, status: &str) -> Value {
        let dispute = CorrectionEvent::dispute("Example", id, what).status(status).amount(minor, "gbp");
        dispute.at(PAID_AT + 60).to_json()
    }

    fn lost_of(minor: i64, id: &str) -> Value {
        dispute_over(minor, id, "closed", "lost")
    }

    fn history(name: &str) -> Vec<Value> {
        let paid = Session::paid().at(PAID_AT).to_json();
        let lost = [dispute("funds_withdrawn", "needs_response", 60), dispute("closed", "lost", 90)];
        let won = [
            dispute("funds_withdrawn", "needs_response", 60),
            dispute("funds_reinstated", "won", 90),
            dispute("closed", "won", 91),
        ];
        match name {
            "pending" => vec![Session::unpaid().to_json()],
            "paid" => vec![paid],
            "free" => {
                let free = Session::paid().session("payment_status", "no_payment_required".into());
                vec![free.amount(0, "gbp").at(PAID_AT).to_json()]
            }
            "paid late" => {
                vec![Session::unpaid().to_json(), Session::async_succeeded().at(PAID_AT).to_json()]
            }
            "failed" => vec![Session::unpaid().to_json(), Session::async_failed().to_json()],
            "part refunded" => vec![paid, refund(500, "created")],
            "refunded" => vec![paid, refund(1250, "created")],
            "refund failed" => vec![paid, refund(1250, "created"), refund(1250, "failed")],
            "inquiry" => vec![paid, dispute("created", "warning_needs_response", 60)],
            "disputed" => vec![paid, dispute("created", "needs_response", 60)],
            "disputed and refunded" => {
                vec![paid, refund(1250, "created"), dispute("created", "needs_response", 70)]
            }
            "lost" => [vec![paid], lost.into()].concat(),
            "won" => [vec![paid], won.into()].concat(),
            "lost in part" => vec![paid, lost_of(100, "dp_1")],
            "lost in two parts" => vec![paid, lost_of(500, "dp_1"), lost_of(750, "dp_2")],
            "lost in part, rest refunded" => vec![paid, refund(750, "created"), lost_of(500, "dp_1")],
            "lost in part, rest disputed" => {
                vec![paid, lost_of(500, "dp_1"), dispute_over(750, "dp_2", "created", "needs_response")]
            }
            "lost in another currency" => {
                let lost = CorrectionEvent::dispute("Example", "dp_1", "closed").status("lost");
                vec![paid, lost.amount(100, "usd").to_json()]
            }
            "returned in part" => {
                vec![paid, CorrectionEvent::returned_in_part("Example", "dp_1").to_json()]
            }
            "returned in part, rest refunded" => {
                let returned = CorrectionEvent::returned_in_part("Example", "dp_1");
                vec![paid, refund(500, "created"), returned.to_json()]
            }
            "resolved" => {
                vec![paid, CorrectionEvent::prevented("Example", "dp_1", "resolution").to_json()]
            }
            "blocked" => vec![paid, CorrectionEvent::prevented("Example", "dp_1", "block").to_json()],
            "prevented somehow" => {
                vec![paid, CorrectionEvent::prevented("Example", "dp_1", "deflection").to_json()]
            }
            "blocked after the money had gone" => {
                let blocked = CorrectionEvent::prevented("Example", "dp_1", "block").at(PAID_AT + 90);
                vec![paid, dispute("funds_withdrawn", "needs_response", 60), blocked.to_json()]
            }
            "in a status of a later year" => vec![paid, dispute("updated", "somehow_over", 60)],
            "refund without payment" => vec![refund(1250, "created")],
            _ => panic!("{name}"),
        }
    }

    #[test]
    fn files_are_for_those_whose_money_is_there_and_stays() {
        use Access::*;
        for (name, expected, while_disputed) in [
            ("pending", Pending, Pending),
            ("paid", Open, Open),
            ("free", Open, Open),
            ("paid late", Open, Open),
            ("failed", Failed, Failed),
            ("part refunded", Open, Open),
            ("refunded", Refunded, Refunded),
            ("refund failed", Open, Open),
            ("inquiry", Open, Open),
            ("disputed", Disputed, Open),
            ("disputed and refunded", Refunded, Refunded),
            ("lost", Refunded, Refunded),
            ("won", Open, Open),
            ("lost in part", Open, Open),
            ("lost in two parts", Refunded, Refunded),
            ("lost in part, rest refunded", Refunded, Refunded),
            ("lost in part, rest disputed", Disputed, Open),
            ("lost in another currency", Refunded, Refunded),
            ("returned in part", Open, Open),
            ("returned in part, rest refunded", Refunded, Refunded),
            ("resolved", Refunded, Refunded),
            ("blocked", Open, Open),
            ("prevented somehow", Disputed, Open),
            ("blocked after the money had gone", Refunded, Refunded),
            ("in a status of a later year", Disputed, Open),
            ("refund without payment", Pending, Pending),
        ] {
            let record = record(&history(name));
            let lenient = FilesPolicy { while_disputed: true, ..POLICY };
            assert_eq!(access(&record, &POLICY, PAID_AT + 100), expected, "{name}");
            assert_eq!(access(&record, &lenient, PAID_AT + 100), while_disputed, "{name}");
        }
    }

    #[test]
    fn the_time_the_policy_gives_is_counted_from_the_payment() {
        let record = record(&history("paid late"));
        let until = PAID_AT + 365 * 86_400;
        assert_eq!(access(&record, &POLICY, until - 1), Access::Open);
        assert_eq!(access(&record, &POLICY, until), Access::Expired);
        assert_eq!(access(&self::record(&history("refunded")), &POLICY, until), Access::Refunded);
    }

    #[test]
    fn the_order_of_corrections_does_not_matter() {
        for name in [
            "won",
            "lost",
            "refunded",
            "failed",
            "paid late",
            "lost in part, rest refunded",
            "returned in part, rest refunded",
            "blocked after the money had gone",
        ] {
            let mut events = history(name);
            let expected = access(&record(&events), &POLICY, PAID_AT + 100);
            events.reverse();
            assert_eq!(access(&record(&events), &POLICY, PAID_AT + 100), expected, "{name}");
        }
    }
}
