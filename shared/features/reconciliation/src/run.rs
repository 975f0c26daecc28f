use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use aws::{BusEntry, Clock};
use effect_ledger::{Effect, EffectRow, EffectStore, StoreError};
use fulfilment::{PaymentId, Policy, SessionOutcome, effects};
use futures_util::{StreamExt, TryStreamExt, stream};
use stripe_client::{Request, StripeClient, StripeError};
use stripe_events::shown_id;
use tracing::warn;

use crate::answers::Answers;
use crate::bus::{proof_entry, replay};
use crate::made_event::MADE_PREFIX;
use crate::pending::{Look, session_of_made};
use crate::verdict::MESSAGE_LIFE_SECONDS;
use crate::{
    DailyProof, FulfilmentBus, Journal, Missing, Overtaken, PendingSearch, Position, RunError, RunReport,
    Sweep, Tally, Verdict, judge, made_from,
};

/// One run of reconciliation, with everything it works on.
pub struct Reconciliation<'a, L, J, B, C> {
    /// Lists the payments. Its budget bounds the run.
    pub stripe: &'a StripeClient,
    /// The ledger. Only read.
    pub ledger: &'a L,
    /// How far earlier runs came.
    pub journal: &'a J,
    /// Where events are put back.
    pub bus: &'a B,
    /// The time.
    pub clock: &'a C,
    /// Which half of Stripe.
    pub livemode: bool,
    /// What the business decided, as the functions have it: it says whether a renewal calls for a mail.
    pub policy: &'a Policy,
    /// How far to look and when to stop.
    pub settings: Settings,
}

/// How far a run looks and when it stops.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What happened within so many seconds is left to live traffic. Never less than a minute, because Stripe's
    /// list of events shows the newest late.
    pub lag_seconds: i64,
    /// So many seconds before the checkpoint are looked at again, for events that the list showed later still.
    pub overlap_seconds: i64,
    /// When the run ends at its next page, in Unix milliseconds.
    pub deadline_ms: i64,
    /// The run ends at its next page once it has put back so many events: live traffic comes first.
    pub put_back_at_most: u64,
    /// Whether what was put back a moment ago and is still missing is put back again.
    pub again: bool,
}

/// How many payments are looked up at once.
pub(crate) const LOOKUPS: usize = 16;

/// How many effects that were missing earlier are looked at again in one run.
const RECHECKED: usize = 500;

const DAY: i64 = 86_400;

/// What a run has come to.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) report: RunReport,
    /// Whose payments are, as far as Stripe was asked.
    pub(crate) answers: Answers,
    /// The paid payments that are in the tally of the present window.
    pub(crate) counted: BTreeSet<PaymentId>,
    /// What this run put back: of two events that report one change, one is enough.
    pub(crate) put_back: BTreeSet<(PaymentId, Effect)>,
}

impl<L: EffectStore, J: Journal, B: FulfilmentBus, C: Clock> Reconciliation<'_, L, J, B, C> {
    /// What the schedule does: looks again at missing effects, goes on from the checkpoint, and proves the days that
    /// are due.
    ///
    /// # Errors
    ///
    /// When Stripe, the ledger, the journal or the bus cannot be used. The next run goes on from the last page that
    /// was finished. A spent budget is no error: the run is only not complete.
    pub async fn run(&self) -> Result<RunReport, RunError> {
        let mut work = Work::default();
        let mut position = self.position().await?;
        match self.advance(&mut position, &mut work).await {
            Ok(()) => {}
            Err(Stopped::Early) => {}
            Err(Stopped::Overtaken) => work.report.overtaken = true,
            Err(Stopped::Broken(error)) => return Err(error),
        }
        let unexplained = self.journal.missing().await?;
        work.report.unexplained = u64::try_from(unexplained.len()).unwrap_or(u64::MAX);
        work.report.oldest_unexplained_at = unexplained.iter().map(|missing| missing.happened_at).min();
        let pending = self.journal.pending().await?;
        work.report.pending = u64::try_from(pending.len()).unwrap_or(u64::MAX);
        work.report.oldest_pending_at = pending.iter().map(|pending| pending.since).min();
        Ok(work.report)
    }

    /// What the operator does: looks at a time of their choice, and puts back the missing events in it if `put_back`
    /// says so. Leaves the checkpoint where it is. `progress` hears of each page, and may end the run there.
    ///
    /// # Errors
    ///
    /// As [`Reconciliation::run`].
    pub async fn look_back(
        &self,
        from: i64,
        to: i64,
        put_back: bool,
        mut progress: impl FnMut(&RunReport) -> ControlFlow<()>,
    ) -> Result<RunReport, RunError> {
        let mut work = Work::default();
        let now = self.now();
        let mut next = Some(Sweep::new(from, to.min(now - self.lag()), now));
        while let Some(sweep) = next.take() {
            if self.must_stop(&work) {
                return Ok(work.report);
            }
            next = match self.page(sweep, put_back, &mut work).await {
                Ok((next, tally)) => {
                    work.report.tally = tally;
                    next
                }
                Err(RunError::Stripe(StripeError::BudgetSpent)) => return Ok(work.report),
                Err(error) => return Err(error),
            };
            if progress(&work.report).is_break() && next.is_some() {
                return Ok(work.report);
            }
        }
        work.report.complete = true;
        Ok(work.report)
    }

    async fn advance(&self, position: &mut Position, work: &mut Work) -> Result<(), Stopped> {
        self.recheck(work).await?;
        let reached = self.now() - self.lag();
        while position.sweep.is_some() || position.until < reached {
            let sweep = position.sweep.take().unwrap_or_else(|| {
                let from = position.until - self.settings.overlap_seconds;
                Sweep::new(from.max(position.began_at), reached, self.now())
            });
            let to = sweep.to;
            self.stop_in_time(work)?;
            let (next, tally) = self.page(sweep, true, work).await?;
            if next.is_none() {
                position.until = to;
                work.counted.clear();
            }
            work.report.tally = tally;
            position.sweep = next;
            self.save(position).await?;
        }
        work.report.complete = true;
        self.look_at_pending(work).await?;
        self.search_pending(position, work).await?;
        while let Some(day) = due_day(position, self.now()) {
            let sweep = position.proof.take().unwrap_or(day);
            let from = sweep.from;
            let to = sweep.to;
            self.stop_in_time(work)?;
            let (next, tally) = self.page(sweep, true, work).await?;
            if next.is_none() {
                work.report.proofs.push(self.prove(from, to, tally).await?);
                position.proven_until = to + 1;
                work.counted.clear();
            }
            position.proof = next;
            self.save(position).await?;
        }
        Ok(())
    }

    /// Where earlier runs came to. The first one begins at its own window: what was paid before the deployment is
    /// not to be repaired without an operator's order.
    async fn position(&self) -> Result<Position, RunError> {
        if let Some(position) = self.journal.position().await? {
            return Ok(position);
        }
        let began_at = self.now() - self.lag() - self.settings.overlap_seconds;
        Ok(Position {
            revision: 0,
            began_at,
            until: began_at,
            sweep: None,
            proven_until: began_at,
            proof: None,
            // What was pending before the deployment is its own business as little as what was paid.
            pending_search: PendingSearch::Done,
        })
    }

    pub(crate) async fn save(&self, position: &mut Position) -> Result<(), Stopped> {
        match self.journal.save(position).await? {
            Ok(()) => {
                position.revision += 1;
                Ok(())
            }
            Err(Overtaken) => Err(Stopped::Overtaken),
        }
    }

    /// Publishes a day's proof. Published again if the run dies before that is recorded; the day is the same.
    async fn prove(&self, from: i64, to: i64, tally: Tally) -> Result<DailyProof, RunError> {
        let oldest = self.journal.missing().await?.iter().map(|missing| missing.happened_at).min();
        let age = oldest.map_or(0, |happened_at| self.now() - happened_at);
        let proof = DailyProof::new(from, to, tally, age, self.livemode);
        self.bus.put(&[proof_entry(&proof)]).await?;
        Ok(proof)
    }

    /// Looks at effects that earlier runs found missing: removes the explained ones, puts back the rest once an hour.
    async fn recheck(&self, work: &mut Work) -> Result<(), RunError> {
        let known = self.journal.missing().await?;
        let payments = self.payments(known.iter().take(RECHECKED).map(|missing| &missing.payment_id)).await?;
        let mut batch = Vec::new();
        for known in known.into_iter().take(RECHECKED) {
            let sent_at = known.put_back_at.unwrap_or_default().max(known.happened_at);
            let payment = payments.get(&known.payment_id);
            let rows = payment.map(|payment| payment.rows.as_slice()).unwrap_or_default();
            let still =
                |effect: &&Effect| judge(effect, rows, sent_at, self.clock.now_ms()) == Verdict::Missing;
            let still: Vec<_> = known.effects.iter().filter(still).cloned().collect();
            if still.is_empty() {
                self.journal.explained(&known.event_id).await?;
                continue;
            }
            if self.now() - known.put_back_at.unwrap_or_default() < known.put_back_again_after() {
                // Another event, or Stripe's list of refunds, may report the same.
                work.put_back.extend(keys(&Missing { effects: still, ..known }));
                continue;
            }
            let Some(json) = self.fetch(&known).await? else {
                warn!(event.id = %shown_id(&known.event_id), "missing, and no longer at Stripe");
                continue;
            };
            let known = self.still_missing(Missing { effects: still, ..known }, &json).await?;
            if known.effects.is_empty() {
                self.journal.explained(&known.event_id).await?;
                continue;
            }
            if self.record(&known).await? {
                work.put_back.extend(keys(&known));
                batch.push((known.clone(), replay(&known.event_type, json)));
            }
            work.report.missing.push(known);
        }
        self.put_back(batch, work).await
    }

    /// An event as it was, or as it is made from what Stripe still has. `None` when Stripe has neither.
    async fn fetch(&self, known: &Missing) -> Result<Option<String>, RunError> {
        let event_id = known.event_id.as_str();
        if let Some(session_id) = session_of_made(event_id) {
            let waited = self.now() - known.happened_at;
            let look = self.look(session_id, known.happened_at, waited).await?;
            return Ok(match look {
                Look::Final { event_id: made, json } if made == event_id => Some(json),
                Look::Final { .. } | Look::Open | Look::NotOurs => None,
            });
        }
        let made_of = event_id.strip_prefix(MADE_PREFIX);
        let request = match made_of {
            None => Request::event(event_id),
            Some(id) if id.starts_with("cs_") => Request::session(id),
            Some(id) if id.starts_with("in_") => Request::invoice(id),
            Some(id) if id.starts_with("d") => Request::dispute(id),
            Some(id) => Request::refund(id),
        };
        match self.stripe.one(&request).await {
            Ok(object) if made_of.is_some() => Ok(made_from(&object, self.livemode, self.now())),
            Ok(event) => Ok(Some(event.json().to_owned())),
            Err(StripeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn rows_of(
        &self,
        payments: impl Iterator<Item = &PaymentId>,
    ) -> Result<BTreeMap<PaymentId, Vec<EffectRow>>, StoreError> {
        let payments: BTreeSet<_> = payments.cloned().collect();
        stream::iter(payments)
            .map(async |payment_id| {
                let rows = self.ledger.of_subject(&payment_id).await?;
                Ok((payment_id, rows))
            })
            .buffered(LOOKUPS)
            .try_collect()
            .await
    }

    /// Writes down that something is missing. Whether this run puts it back.
    pub(crate) async fn record(&self, missing: &Missing) -> Result<bool, StoreError> {
        let now = self.now();
        let pause = if self.settings.again { 0 } else { missing.put_back_again_after() };
        self.journal.record(missing, now - pause, now).await
    }

    /// Puts recorded events on the bus, then writes down that they are there: an event that is on the bus and not
    /// written down is put there again, which does no harm.
    pub(crate) async fn put_back(
        &self,
        batch: Vec<(Missing, BusEntry)>,
        work: &mut Work,
    ) -> Result<(), RunError> {
        let (missing, entries): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        self.bus.put(&entries).await?;
        work.report.put_back += u64::try_from(entries.len()).unwrap_or(u64::MAX);
        for missing in missing {
            self.journal.put_back(&missing, self.now()).await?;
        }
        Ok(())
    }

    pub(crate) fn stop_in_time(&self, work: &Work) -> Result<(), Stopped> {
        if self.must_stop(work) { Err(Stopped::Early) } else { Ok(()) }
    }

    pub(crate) fn must_stop(&self, work: &Work) -> bool {
        self.clock.now_ms() >= self.settings.deadline_ms
            || work.report.put_back >= self.settings.put_back_at_most
    }

    fn lag(&self) -> i64 {
        self.settings.lag_seconds.max(60)
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms() / 1000
    }
}

pub(crate) fn has_outcome(rows: &[EffectRow], outcome: SessionOutcome) -> bool {
    let effects = [effects::contribution(outcome), effects::email_about(outcome)];
    rows.iter().any(|row| effects.contains(&row.effect))
}

/// Why a run ends before its end.
pub(crate) enum Stopped {
    /// Its time, its budget or its measure is full. The next one goes on.
    Early,
    Overtaken,
    Broken(RunError),
}

impl From<RunError> for Stopped {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Stripe(StripeError::BudgetSpent) => Self::Early,
            RunError::Stripe(_) | RunError::Store(_) | RunError::NotPut(_) => Self::Broken(error),
        }
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Broken(error.into())
    }
}

/// The rest of the day that is to be proven next, once no message of it can be under way.
fn due_day(position: &Position, now: i64) -> Option<Sweep> {
    let from = position.proven_until;
    let end = (from.div_euclid(DAY) + 1) * DAY;
    (now >= end + MESSAGE_LIFE_SECONDS).then(|| Sweep::new(from, end - 1, now))
}

pub(crate) fn keys(missing: &Missing) -> impl Iterator<Item = (PaymentId, Effect)> {
    missing.effects.iter().map(|effect| (missing.payment_id.clone(), effect.clone()))
}
