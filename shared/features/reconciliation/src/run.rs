use std::collections::{BTreeMap, BTreeSet};

use aws::{BusEntry, Clock, NotPut};
use effect_ledger::{Effect, EffectRow, EffectStore, StoreError};
use fulfilment::{
    ExpectedEffects, NotReadable, PaymentId, Policy, SessionEvent, SessionOutcome, SkipReason, effects,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use payment_ledger::as_filed;
use stripe_client::{ApiObject, Request, StripeClient, StripeError};
use stripe_events::{Event, Object, SessionMode, shown_id};
use tracing::warn;

use crate::bus::{proof_entry, replay};
use crate::made_event::MADE_PREFIX;
use crate::ours::{Answers, Payment};
use crate::pending::{Look, session_of_made};
use crate::verdict::MESSAGE_LIFE_SECONDS;
use crate::{
    DailyProof, FulfilmentBus, Journal, Missing, Overtaken, PendingSearch, Position, Source, Sweep, Tally,
    Verdict, judge, made_from, missing, paid_at,
};

/// One run of reconciliation, with everything it works on.
pub struct Reconciliation<'a, L, J, B, C> {
    /// What was paid. Its budget bounds the run.
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
}

/// What a run saw and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events of ours that were compared with the ledger.
    pub examined: u64,
    /// Those of which something was missing.
    pub missing: Vec<Missing>,
    /// How many events were put back.
    pub put_back: u64,
    /// Events of our types that cannot be read. Live traffic parks them.
    pub unreadable: u64,
    /// Payments over links whose marker is misspelt, so that no rule lets them through, and that no operator has
    /// completed.
    pub misspelt: Vec<Misspelt>,
    /// How the payments of the window stand.
    pub tally: Tally,
    /// Whether the whole window was looked at. If not, the next run goes on.
    pub complete: bool,
    /// Another run was at it and has come further.
    pub overtaken: bool,
    /// The days that were proven.
    pub proofs: Vec<DailyProof>,
    /// How many events are missing now, of whatever time.
    pub unexplained: u64,
    /// When the oldest of them happened, in Unix seconds.
    pub oldest_unexplained_at: Option<i64>,
    /// How many sessions wait for their money.
    pub pending: u64,
    /// Since when the oldest of them does, in Unix seconds.
    pub oldest_pending_at: Option<i64>,
}

/// A payment over a link whose metadata has a key that is nearly our marker. Most likely it was meant to be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misspelt {
    /// The payment.
    pub payment_id: PaymentId,
    /// The link to correct, `plink_…`.
    pub payment_link_id: Option<String>,
}

impl Misspelt {
    fn of(event: &Event, livemode: bool) -> Option<Self> {
        let Err(NotReadable::Skip(SkipReason::MisspeltMarker)) = SessionEvent::from_event(event, livemode)
        else {
            return None;
        };
        let Event::Snapshot(event) = event else { return None };
        let Object::Session(session) = &event.object else { return None };
        let is_ours = event.livemode == livemode && session.mode != Some(SessionMode::Setup);
        is_ours.then(|| Self {
            payment_id: PaymentId::of_session(session),
            payment_link_id: session.payment_link.clone(),
        })
    }
}

/// Why a run broke off. What it had come to is kept.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Stripe cannot be asked.
    #[error("Stripe cannot be asked what was paid")]
    Stripe(#[from] StripeError),
    /// The ledger or the journal did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus did not take an event.
    #[error("an event was not put back")]
    NotPut(#[from] NotPut),
}

/// How many payments are looked up at once.
const LOOKUPS: usize = 16;

/// How many effects that were missing earlier are looked at again in one run.
const RECHECKED: usize = 500;

const DAY: i64 = 86_400;

/// What a run has come to.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) report: Report,
    /// Whose payments are, as far as Stripe was asked.
    pub(crate) answers: Answers,
    /// The paid payments that are in the tally of the present window.
    counted: BTreeSet<PaymentId>,
    /// What this run put back: of two events that report one change, one is enough.
    pub(crate) put_back: BTreeSet<(PaymentId, Effect)>,
}

/// An event, and what it calls for.
struct Candidate {
    json: String,
    event_id: String,
    event_type: String,
    happened_at: i64,
    /// The session, when it waits for its money.
    waiting_session: Option<String>,
    /// Whether it is in the window only if its money came days after its session was opened.
    only_if_delayed: bool,
    expected: ExpectedEffects,
}

/// What an event is to reconciliation.
enum Seen {
    Candidate(Candidate),
    Misspelt(Misspelt),
    Nothing,
}

impl Candidate {
    fn read(
        json: String,
        happened_at: i64,
        livemode: bool,
        policy: &Policy,
    ) -> Result<Seen, stripe_events::DecodeError> {
        let event = Event::from_json(json.as_bytes())?;
        let event_id = event.id().to_owned();
        let event_type = event.type_name().to_owned();
        let Some(expected) = ExpectedEffects::from_event(&event, livemode, policy) else {
            return Ok(Misspelt::of(&event, livemode).map_or(Seen::Nothing, Seen::Misspelt));
        };
        let mut waiting_session = None;
        if let Event::Snapshot(snapshot) = &event
            && let Object::Session(session) = &snapshot.object
            && expected.outcome == Some(SessionOutcome::Pending)
        {
            waiting_session = Some(session.id.clone());
        }
        Ok(Seen::Candidate(Self {
            json,
            event_id,
            event_type,
            happened_at,
            waiting_session,
            only_if_delayed: false,
            expected,
        }))
    }

    /// Whether it is about money that came in: a payment of a session, or a renewal.
    fn is_payment(&self) -> bool {
        let ExpectedEffects { outcome, effects, .. } = &self.expected;
        let recorded = effects::contribution(SessionOutcome::Paid);
        *outcome == Some(SessionOutcome::Paid) || outcome.is_none() && effects.contains(&recorded)
    }

    /// The missing effects, as the journal keeps it. `now` is in Unix milliseconds.
    fn missing(&self, payment: Payment, effects: Vec<Effect>, now: i64) -> Missing {
        let is_open = |effect| judge(effect, &payment.rows, self.happened_at, now) == Verdict::Open;
        Missing {
            event_id: self.event_id.clone(),
            event_type: self.event_type.clone(),
            beside_parked: self.expected.effects.iter().any(is_open),
            payment_id: payment.payment_id,
            effects,
            happened_at: self.happened_at,
            put_back_at: None,
        }
    }
}

impl<L: EffectStore, J: Journal, B: FulfilmentBus, C: Clock> Reconciliation<'_, L, J, B, C> {
    /// What the schedule does: looks again at missing effects, goes on from the checkpoint, and proves the days that
    /// are due.
    ///
    /// # Errors
    ///
    /// When Stripe, the ledger, the journal or the bus cannot be used. The next run goes on from the last page that
    /// was finished. A spent budget is no error: the run is only not complete.
    pub async fn run(&self) -> Result<Report, RunError> {
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
    /// says so. Leaves the checkpoint where it is. `progress` hears of each page.
    ///
    /// # Errors
    ///
    /// As [`Reconciliation::run`].
    pub async fn look_back(
        &self,
        from: i64,
        to: i64,
        put_back: bool,
        mut progress: impl FnMut(&Report),
    ) -> Result<Report, RunError> {
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
            progress(&work.report);
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
            if self.journal.record(&known, self.now()).await? {
                work.put_back.extend(keys(&known));
                batch.push(replay(&known.event_type, json));
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

    /// Looks at one page. What is due after it, and the tally of the window so far.
    async fn page(
        &self,
        mut sweep: Sweep,
        put_back: bool,
        work: &mut Work,
    ) -> Result<(Option<Sweep>, Tally), RunError> {
        let page = self.stripe.page(&sweep.request()).await?;
        let (candidates, misspelt) = self.candidates(&sweep, &page.items, work);
        self.record_misspelt(misspelt, work).await?;
        let candidates = self.as_filed(candidates).await?;
        let payments = self.payments(candidates.iter().map(|it| &it.expected.payment_id)).await?;
        let mut batch = Vec::new();
        for candidate in candidates {
            let Some(payment) = payments.get(&candidate.expected.payment_id) else {
                continue;
            };
            if candidate.only_if_delayed && !has_been_pending(&payment.rows) {
                continue;
            }
            if put_back && let Some(session_id) = &candidate.waiting_session {
                let Payment { payment_id, rows, .. } = payment;
                self.remember(session_id, payment_id, candidate.happened_at, rows).await?;
            }
            work.report.examined += 1;
            let Some((payment, missing)) = self.compare(&candidate, payment, work).await? else {
                continue;
            };
            sweep.tally.count_once(&candidate, &payment, self.clock.now_ms(), work);
            if missing.is_empty() {
                continue;
            }
            let missing = candidate.missing(payment, missing, self.clock.now_ms());
            let on_its_way = keys(&missing).all(|key| work.put_back.contains(&key));
            if put_back && !on_its_way && self.journal.record(&missing, self.now()).await? {
                batch.push(replay(&missing.event_type, candidate.json));
            }
            work.put_back.extend(keys(&missing));
            if !on_its_way {
                work.report.missing.push(missing);
            }
        }
        self.put_back(batch, work).await?;
        let tally = sweep.tally;
        let last = page.items.last().filter(|_| page.next.is_some()).map(|item| item.id.as_str());
        Ok((sweep.advanced(last), tally))
    }

    /// Payments that an operator completed have rows in the ledger. The others are counted, each once in a run.
    async fn record_misspelt(&self, misspelt: Vec<Misspelt>, work: &mut Work) -> Result<(), StoreError> {
        for misspelt in misspelt {
            let known = work.report.misspelt.iter().any(|known| known.payment_id == misspelt.payment_id);
            if !known && self.ledger.of_subject(&misspelt.payment_id).await?.is_empty() {
                work.report.misspelt.push(misspelt);
            }
        }
        Ok(())
    }

    /// The payment of a candidate and its missing effects; `None` when it is another business's.
    async fn compare(
        &self,
        candidate: &Candidate,
        payment: &Payment,
        work: &mut Work,
    ) -> Result<Option<(Payment, Vec<Effect>)>, RunError> {
        let missing_of = |payment: &Payment| {
            let now = self.clock.now_ms();
            missing(&candidate.expected, &payment.rows, candidate.happened_at, now)
        };
        // Whose it is matters only where something is missing.
        if missing_of(payment).is_empty() {
            return Ok(Some((payment.clone(), Vec::new())));
        }
        let ours = self.if_ours(&candidate.expected, payment.clone(), work).await?;
        Ok(ours.map(|payment| {
            let missing = missing_of(&payment);
            (payment, missing)
        }))
    }

    fn candidates(
        &self,
        sweep: &Sweep,
        items: &[ApiObject],
        work: &mut Work,
    ) -> (Vec<Candidate>, Vec<Misspelt>) {
        let mut candidates = Vec::new();
        let mut misspelt = Vec::new();
        for item in items {
            let delayed = sweep.source() == Source::Sessions && sweep.only_if_delayed(item.created);
            let json = match sweep.source() {
                Source::Events => Some(item.json().to_owned()),
                Source::Invoices if !sweep.was_paid_in_it(item) => None,
                Source::Sessions | Source::Invoices | Source::Refunds | Source::Disputes => {
                    made_from(item, self.livemode, self.now())
                }
            };
            let happened_at = match sweep.source() {
                Source::Invoices => paid_at(item),
                Source::Events | Source::Sessions | Source::Refunds | Source::Disputes => item.created,
            };
            match json.map(|json| Candidate::read(json, happened_at, self.livemode, self.policy)).transpose()
            {
                Ok(Some(Seen::Candidate(candidate))) => {
                    candidates.push(Candidate { only_if_delayed: delayed, ..candidate });
                }
                Ok(Some(Seen::Misspelt(payment))) => misspelt.push(payment),
                Ok(Some(Seen::Nothing) | None) => {}
                Err(error) => {
                    work.report.unreadable += 1;
                    warn!(event.id = %shown_id(&item.id), "cannot be read: {error}");
                }
            }
        }
        (candidates, misspelt)
    }

    /// The same candidates, under the keys that the ledger has their payments by: those of another version, where that
    /// filed them.
    async fn as_filed(&self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, StoreError> {
        let filed = candidates.into_iter().map(async |mut candidate| {
            // Only the payment of a session may be filed under another key.
            if candidate.expected.outcome.is_some()
                && let Ok(event) = Event::from_json(candidate.json.as_bytes())
                && let Some(expected) = ExpectedEffects::from_event(
                    as_filed(self.ledger, &event).await?.as_ref(),
                    self.livemode,
                    self.policy,
                )
            {
                candidate.expected = expected;
            }
            Ok(candidate)
        });
        stream::iter(filed).buffered(LOOKUPS).try_collect().await
    }

    /// The effects still missing of an event that an earlier version found missing under another key, or under another
    /// policy; `known` where both are the same.
    async fn still_missing(&self, mut known: Missing, json: &str) -> Result<Missing, StoreError> {
        let Ok(Seen::Candidate(candidate)) =
            Candidate::read(json.to_owned(), known.happened_at, self.livemode, self.policy)
        else {
            return Ok(known);
        };
        let candidates = self.as_filed(vec![candidate]).await?;
        let Some(expected) = candidates.into_iter().next().map(|it| it.expected) else {
            return Ok(known);
        };
        let ExpectedEffects { payment_id, outcome, effects, .. } = expected;
        // Renewals may no longer be thanked for: then no mail is sent, and it would be missing for ever.
        let thanks = effects::email_about(SessionOutcome::Paid);
        known.effects.retain(|effect| outcome.is_some() || *effect != thanks || effects.contains(effect));
        if payment_id == known.payment_id || payment_id.is_payment_intent() {
            return Ok(known);
        }
        let rows = self.ledger.of_subject(&payment_id).await?;
        let sent_at = known.put_back_at.unwrap_or_default().max(known.happened_at);
        let is_missing =
            |effect: &Effect| judge(effect, &rows, sent_at, self.clock.now_ms()) == Verdict::Missing;
        let effects = known.effects.iter().filter(|effect| is_missing(effect)).cloned().collect();
        Ok(Missing { payment_id, effects, ..known })
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

    pub(crate) async fn put_back(&self, batch: Vec<BusEntry>, work: &mut Work) -> Result<(), RunError> {
        self.bus.put(&batch).await?;
        work.report.put_back += u64::try_from(batch.len()).unwrap_or(u64::MAX);
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

/// Whether the ledger saw the payment wait for its money.
fn has_been_pending(rows: &[EffectRow]) -> bool {
    has_outcome(rows, SessionOutcome::Pending)
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

impl Tally {
    /// Counts a payment in its window. `now` is in Unix milliseconds.
    fn count_once(&mut self, candidate: &Candidate, payment: &Payment, now: i64, work: &mut Work) {
        if candidate.is_payment() && work.counted.insert(payment.payment_id.clone()) {
            let effects = candidate.expected.effects.iter();
            let verdicts = effects.map(|effect| judge(effect, &payment.rows, candidate.happened_at, now));
            self.count(verdicts.max().unwrap_or(Verdict::Settled));
        }
    }

    fn count(&mut self, worst: Verdict) {
        self.paid += 1;
        match worst {
            Verdict::Settled => self.fulfilled += 1,
            Verdict::UnderWay | Verdict::Open => self.open += 1,
            Verdict::Missing => self.unexplained += 1,
        }
    }
}
