use fulfilment::utc;
use serde::{Deserialize, Serialize};

/// How the payments of a window stand. Every payment counts once: `paid` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Payments of ours that Stripe says are paid.
    pub paid: u64,
    /// Of these, those of which everything is settled.
    pub fulfilled: u64,
    /// Those of which something is parked, unknown or under way, and nothing is missing.
    pub open: u64,
    /// Those of which something is missing.
    pub unexplained: u64,
}

/// The daily proof: Stripe's payments of a day, and how each was fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DailyProof {
    /// The day in UTC, `2026-11-18`.
    pub day: String,
    /// Real money or not.
    pub livemode: bool,
    /// From when, in Unix seconds. The first day of a deployment is a shorter one.
    pub from: i64,
    /// Until when, in Unix seconds.
    pub to: i64,
    /// How the day's payments stand.
    #[serde(flatten)]
    pub tally: Tally,
    /// How old the oldest thing is that is missing, of whatever day, in seconds; 0 when nothing is.
    pub oldest_unexplained_age: i64,
}

impl DailyProof {
    /// The envelope's `source`.
    pub const SOURCE: &str = "afterlink";
    /// The envelope's `detail-type`.
    pub const DETAIL_TYPE: &str = "DailyProof";

    pub(crate) fn new(from: i64, to: i64, tally: Tally, oldest_unexplained_age: i64, livemode: bool) -> Self {
        let day = utc(from).chars().take(10).collect();
        Self { day, livemode, from, to, tally, oldest_unexplained_age }
    }
}
