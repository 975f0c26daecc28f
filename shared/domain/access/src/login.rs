//! What becomes of a login: from what there is in the user pool to what ought to be there.
//!
//! Calls are repeated until they are known to be done; each of them is idempotent. So a lost reply costs another try
//! and nothing else.

use fulfilment::WithoutAccess;
use serde::{Deserialize, Serialize};

/// What ought to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whether the person has access to anything.
    pub has_access: bool,
    /// The person's subject: written into the user's attribute `custom:subject`.
    pub subject: String,
    /// The entitlements, as the user's attribute `custom:entitlements` shows them to the administrators of the pool.
    pub mirrored: String,
    /// What becomes of the login of a person with no access left.
    pub without_access: WithoutAccess,
}

/// What we have written down of our own deeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownLogin {
    /// We made the user.
    pub made_by_us: bool,
    /// We disabled the user.
    pub disabled_by_us: bool,
}

/// A user of the pool, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Whether they can sign in.
    pub is_enabled: bool,
    /// Whether the address was proven.
    pub email_verified: bool,
    /// Whether they have no password yet: made by us a moment ago, or invited by an administrator of the pool.
    pub must_change_password: bool,
    /// `custom:subject`: set on whom we made or attached.
    pub subject: Option<String>,
    /// `custom:entitlements`
    pub mirrored: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: there is no login, and none is needed.
    NoLogin,
    /// These calls, in this order; none where all is well.
    Steps {
        /// The calls.
        steps: Vec<Step>,
        /// What is written down before the first of them, so that a crash in between forgets no deed of ours.
        before: KnownLogin,
        /// What is written down after the last of them.
        after: KnownLogin,
    },
    /// A person has to decide.
    Park(Park),
}

/// A call of the user pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Makes the user, with a verified address and without an invitation.
    /// <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html>
    Create,
    /// Sets a random password that is kept nowhere, for good. Until then a user that we made can neither sign in by code nor ask
    /// for a new password.
    SetPassword,
    /// Writes `custom:subject` and `custom:entitlements`.
    WriteAttributes,
    /// Lets the user sign in again.
    Enable,
    /// Keeps the user from signing in.
    Disable,
}

/// Why a person has to decide about a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Park {
    /// A user with this address never proved that it is theirs: it may be another person's.
    NotVerified,
    /// An administrator of the pool disabled the user, and not us.
    DisabledByAdministrator,
    /// The user belongs to another person.
    AnotherSubject,
}

impl Park {
    /// The reason code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotVerified => "login_not_verified",
            Self::DisabledByAdministrator => "disabled_by_somebody",
            Self::AnotherSubject => "login_of_another_subject",
        }
    }
}

impl Plan {
    /// Compares what there is with what ought to be. At most three calls, beside the one that read the user.
    pub fn of(wanted: &Wanted, known: KnownLogin, user: Option<&User>) -> Self {
        let Some(user) = user else {
            return if wanted.has_access {
                let made = KnownLogin { made_by_us: true, disabled_by_us: false };
                Self::Steps { steps: vec![Step::Create, Step::SetPassword], before: made, after: made }
            } else {
                Self::NoLogin
            };
        };
        if user.subject.as_ref().is_some_and(|subject| *subject != wanted.subject) {
            return Self::Park(Park::AnotherSubject);
        }
        let is_attached = user.subject.is_some();
        // An administrator was quicker: a user that we make has its subject from the beginning.
        let made_by_us = known.made_by_us && is_attached;
        let mut steps = Vec::new();
        let mut disabled_by_us = known.disabled_by_us && !user.is_enabled;
        let mut after = KnownLogin { made_by_us, disabled_by_us };
        if wanted.has_access {
            if !user.email_verified {
                return Self::Park(Park::NotVerified);
            }
            if !user.is_enabled && !disabled_by_us {
                return Self::Park(Park::DisabledByAdministrator);
            }
            // Only what we made ourselves: the password of a person is theirs.
            if made_by_us && user.must_change_password {
                steps.push(Step::SetPassword);
            }
            if !user.is_enabled {
                steps.push(Step::Enable);
                after.disabled_by_us = false;
            }
        } else if is_attached && user.is_enabled && wanted.without_access == WithoutAccess::Disable {
            steps.push(Step::Disable);
            disabled_by_us = true;
            after.disabled_by_us = true;
        }
        let is_mirrored = is_attached && user.mirrored.as_ref() == Some(&wanted.mirrored);
        if !is_mirrored && (is_attached || wanted.has_access) {
            steps.push(Step::WriteAttributes);
        }
        Self::Steps { steps, before: KnownLogin { made_by_us, disabled_by_us }, after }
    }
}

#[cfg(test)]
mod tests;
