//! An effect ledger in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use effect_ledger::{
    Claim, Disposition, EffectKey, EffectRow, EffectState, EffectStore, Executor, Guarantee, NotGranted,
    Refused, Settlement, Standing, StoreError, Subject,
};

/// Rows in memory; clones share them. Each write is whole or not at all, as DynamoDB's conditional writes are.
#[derive(Debug, Clone, Default)]
pub struct InMemoryEffects(Rc<RefCell<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    begun: BTreeMap<EffectKey, EffectRow>,
    /// The versions of effects that no executor has begun, and when they expire.
    versions: BTreeMap<EffectKey, (u32, Option<i64>)>,
}

impl Rows {
    /// The row that an executor writes; it begins the effect if none has.
    fn begin(&mut self, key: &EffectKey) -> EffectRow {
        let version = self.versions.remove(key).map_or(0, |(version, _)| version);
        let row = self.begun.get(key).cloned();
        row.unwrap_or_else(|| EffectRow { version, ..EffectRow::new(key.effect.clone(), EffectState::Done) })
    }
}

impl InMemoryEffects {
    /// Where an effect stands.
    pub fn state(&self, key: &EffectKey) -> Option<EffectState> {
        self.0.borrow().begun.get(key).map(|row| row.state.clone())
    }

    /// A whole row, if an executor has begun the effect.
    pub fn row(&self, key: &EffectKey) -> Option<EffectRow> {
        self.0.borrow().begun.get(key).cloned()
    }

    /// Every row of a begun effect, in the order of its key.
    pub fn rows(&self) -> Vec<(EffectKey, EffectRow)> {
        self.0.borrow().begun.iter().map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// The version of an effect that no executor has begun, and when it expires.
    pub fn waiting_version(&self, key: &EffectKey) -> Option<(u32, Option<i64>)> {
        self.0.borrow().versions.get(key).copied()
    }

    /// Takes a row away, as nothing in production does.
    pub fn forget(&self, key: &EffectKey) {
        self.0.borrow_mut().begun.remove(key);
    }

    /// Puts a whole row there, as history would have.
    pub fn put_row(&self, subject: &Subject, row: EffectRow) {
        let key = EffectKey::new(subject.clone(), row.effect.clone());
        self.0.borrow_mut().begun.insert(key, row);
    }

    /// Raises the version as [`DynamoDbEffects::version_raised`](effect_ledger::DynamoDbEffects::version_raised) does:
    /// with an expiry, only if no executor has begun the effect. Returns whether it did.
    pub fn put_version(&self, key: &EffectKey, expires_at: Option<i64>) -> bool {
        let mut rows = self.0.borrow_mut();
        if let Some(row) = rows.begun.get_mut(key) {
            if expires_at.is_none() {
                row.version += 1;
                row.expires_at = None;
            }
            return expires_at.is_none();
        }
        let (version, _) = rows.versions.get(key).copied().unwrap_or_default();
        rows.versions.insert(key.clone(), (version + 1, expires_at));
        true
    }

    /// Puts an effect somewhere, as history would have.
    pub fn put(&self, key: &EffectKey, state: EffectState) {
        let last_claim = match &state {
            EffectState::Claimed(claim) => Some((claim.owner.clone(), claim.attempt)),
            EffectState::Done
            | EffectState::Skipped { .. }
            | EffectState::Retry { .. }
            | EffectState::Parked { .. }
            | EffectState::Unknown { .. } => None,
        };
        let row = EffectRow { last_claim, ..EffectRow::new(key.effect.clone(), state) };
        self.put_row(&key.subject, row);
    }
}

impl EffectStore for InMemoryEffects {
    async fn claim(
        &self,
        key: &EffectKey,
        executor: &Executor<'_>,
        now: i64,
    ) -> Result<Result<Claim, NotGranted>, StoreError> {
        let mut rows = self.0.borrow_mut();
        let row = rows.begun.get(key);
        if let Some(row) = row
            && EffectState::standing(Some(&row.state), key.effect.guarantee(), now) != Standing::Free
        {
            if let EffectState::Claimed(claim) = &row.state
                && claim.owner == executor.owner
            {
                return Ok(Ok(claim.clone()));
            }
            return Ok(Err(NotGranted::InTheWay(Box::new(row.clone()))));
        }
        let version =
            row.map(|row| row.version).or_else(|| rows.versions.get(key).map(|(version, _)| *version));
        let version = version.unwrap_or_default();
        if key.effect.guarantee() == Guarantee::AtMostOnce && version != executor.expected_version {
            return Ok(Err(NotGranted::Stale(version)));
        }
        let attempt = row.and_then(|row| row.last_claim.as_ref()).map_or(0, |(_, attempt)| *attempt) + 1;
        let claim = Claim { owner: executor.owner.to_owned(), attempt, lease_until: executor.lease_until };
        let state = EffectState::Claimed(claim.clone());
        let row = rows.begin(key);
        let row = EffectRow {
            state,
            last_claim: Some((claim.owner.clone(), attempt)),
            expires_at: executor.claim_expires_at(key),
            event_id: Some(executor.event_id.to_owned()),
            detail: executor.detail.map(str::to_owned),
            first_at: row.first_at.or(Some(now)),
            updated_at: Some(now),
            ..row
        };
        rows.begun.insert(key.clone(), row);
        Ok(Ok(claim))
    }

    async fn settle(
        &self,
        key: &EffectKey,
        claim: &Claim,
        settlement: &Settlement,
        now: i64,
    ) -> Result<Result<u32, Refused>, StoreError> {
        let mut rows = self.0.borrow_mut();
        let Some(row) = rows.begun.get_mut(key) else {
            return Ok(Err(Refused));
        };
        if row.last_claim != Some((claim.owner.clone(), claim.attempt)) {
            return Ok(Err(Refused));
        }
        if !matches!(row.state, EffectState::Claimed(_)) {
            let ours = row.state.name() == settlement.state_name();
            return Ok(if ours { Ok(row.version) } else { Err(Refused) });
        }
        row.updated_at = Some(now);
        row.open = !matches!(settlement, Settlement::Done { .. } | Settlement::Answered { .. });
        row.state = match settlement.clone() {
            Settlement::Done { reference } => {
                row.reference = Some(reference);
                EffectState::Done
            }
            Settlement::Answered { reference, expires_at } => {
                row.reference = Some(reference);
                row.expires_at = expires_at;
                EffectState::Done
            }
            Settlement::Retry { reason } => {
                row.detail = None;
                EffectState::Retry { reason }
            }
            Settlement::Parked { reason } => {
                row.detail = None;
                EffectState::Parked { reason }
            }
            Settlement::Unknown { reason } => EffectState::Unknown { reason },
        };
        Ok(Ok(row.version))
    }

    async fn write_disposition(
        &self,
        key: &EffectKey,
        write_disposition: Disposition<'_>,
        event_id: &str,
        now: i64,
    ) -> Result<Result<(), EffectRow>, StoreError> {
        let mut rows = self.0.borrow_mut();
        if let Some(row) = rows.begun.get(key)
            && matches!(row.state, EffectState::Done | EffectState::Unknown { .. } | EffectState::Claimed(_))
        {
            return Ok(Err(row.clone()));
        }
        let row = rows.begin(key);
        let row = EffectRow {
            event_id: Some(event_id.to_owned()),
            first_at: row.first_at.or(Some(now)),
            updated_at: Some(now),
            ..row
        };
        let reason = write_disposition.reason().to_owned();
        let row = match write_disposition {
            Disposition::Skip(_) => {
                let state = EffectState::Skipped { reason };
                EffectRow { state, detail: None, expires_at: None, open: false, ..row }
            }
            Disposition::Park { detail, .. } => {
                let (state, detail) = (EffectState::Parked { reason }, Some(detail.to_owned()));
                EffectRow { state, detail, expires_at: None, open: true, ..row }
            }
            Disposition::AwaitPayment { moved, moved_reason, expires_at, .. } => {
                let state = EffectState::Retry { reason };
                let moved_reason = moved_reason.map(str::to_owned).or(row.moved_reason);
                EffectRow { state, moved: Some(moved), moved_reason, expires_at, ..row }
            }
        };
        rows.begun.insert(key.clone(), row);
        Ok(Ok(()))
    }

    async fn mark_contended(&self, key: &EffectKey, claim: &Claim) -> Result<(), StoreError> {
        if let Some(row) = self.0.borrow_mut().begun.get_mut(key)
            && row.state == EffectState::Claimed(claim.clone())
        {
            row.open = true;
        }
        Ok(())
    }

    async fn raise_version(
        &self,
        key: &EffectKey,
        expires_at: i64,
    ) -> Result<Option<EffectState>, StoreError> {
        if !self.put_version(key, Some(expires_at))
            && let Some(row) = self.0.borrow_mut().begun.get_mut(key)
        {
            row.version += 1;
        }
        Ok(self.state(key))
    }

    async fn of_subject(&self, subject: &Subject) -> Result<Vec<EffectRow>, StoreError> {
        let rows = &self.0.borrow().begun;
        Ok(rows.iter().filter(|(key, _)| key.subject == *subject).map(|(_, row)| row.clone()).collect())
    }
}
