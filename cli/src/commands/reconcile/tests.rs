use super::*;
use crate::page::plain;

#[test]
fn reads_from_when() {
    for (text, expected) in [
        ("90m", Since::SecondsAgo(5_400)),
        ("24h", Since::SecondsAgo(86_400)),
        ("7d", Since::SecondsAgo(604_800)),
        ("2026-11-18T11:16:40Z", Since::UnixSeconds(1_795_000_600)),
        ("2026-11-18", Since::UnixSeconds(1_794_960_000)),
    ] {
        assert_eq!(since(text), Ok(expected), "{text}");
    }
    for text in ["", "h", "-1h", "yesterday", "2026-11-1x", "5é"] {
        assert!(since(text).is_err(), "{text}");
    }
    assert_eq!(Since::SecondsAgo(60).at(100_000), 40);
}

fn report(acted: bool, missing: Vec<Gap>) -> Reconciled {
    let put_back = if acted { 1 } else { 0 };
    Reconciled {
        acted,
        from: Time(0),
        to: Time(3_600_000),
        examined: 3,
        unreadable: 0,
        misspelt: 0,
        misspelt_links: BTreeSet::new(),
        paid: 3,
        fulfilled: 2,
        open: 0,
        unexplained: 1,
        missing,
        put_back,
        complete: true,
        interrupted: false,
    }
}

#[test]
fn reports_what_is_missing_and_what_was_put_back() {
    let gap = || Gap {
        event_id: "evt_1".to_owned(),
        event_type: "checkout.session.completed".to_owned(),
        payment_id: "pi_1".to_owned(),
        effects: vec!["email#thank-you".to_owned(), "acquisition".to_owned()],
        happened_at: Time(1_800_000),
        put_back_at: None,
        again_from: None,
    };
    let dry = report(false, vec![gap()]);
    insta::assert_snapshot!(plain(&dry, 3_600_000), @r#"
    From 1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z: 3 events compared with the ledger.
    Payments paid 3: fulfilled 2, open 0, unexplained 1.

      payment  event  age     missing
      pi_1     evt_1  30 min  email#thank-you, acquisition

    A dry run: 1 event would be put back on the bus. With --yes and --because they are.
    "#);
    assert_eq!(dry.verdict(), Verdict::NeedsYou);
    let put_back = report(true, vec![gap()]);
    insta::assert_snapshot!(plain(&put_back, 3_600_000).lines().last().unwrap(), @"1 event put back on the bus. `afterlink status` says what became of them.");
    assert_eq!(put_back.verdict(), Verdict::Fine);
}

#[test]
fn names_the_links_whose_key_is_misspelt() {
    let links = ["plink_1", "plink_2"].map(str::to_owned).into();
    let misspelt = Reconciled { misspelt: 3, misspelt_links: links, ..report(false, Vec::new()) };
    let said = plain(&misspelt, 3_600_000);
    assert!(said.contains("3 payments over links") && said.contains("plink_1, plink_2"), "{said}");
    assert_eq!(misspelt.verdict(), Verdict::NeedsYou);
}

#[test]
fn what_was_put_back_and_is_not_done_is_said_so_and_is_not_fine() {
    let gap = Gap {
        event_id: "evt_1".to_owned(),
        event_type: "checkout.session.completed".to_owned(),
        payment_id: "pi_1".to_owned(),
        effects: vec!["acquisition".to_owned()],
        happened_at: Time(0),
        put_back_at: Some(Time(1_800_000)),
        again_from: Some(Time(5_400_000)),
    };
    for acted in [false, true] {
        let report = Reconciled { put_back: 0, ..report(acted, vec![gap.clone()]) };
        let said = plain(&report, 3_600_000);
        assert!(said.contains("put back already, last at 1970-01-01T00:30:00Z"), "{said}");
        assert!(said.contains("after 1970-01-01T01:30:00Z, or now with --again"), "{said}");
        assert!(!said.contains("would be put back"), "{said}");
        assert_eq!(report.verdict(), Verdict::NeedsYou);
    }
    let interrupted = Reconciled { complete: false, interrupted: true, ..report(true, Vec::new()) };
    assert!(plain(&interrupted, 0).contains("Interrupted"));
    assert_eq!(interrupted.verdict(), Verdict::NeedsYou);
}
