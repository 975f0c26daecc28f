//! How a run looks at the sessions that wait for their money.

use aws::Clock;
use effect_ledger::{EffectRow, EffectStore};
use fulfilment::{ExpectedEffects, PaymentId};
use stripe_client::{Request, StripeError};
use stripe_events::{Event, shown_id};
use tracing::warn;

use crate::RunError;
use crate::bus::replay;
use crate::pending::{FINAL, LOOKS, Look, SEARCH_PAGES, SEARCHED_SECONDS, read_look, waits_for_money};
use crate::run::{Stopped, Work, has_outcome, keys};
use crate::{FulfilmentBus, Journal, Missing, Pending, PendingSearch, Position, Reconciliation, missing};

impl<L: EffectStore, J: Journal, B: FulfilmentBus, C: Clock> Reconciliation<'_, L, J, B, C> {
    /// Looks at the pending sessions that are due, those first that have waited longest for a look.
    pub(crate) async fn look_at_pending(&self, work: &mut Work) -> Result<(), Stopped> {
        let now = self.now();
        let pending = self.journal.pending().await?;
        let due: Vec<_> = pending.into_iter().filter(|it| it.next_look_at <= now).take(LOOKS).collect();
        let rows = self.rows_of(due.iter().map(|pending| &pending.payment_id)).await?;
        for pending in due {
            self.stop_in_time(work)?;
            let rows = rows.get(&pending.payment_id).map(Vec::as_slice).unwrap_or_default();
            self.look_at(pending, rows, work).await?;
        }
        Ok(())
    }

    async fn look_at(&self, pending: Pending, rows: &[EffectRow], work: &mut Work) -> Result<(), RunError> {
        // Live traffic brought the end of it; effects it lacks are found like any others.
        if FINAL.iter().any(|outcome| has_outcome(rows, *outcome)) {
            return Ok(self.journal.decided(&pending.session_id).await?);
        }
        let now = self.now();
        match self.look(&pending.session_id, now, now - pending.since).await? {
            Look::Open => Ok(self.journal.postpone(&pending.postponed(now)).await?),
            Look::NotOurs => Ok(self.journal.decided(&pending.session_id).await?),
            Look::Final { event_id, json } => self.put_final(&pending, event_id, json, rows, work).await,
        }
    }

    /// Puts the event on the bus that Stripe did not send, or that got lost. From then on it is among the missing
    /// effects, until the ledger has it.
    async fn put_final(
        &self,
        pending: &Pending,
        event_id: String,
        json: String,
        rows: &[EffectRow],
        work: &mut Work,
    ) -> Result<(), RunError> {
        let event = Event::from_json(json.as_bytes()).ok();
        let expected =
            event.as_ref().and_then(|event| ExpectedEffects::from_event(event, self.livemode, self.policy));
        let (Some(event), Some(expected)) = (event, expected) else {
            warn!(event.id = %shown_id(&event_id), "nothing can be made of it");
            return Ok(self.journal.postpone(&pending.clone().postponed(self.now())).await?);
        };
        let missing = Missing {
            event_id,
            event_type: event.type_name().to_owned(),
            effects: missing(&expected, rows, self.now(), self.clock.now_ms()),
            payment_id: expected.payment_id,
            happened_at: self.now(),
            put_back_at: None,
            beside_parked: false,
        };
        if !missing.effects.is_empty() && self.record(&missing).await? {
            let entry = replay(&missing.event_type, json);
            self.put_back(vec![(missing.clone(), entry)], work).await?;
        }
        work.put_back.extend(keys(&missing));
        work.report.missing.push(missing);
        Ok(self.journal.decided(&pending.session_id).await?)
    }

    /// What Stripe says of a session now.
    pub(crate) async fn look(
        &self,
        session_id: &str,
        noticed_at: i64,
        waited: i64,
    ) -> Result<Look, RunError> {
        match self.stripe.one(&Request::session(session_id).expand("payment_intent")).await {
            Ok(session) => Ok(read_look(&session, noticed_at, waited)),
            Err(StripeError::NotFound { .. }) => Ok(Look::NotOurs),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers a session that waits for its money, unless the ledger knows how that ended.
    pub(crate) async fn remember(
        &self,
        session_id: &str,
        payment_id: &PaymentId,
        since: i64,
        rows: &[EffectRow],
    ) -> Result<(), RunError> {
        if FINAL.iter().any(|outcome| has_outcome(rows, *outcome)) {
            return Ok(());
        }
        Ok(self.journal.remember(&Pending::new(session_id, payment_id, since)).await?)
    }

    /// Finds the sessions that were pending before pending ones were remembered, once in the life of a deployment: some
    /// pages of Stripe's list in each run.
    pub(crate) async fn search_pending(
        &self,
        position: &mut Position,
        work: &mut Work,
    ) -> Result<(), Stopped> {
        for _ in 0..SEARCH_PAGES {
            let (after, to) = match &position.pending_search {
                PendingSearch::Done => return Ok(()),
                PendingSearch::Due => (None, position.until),
                PendingSearch::At { after, to } => (Some(after.clone()), *to),
            };
            self.stop_in_time(work)?;
            let from = position.began_at.max(to - SEARCHED_SECONDS);
            let request = Request::completed_sessions().created(from, to);
            let request = match &after {
                Some(after) => request.starting_after(after),
                None => request,
            };
            let page = self.stripe.page(&request).await.map_err(RunError::from)?;
            let waiting: Vec<_> =
                page.items.iter().filter_map(|item| Some((item, waits_for_money(item)?))).collect();
            let rows = self.rows_of(waiting.iter().map(|(_, payment_id)| payment_id)).await?;
            for (session, payment_id) in &waiting {
                let rows = rows.get(payment_id).map(Vec::as_slice).unwrap_or_default();
                self.remember(&session.id, payment_id, session.created, rows).await?;
            }
            let last = page.items.last().filter(|_| page.next.is_some());
            position.pending_search = match last {
                Some(last) => PendingSearch::At { after: last.id.clone(), to },
                None => PendingSearch::Done,
            };
            self.save(position).await?;
        }
        Ok(())
    }
}
