use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FulfilmentKind, PolicyError};

/// What a kind of product lets its buyers do: entitlements that applications ask about, and until when they hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessPolicy {
    /// What buyers may do, unless the product in Stripe says so itself.
    pub entitlements: BTreeMap<EntitlementName, Allowance>,
    /// How long access outlives a paid period, in days: the time that Stripe takes to collect the next payment.
    pub slack_days: i64,
    /// How long access outlives a failed payment, in days from the first failure.
    pub grace_days: i64,
    /// What a first payment gives that is not there yet, such as a bank debit.
    pub while_pending: WhilePending,
    /// What becomes of access while Stripe collects no invoices.
    pub while_collection_paused: Meanwhile,
    /// What becomes of access while a bank decides about the payment, or its issuer warns of fraud.
    pub while_disputed: Meanwhile,
    /// Whether access ends with the money of the current period paid back in full.
    pub refund_ends: bool,
    /// How long a product that is paid once gives access, in days from the payment; for good without it.
    pub term_days: Option<i64>,
    /// What becomes of the login of a person with no access left.
    pub without_access: WithoutAccess,
}

impl Default for AccessPolicy {
    fn default() -> Self {
        Self {
            entitlements: BTreeMap::new(),
            slack_days: 3,
            grace_days: 21,
            while_pending: WhilePending::Wait,
            while_collection_paused: Meanwhile::Keep,
            while_disputed: Meanwhile::Suspend,
            refund_ends: true,
            term_days: None,
            without_access: WithoutAccess::Keep,
        }
    }
}

/// What a payment gives that is still on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhilePending {
    /// Nothing yet.
    Wait,
    /// Access at once.
    Grant,
}

/// What becomes of access while something is undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meanwhile {
    /// It goes on.
    Keep,
    /// It rests, and comes back by itself.
    Suspend,
}

/// What becomes of the login of a person with no access left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutAccess {
    /// They can sign in, to renew.
    Keep,
    /// They cannot sign in.
    Disable,
}

/// The name of an entitlement, as applications know it: `dapps`. Lower-case letters, digits, `-` and `_`, at most 40.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntitlementName(String);

impl EntitlementName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EntitlementName {
    type Error = PolicyError;

    fn try_from(name: String) -> Result<Self, PolicyError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 40 && name.chars().all(fits) {
            return Ok(Self(name));
        }
        Err(PolicyError::new(
            "the name of an entitlement begins with a lower-case letter and has lower-case letters, digits, `-` and `_`, \
             at most 40"
                .into(),
        ))
    }
}

impl From<EntitlementName> for String {
    fn from(name: EntitlementName) -> Self {
        name.0
    }
}

impl fmt::Display for EntitlementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much of an entitlement a purchase gives, and what two purchases give together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Allowance {
    /// How much.
    pub limit: Limit,
    /// What two of them are together.
    pub several: Several,
}

/// How much of an entitlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Without a number.
    None,
    /// So many.
    Fixed(i64),
    /// As many as were bought.
    Quantity,
}

/// What two purchases give together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Several {
    /// Their sum.
    Sum,
    /// The larger.
    Max,
}

/// `true`, a number or `"quantity"`, alone or as the `limit` of a table.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Flag(bool),
    Number(i64),
    Word(String),
    Table {
        limit: Box<Written>,
        #[serde(default)]
        several: Option<Several>,
    },
}

impl TryFrom<Written> for Allowance {
    type Error = PolicyError;

    fn try_from(written: Written) -> Result<Self, PolicyError> {
        match written {
            Written::Flag(true) => Ok(Self::of(Limit::None)),
            Written::Number(number) if number > 0 => Ok(Self::of(Limit::Fixed(number))),
            Written::Word(word) if word == "quantity" => Ok(Self::of(Limit::Quantity)),
            Written::Table { limit, several } => {
                let allowance = Self::try_from(*limit)?;
                Ok(Self { several: several.unwrap_or(allowance.several), ..allowance })
            }
            Written::Flag(false) | Written::Number(_) | Written::Word(_) => Err(PolicyError::new(
                "an entitlement is `true`, a number above 0, or \"quantity\" for as many as were bought"
                    .into(),
            )),
        }
    }
}

impl Allowance {
    /// An allowance by what two of them usually are together: numbers of things bought add up, constants do not.
    pub const fn of(limit: Limit) -> Self {
        let several = match limit {
            Limit::Quantity => Several::Sum,
            Limit::None | Limit::Fixed(_) => Several::Max,
        };
        Self { limit, several }
    }
}

impl AccessPolicy {
    /// Checks what its types cannot; names the first mistake.
    pub(crate) fn check(&self, kind: FulfilmentKind) -> Result<(), PolicyError> {
        let wrong = |problem: &str| Err(PolicyError::new(format!("[{kind}.access] {problem}")));
        if self.slack_days < 0 || self.grace_days < 0 {
            return wrong("`slack_days` and `grace_days` are days, 0 or more");
        }
        if self.slack_days > 366 || self.grace_days > 366 {
            return wrong("`slack_days` and `grace_days` are at most a year");
        }
        if self.term_days.is_some_and(|days| days < 1) {
            return wrong("`term_days` must be at least 1; leave it out where access is for good");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AccessPolicy, String> {
        let policy: AccessPolicy = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        policy.check(FulfilmentKind::Membership).map_err(|error| error.to_string())?;
        Ok(policy)
    }

    #[test]
    fn entitlements_are_written_as_people_think_of_them() {
        let policy = parse(
            "entitlements = { dapps = \"quantity\", reports = true, seats = { limit = 5, several = \"sum\" } }",
        );
        let entitlements = policy.unwrap().entitlements;
        let of = |name: &str| entitlements[&EntitlementName::try_from(name.to_owned()).unwrap()];
        assert_eq!(of("dapps"), Allowance { limit: Limit::Quantity, several: Several::Sum });
        assert_eq!(of("reports"), Allowance { limit: Limit::None, several: Several::Max });
        assert_eq!(of("seats"), Allowance { limit: Limit::Fixed(5), several: Several::Sum });
    }

    #[test]
    fn every_mistake_has_a_sentence() {
        for (text, part) in [
            ("entitlements = { dapps = 0 }", "a number above 0"),
            ("entitlements = { dapps = false }", "`true`, a number"),
            ("entitlements = { dapps = \"many\" }", "\"quantity\" for as many"),
            ("entitlements = { Dapps = 1 }", "lower-case letter"),
            ("slack_days = -1", "0 or more"),
            ("grace_days = 1000", "at most a year"),
            ("term_days = 0", "leave it out"),
            ("grace = 3", "unknown field `grace`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
