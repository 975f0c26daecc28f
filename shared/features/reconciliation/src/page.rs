//! One page of Stripe's list against the ledger: which events are candidates, under which key their payments are filed,
//! and which of their expected effects are missing.

use aws::Clock;
use effect_ledger::{Effect, EffectRow, EffectStore, StoreError};
use fulfilment::{ExpectedEffects, Policy, SessionOutcome, effects};
use futures_util::{StreamExt, TryStreamExt, stream};
use payment_ledger::as_filed;
use stripe_client::ApiObject;
use stripe_events::{Event, Object, shown_id};
use tracing::warn;

use crate::bus::replay;
use crate::ours::Payment;
use crate::run::{LOOKUPS, Work, has_outcome, keys};
use crate::{
    FulfilmentBus, Journal, ListSource, Missing, Misspelt, Reconciliation, RunError, Sweep, Tally, Verdict,
    judge, made_from, missing, paid_at,
};

/// An event, and the effects that are expected of it.
pub(crate) struct Candidate {
    json: String,
    event_id: String,
    event_type: String,
    happened_at: i64,
    /// The session, when it waits for its money.
    waiting_session: Option<String>,
    /// Whether it is in the window only if its money came days after its session was opened.
    only_if_delayed: bool,
    pub(crate) expected: ExpectedEffects,
}

/// What an event is to reconciliation.
pub(crate) enum Seen {
    Candidate(Candidate),
    Misspelt(Misspelt),
    Nothing,
}

impl Candidate {
    pub(crate) fn read(
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
    /// Looks at one page. The next sweep that is due, and the tally of the window so far.
    pub(crate) async fn page(
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
            if put_back && !on_its_way && self.record(&missing).await? {
                let entry = replay(&missing.event_type, candidate.json);
                batch.push((missing.clone(), entry));
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
            let delayed = sweep.source() == ListSource::Sessions && sweep.only_if_delayed(item.created);
            let json = match sweep.source() {
                ListSource::Events => Some(item.json().to_owned()),
                ListSource::Invoices if !sweep.was_paid_in_it(item) => None,
                ListSource::Sessions | ListSource::Invoices | ListSource::Refunds | ListSource::Disputes => {
                    made_from(item, self.livemode, self.now())
                }
            };
            let happened_at = match sweep.source() {
                ListSource::Invoices => paid_at(item),
                ListSource::Events | ListSource::Sessions | ListSource::Refunds | ListSource::Disputes => {
                    item.created
                }
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
    pub(crate) async fn as_filed(&self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, StoreError> {
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
    pub(crate) async fn still_missing(&self, mut known: Missing, json: &str) -> Result<Missing, StoreError> {
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
}

/// Whether the ledger saw the payment wait for its money.
fn has_been_pending(rows: &[EffectRow]) -> bool {
    has_outcome(rows, SessionOutcome::Pending)
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
