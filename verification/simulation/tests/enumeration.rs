//! Every fault at every call. One test a scenario, so that they run beside each other.

use simulation::enumeration::{Depth, Scenario};

/// Runs the cases of a scenario; the first that breaks a rule is printed step by step.
fn check(name: &str) {
    let scenarios = Scenario::all();
    let scenario = scenarios.iter().find(|scenario| scenario.name == name).expect("it is one of them");
    let mut cases = 0;
    scenario.enumerate(Depth::Tests, |case, report| {
        cases += 1;
        let script = report.script.join("\n");
        let rules = report.violations.join("\n");
        assert!(rules.is_empty(), "{script}\n\n{rules}\n\ncargo xtask simulate --replay {case}");
    });
    // Fewer would mean that the instances made no calls to go wrong.
    assert!(cases > 200, "{cases}");
}

macro_rules! scenarios {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name);
        })*

        #[test]
        fn every_scenario_has_its_test() {
            let names: Vec<_> = Scenario::all().iter().map(|scenario| scenario.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

scenarios! {
    mail_twice: "mail-twice",
    mail_twins: "mail-twins",
    mail_delayed: "mail-delayed",
    mail_failed: "mail-failed",
    mail_broken: "mail-broken",
    mail_given_back: "mail-given-back",
    mail_given_back_early: "mail-given-back-early",
    mail_given_back_unknown: "mail-given-back-unknown",
    records_twice: "records-twice",
    records_delayed: "records-delayed",
    records_refund: "records-refund",
    records_dispute: "records-dispute",
    consents_twice: "consents-twice",
    consents_contradict: "consents-contradict",
    consents_delayed: "consents-delayed",
    acquisition_twice: "acquisition-twice",
    acquisition_refund: "acquisition-refund",
    acquisition_corrected: "acquisition-corrected",
    acquisition_bounced: "acquisition-bounced",
    acquisition_dispute: "acquisition-dispute",
    mail_membership: "mail-membership",
    records_membership: "records-membership",
    records_membership_refund: "records-membership-refund",
    records_invoiced: "records-invoiced",
    acquisition_membership: "acquisition-membership",
    records_renewal: "records-renewal",
    records_renewal_early: "records-renewal-early",
    records_strangers_renewal: "records-strangers-renewal",
    acquisition_renewal: "acquisition-renewal",
    acquisition_stripe_down: "acquisition-stripe-down",
    renewal_asked_by_both: "renewal-asked-by-both",
    mail_renewal: "mail-renewal",
    mail_renewal_given_back: "mail-renewal-given-back",
    records_captured: "records-captured",
    acquisition_captured: "acquisition-captured",
    records_lost_at_once: "records-lost-at-once",
    acquisition_lost_at_once: "acquisition-lost-at-once",
    acquisition_won_at_once: "acquisition-won-at-once",
    records_returned_in_part: "records-returned-in-part",
    acquisition_returned_in_part: "acquisition-returned-in-part",
}
