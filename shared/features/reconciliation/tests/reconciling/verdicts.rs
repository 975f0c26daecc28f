//! How a dispute ended, when the event that says so is the one that was lost.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};

use crate::world::{DAY, MINUTE, NOW, World};

fn dispute(what: &str, status: &str, at: i64) -> Value {
    let dispute = CorrectionEvent::dispute("Known", "dp_1", what).status(status).at(at);
    dispute.event_id(&format!("evt_dp_1_{what}_{at}")).object("created", json!(NOW - 39 * MINUTE)).to_json()
}

/// A payment that was disputed, of which the tasks have seen all that happened so far.
fn disputed() -> World {
    let world = World::new();
    world.record_event(&SessionEvent::paid().payment("Known").at(NOW - 40 * MINUTE).to_json());
    world.record_event(&dispute("created", "needs_response", NOW - 39 * MINUTE));
    world.record_event(&dispute("funds_withdrawn", "needs_response", NOW - 39 * MINUTE));
    world
}

#[tokio::test]
async fn a_lost_verdict_of_a_bank_is_found() {
    for (what, status) in [("closed", "lost"), ("closed", "won"), ("updated", "prevented")] {
        let world = disputed();
        world.lose(&dispute(what, status, NOW - 30 * MINUTE));
        assert_eq!(world.run().await.put_back, 1, "{what} {status}");
        assert_eq!(world.deliver(), [format!("evt_dp_1_{what}_{}", NOW - 30 * MINUTE)]);
        assert_eq!(world.run().await.put_back, 0, "once");
    }
}

#[tokio::test]
async fn an_appeal_that_no_event_source_delivered_is_found() {
    let world = disputed();
    world.record_event(&dispute("closed", "lost", NOW - 35 * MINUTE));
    world.lose(&dispute("updated", "appeal_under_review", NOW - 30 * MINUTE));
    assert_eq!(world.run().await.put_back, 1);
}

#[tokio::test]
async fn what_an_earlier_version_noted_of_a_dispute_that_is_open_is_enough() {
    let world = disputed();
    world.lose(&dispute("updated", "under_review", NOW - 30 * MINUTE));
    assert_eq!(world.run().await.put_back, 0);
}

/// Beyond the time for which Stripe keeps events, there is only the dispute as it is now.
#[tokio::test]
async fn a_lost_verdict_of_long_ago_is_found_in_the_list_of_disputes() {
    let world = World::new();
    let opened = NOW - 40 * DAY;
    let of = |event: Value| {
        let mut event = event;
        event["data"]["object"]["created"] = json!(opened);
        event
    };
    world.record_event(
        &SessionEvent::paid().payment("Known").session("created", json!(opened)).at(opened).to_json(),
    );
    world.record_event(&of(dispute("created", "needs_response", opened + 60)));
    world.record_event(&of(dispute("funds_withdrawn", "needs_response", opened + 61)));
    world.lose(&of(dispute("closed", "lost", opened + DAY)));
    let client = world.client();
    let look = async || {
        world
            .reconciliation(&client)
            .look_back(NOW - 45 * DAY, NOW, true, |_| ControlFlow::Continue(()))
            .await
            .unwrap()
            .put_back
    };
    assert_eq!(look().await, 1);
    let made: Value = serde_json::from_str(&world.bus.entries.borrow()[0].detail).unwrap();
    assert_eq!(made["data"]["object"]["status"], "lost");
    assert_eq!(made["created"], NOW, "where it stands now is dated by when Stripe was asked");
    world.deliver();
    assert_eq!(look().await, 0, "once");
}
