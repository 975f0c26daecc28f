//! Situations around subscriptions, captures and verdicts: what takes a look-up at Stripe, and what Stripe reports
//! oddly.

use catalogue::Task::{self, AcquisitionEvents, ContributionRecords, ThankYouEmail};
use serde_json::Value;

use crate::scenario::{Scenario, deliveries_of};
use crate::story::{Charge, Dispute, Fate, Link, Payment, Refund, twin};

/// Every scenario of these.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut all = memberships();
    all.extend(renewals());
    all.extend(thanked_renewals());
    all.extend(verdicts());
    all
}

fn refunded(payment: Payment) -> Payment {
    let refunds = vec![Refund { number: 1, amount: 200, fails: false }];
    Payment { refunds, ..payment }
}

fn memberships() -> Vec<Scenario> {
    let first = refunded(Payment::membership("Member"));
    let invoiced = Payment { charge: Charge::OnceWithInvoice, ..refunded(Payment::paid("Invoiced")) };
    // Session, invoice, refund.
    let events = first.events();
    let refund_first = |name, task: Task| {
        let at_once = [events[2].clone(), events[0].clone()];
        let after = [&events[1..2], &events[3..]].concat();
        Scenario { after: deliveries_of(task, &after), ..Scenario::new(name, task, &[&first], &[], &at_once) }
    };
    vec![
        Scenario::in_order("mail-membership", ThankYouEmail, &first, 0),
        Scenario::in_order("records-membership", ContributionRecords, &first, 0),
        refund_first("records-membership-refund", ContributionRecords),
        Scenario::in_order("records-invoiced", ContributionRecords, &invoiced, 0),
        refund_first("acquisition-membership", AcquisitionEvents),
    ]
}

fn renewals() -> Vec<Scenario> {
    let first = Payment::membership("Member");
    let renewal = refunded(first.renewal(1));
    let begun = first.events();
    let renewed = renewal.events();
    let strangers = Payment { link: Link::Strangers, ..first.clone() };
    let strangers_renewal = refunded(strangers.renewal(1));
    let both = [&first, &renewal];
    let around = |name, task, [before, at_once, after]: [&[Value]; 3]| Scenario {
        after: deliveries_of(task, after),
        ..Scenario::new(name, task, &both, before, at_once)
    };
    let [invoice, refund, updated] = [&renewed[0], &renewed[1], &renewed[2]];
    let paid_and_refunded = [invoice.clone(), refund.clone()];
    let updated_alone = std::slice::from_ref(updated);
    let refund_alone = std::slice::from_ref(refund);
    let everything_before = |task| deliveries_of(task, &[&begun[..], &renewed[..1]].concat());
    vec![
        around("records-renewal", ContributionRecords, [&begun, &paid_and_refunded, updated_alone]),
        around(
            "records-renewal-early",
            ContributionRecords,
            [&[], &paid_and_refunded, &[&begun[..], updated_alone].concat()],
        ),
        Scenario::new(
            "records-strangers-renewal",
            ContributionRecords,
            &[&strangers, &strangers_renewal],
            &[],
            &strangers_renewal.events()[..2],
        ),
        around("acquisition-renewal", AcquisitionEvents, [&begun, &paid_and_refunded, updated_alone]),
        Scenario {
            stripe_was_down: true,
            ..around(
                "acquisition-stripe-down",
                AcquisitionEvents,
                [refund_alone, &[begun[0].clone(), invoice.clone()], &[&begun[1..], updated_alone].concat()],
            )
        },
        Scenario {
            after: [
                deliveries_of(ContributionRecords, updated_alone),
                deliveries_of(AcquisitionEvents, updated_alone),
            ]
            .concat(),
            ..Scenario::of_tasks(
                "renewal-asked-by-both",
                both.map(Clone::clone).to_vec(),
                [everything_before(ContributionRecords), everything_before(AcquisitionEvents)].concat(),
                [
                    deliveries_of(ContributionRecords, refund_alone),
                    deliveries_of(AcquisitionEvents, refund_alone),
                ]
                .concat(),
            )
        },
    ]
}

/// Where members are thanked for renewals.
fn thanked_renewals() -> Vec<Scenario> {
    let first = Payment::membership("Member");
    let begun = &first.events()[..1];
    let renewal = first.renewal(1);
    let refunds = vec![Refund { number: 1, amount: renewal.amount, fails: false }];
    let given_back = Payment { refunds, ..renewal.clone() };
    let renewed = renewal.events();
    let gone = given_back.events();
    let [invoice, refund, updated] = [&gone[0], &gone[1], &gone[2]].map(std::slice::from_ref);
    let thanking = |scenario: Scenario| Scenario { thanks_renewals: true, ..scenario };
    let to_mail = |events| deliveries_of(ThankYouEmail, events);
    let to_records = |events| deliveries_of(ContributionRecords, events);
    vec![
        // The session's contract is not in the ledger: Stripe is asked.
        thanking(Scenario::of_tasks(
            "mail-renewal",
            vec![first.clone(), renewal],
            to_mail(begun),
            to_mail(&[renewed[0].clone(), twin(&renewed[0])]),
        )),
        thanking(Scenario {
            after: [to_records(invoice), to_mail(invoice), to_records(updated)].concat(),
            ..Scenario::of_tasks(
                "mail-renewal-given-back",
                vec![first, given_back.clone()],
                [to_mail(begun), to_records(begun)].concat(),
                [to_mail(invoice), to_records(refund)].concat(),
            )
        }),
    ]
}

fn verdicts() -> Vec<Scenario> {
    let paid = Payment::paid("Example");
    let lost = Payment { dispute: Some(Dispute::LostAtOnce), ..paid.clone() };
    let won = Payment { dispute: Some(Dispute::WonAtOnce), ..paid.clone() };
    let returned = Payment { dispute: Some(Dispute::ReturnedInPart(500)), ..paid.clone() };
    let captured = Payment { fate: Fate::CapturedInPart { reserved: 2000 }, ..paid };
    vec![
        Scenario::in_order("records-captured", ContributionRecords, &captured, 0),
        Scenario::in_order("acquisition-captured", AcquisitionEvents, &captured, 0),
        Scenario::in_order("records-lost-at-once", ContributionRecords, &lost, 0),
        Scenario::in_order("acquisition-lost-at-once", AcquisitionEvents, &lost, 0),
        Scenario::in_order("acquisition-won-at-once", AcquisitionEvents, &won, 0),
        // Paid, opened and taken; then kept and given back in part.
        Scenario::in_order("records-returned-in-part", ContributionRecords, &returned, 3),
        Scenario::in_order("acquisition-returned-in-part", AcquisitionEvents, &returned, 3),
    ]
}
