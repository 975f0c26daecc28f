use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often an effect may be acted on when an earlier attempt may have succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// An attempt whose end is not known is never repeated: mail, which cannot be recalled.
    AtMostOnce,
    /// An attempt whose end is not known is repeated: the other side drops repeats, by a deterministic id or by a
    /// write's condition.
    AtLeastOnce,
}

/// An effect: its name within a subject, e.g. `email#thank-you`, and its delivery guarantee.
///
/// Two effects are equal when their names are. The guarantee is stated where the effect is named; a name that is read
/// from a row of the ledger has [`Guarantee::AtMostOnce`], so that an effect of an unknown name is never repeated.
#[derive(Debug, Clone)]
pub struct Effect {
    name: Cow<'static, str>,
    guarantee: Guarantee,
    claim_kept_seconds: Option<i64>,
}

impl Effect {
    /// An effect that is never repeated unless the earlier attempt is proven to have done nothing.
    pub fn at_most_once(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), guarantee: Guarantee::AtMostOnce, claim_kept_seconds: None }
    }

    /// An effect that is repeated until it is known to have succeeded.
    pub fn at_least_once(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), guarantee: Guarantee::AtLeastOnce, claim_kept_seconds: None }
    }

    /// The same effect, whose unsettled claims expire by themselves this many seconds after their lease.
    ///
    /// For questions: once no answer is needed any longer, nothing would settle a claim that was left behind.
    #[must_use]
    pub const fn with_claims_kept(mut self, seconds: i64) -> Self {
        self.claim_kept_seconds = Some(seconds);
        self
    }

    /// The same effect under a longer name, with the same guarantee.
    #[must_use]
    pub fn extended(&self, suffix: &str) -> Self {
        Self { name: format!("{}{suffix}", self.name).into(), ..self.clone() }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// How often it may be acted on.
    pub const fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// For how long after its lease an unsettled claim is kept, in seconds; `None` for ever.
    pub const fn claim_kept_seconds(&self) -> Option<i64> {
        self.claim_kept_seconds
    }
}

impl From<&str> for Effect {
    /// Takes the name of an effect as the ledger has it.
    fn from(name: &str) -> Self {
        Self::at_most_once(name.to_owned())
    }
}

impl PartialEq for Effect {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Effect {}

impl PartialOrd for Effect {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Effect {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Hash for Effect {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Serialize for Effect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Effect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::at_most_once)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_read_back_is_never_repeated() {
        assert_eq!(Effect::from("acquisition").guarantee(), Guarantee::AtMostOnce);
        assert_eq!(Effect::from("acquisition"), Effect::at_least_once("acquisition"));
    }

    #[test]
    fn a_longer_name_keeps_the_guarantee() {
        let resent = Effect::at_most_once("email#thank-you").extended("#resend#r-1");
        assert_eq!(
            (resent.as_str(), resent.guarantee()),
            ("email#thank-you#resend#r-1", Guarantee::AtMostOnce)
        );
        let status = Effect::at_least_once("contribution#dispute#dp_1").extended("#lost");
        assert_eq!(status.guarantee(), Guarantee::AtLeastOnce);
    }
}
