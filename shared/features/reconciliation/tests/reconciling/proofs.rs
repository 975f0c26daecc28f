//! The daily proof.

use effect_ledger::{EffectKey, EffectState};
use fulfilment::effects;
use serde_json::{Value, json};
use testkit::stripe::SessionEvent;

use crate::world::{DAY, HOUR, MINUTE, NOW, World};

/// Midnight before the day of these tests.
const MIDNIGHT: i64 = NOW - NOW % DAY;

fn paid(payment: &str, at: i64) -> Value {
    SessionEvent::paid().payment(payment).at(at).to_json()
}

fn proofs(world: &World) -> Vec<Value> {
    let entries = world.bus.entries.borrow();
    let proofs =
        entries.iter().filter(|entry| entry.source == "afterlink" && entry.detail_type == "DailyProof");
    proofs.map(|entry| serde_json::from_str(&entry.detail).unwrap()).collect()
}

#[tokio::test]
async fn a_day_is_proven_once_no_message_of_it_can_be_under_way() {
    let world = World::new();
    world.journal.set_until(MIDNIGHT);
    world.record_event(&paid("Fine", NOW - 3 * HOUR));
    world.record_event(&paid("Parked", NOW - 2 * HOUR));
    let parked = EffectKey::new("pi_Parked", effects::acquisition());
    world.ledger.put(&parked, EffectState::Parked { reason: "r".into() });
    world.record_event(&paid("Stuck", NOW - 2 * HOUR));
    let stuck = EffectKey::new("pi_Stuck", effects::acquisition());
    world.ledger.put(&stuck, EffectState::Retry { reason: "r".into() });
    world.record_event(&paid("Tomorrow", MIDNIGHT + DAY));
    assert_eq!(world.run().await.proofs, []);

    world.pass(MIDNIGHT + DAY + 11 * HOUR - NOW - 1);
    assert_eq!(world.run().await.proofs, []);
    world.pass(1);
    let report = world.run().await;
    let expected = json!({
        "day": "2026-11-18", "livemode": false, "from": MIDNIGHT, "to": MIDNIGHT + DAY - 1,
        "paid": 3, "fulfilled": 1, "open": 1, "unexplained": 1,
        "oldest_unexplained_age": MIDNIGHT + DAY + 11 * HOUR - NOW + 2 * HOUR
    });
    assert_eq!(proofs(&world), [expected]);
    assert_eq!(report.missing.len(), 1, "the retry that nobody is at any more");
    world.pass(HOUR);
    assert_eq!(world.run().await.proofs, []);
}

#[tokio::test]
async fn every_day_gets_its_proof_also_after_a_long_silence() {
    let world = World::new();
    world.journal.set_until(MIDNIGHT);
    for day in 0..3 {
        world.record_event(&paid(&format!("P{day}"), MIDNIGHT + day * DAY + HOUR));
    }
    world.pass(4 * DAY);
    world.run().await;
    let seen: Vec<_> =
        proofs(&world).iter().map(|proof| (proof["day"].clone(), proof["paid"].clone())).collect();
    let expected = [("2026-11-18", 1), ("2026-11-19", 1), ("2026-11-20", 1), ("2026-11-21", 0)];
    assert_eq!(seen, expected.map(|(day, paid)| (json!(day), json!(paid))));
}

#[tokio::test]
async fn a_proof_of_many_pages_is_taken_up_where_it_was_left() {
    let world = World::new();
    world.journal.set_until(MIDNIGHT + DAY);
    world.journal.set_proven_until(MIDNIGHT);
    for i in 0..250 {
        world.record_event(&paid(&format!("P{i}"), MIDNIGHT + HOUR + i));
    }
    world.pass(2 * DAY);
    world.budget.set(2);
    let mut runs = 0;
    while proofs(&world).is_empty() {
        world.run().await;
        runs += 1;
    }
    assert_eq!(
        (proofs(&world)[0]["paid"].clone(), proofs(&world)[0]["fulfilled"].clone()),
        (json!(250), json!(250))
    );
    assert!(runs > 1);
    world.pass(MINUTE);
}
