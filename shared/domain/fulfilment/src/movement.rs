use serde::Serialize;

/// What a published event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AcquisitionKind {
    /// A payment.
    Acquisition,
    /// Money that went back.
    Reversal,
    /// Money that had gone back and came again.
    Reinstatement,
}

/// What moves the money of a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// We gave it back, or a refund failed.
    Refund,
    /// The customer's bank took it, or gave it back.
    Dispute,
}

/// What can move money after a payment. Each happens once.
///
/// The movements of a dispute are counted in each direction: the first of each are the ones that nearly every dispute
/// has, and have had the same names since before there were others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Movement {
    /// `re_…`: the money goes back.
    Refund(String),
    /// `re_…`: it did not arrive, and is ours again.
    RefundFailed(String),
    /// The bank takes the money.
    Dispute {
        /// `dp_…`
        id: String,
        /// For which time, from 1.
        nth: u32,
    },
    /// The bank gives it back, or a part of it.
    DisputeReinstated {
        /// `dp_…`
        id: String,
        /// For which time, from 1.
        nth: u32,
    },
}

impl Movement {
    /// The first time that a bank takes the money of a dispute (`dp_…`).
    pub const fn dispute(id: String) -> Self {
        Self::Dispute { id, nth: 1 }
    }

    /// In which direction.
    pub const fn kind(&self) -> AcquisitionKind {
        match self {
            Self::Refund(_) | Self::Dispute { .. } => AcquisitionKind::Reversal,
            Self::RefundFailed(_) | Self::DisputeReinstated { .. } => AcquisitionKind::Reinstatement,
        }
    }

    /// What moved the money, and its id at Stripe.
    pub fn cause(&self) -> (Cause, &str) {
        match self {
            Self::Refund(id) | Self::RefundFailed(id) => (Cause::Refund, id),
            Self::Dispute { id, .. } | Self::DisputeReinstated { id, .. } => (Cause::Dispute, id),
        }
    }

    /// The movement that this one takes back; `None` when it takes back the payment itself. Every return of a
    /// dispute names the dispute's first withdrawal, which is always there.
    pub(crate) fn undoes(&self) -> Option<Self> {
        match self {
            Self::Refund(_) | Self::Dispute { .. } => None,
            Self::RefundFailed(id) => Some(Self::Refund(id.clone())),
            Self::DisputeReinstated { id, .. } => Some(Self::dispute(id.clone())),
        }
    }

    /// The name within a payment: `refund#re_1`, `refund#re_1#failed`, `dispute#dp_1`, `dispute#dp_1#reinstated`. From
    /// the second time on the name ends in a number: `dispute#dp_1#2`.
    pub fn name(&self) -> String {
        match self {
            Self::Refund(id) => format!("refund#{id}"),
            Self::RefundFailed(id) => format!("refund#{id}#failed"),
            Self::Dispute { id, nth } => format!("dispute#{id}{}", numbered(*nth)),
            Self::DisputeReinstated { id, nth } => format!("dispute#{id}#reinstated{}", numbered(*nth)),
        }
    }

    /// Reads a name back.
    pub fn from_name(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.split('#').collect();
        let id = || parts.get(1).map(|id| (*id).to_owned());
        Some(match parts[..] {
            ["refund", _] => Self::Refund(id()?),
            ["refund", _, "failed"] => Self::RefundFailed(id()?),
            ["dispute", _] => Self::dispute(id()?),
            ["dispute", _, "reinstated"] => Self::DisputeReinstated { id: id()?, nth: 1 },
            ["dispute", _, nth] => Self::Dispute { id: id()?, nth: number(nth)? },
            ["dispute", _, "reinstated", nth] => Self::DisputeReinstated { id: id()?, nth: number(nth)? },
            _ => return None,
        })
    }
}

fn numbered(nth: u32) -> String {
    if nth > 1 { format!("#{nth}") } else { String::new() }
}

/// A number as [`numbered`] writes it, and no other way.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|nth| numbered(*nth).strip_prefix('#') == Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movements_can_be_read_back_from_their_names() {
        let id = || "x_1".to_owned();
        for (movement, name) in [
            (Movement::Refund(id()), "refund#x_1"),
            (Movement::RefundFailed(id()), "refund#x_1#failed"),
            (Movement::dispute(id()), "dispute#x_1"),
            (Movement::Dispute { id: id(), nth: 2 }, "dispute#x_1#2"),
            (Movement::DisputeReinstated { id: id(), nth: 1 }, "dispute#x_1#reinstated"),
            (Movement::DisputeReinstated { id: id(), nth: 12 }, "dispute#x_1#reinstated#12"),
        ] {
            assert_eq!(movement.name(), name);
            assert_eq!(Movement::from_name(name), Some(movement));
        }
    }

    #[test]
    fn other_names_are_no_movements() {
        for name in [
            "",
            "refund",
            "refund#re_1#reinstated",
            "refund#re_1#failed#twice",
            "refund#re_1#2",
            "gift#1",
            "dispute#dp_1#0",
            "dispute#dp_1#1",
            "dispute#dp_1#02",
            "dispute#dp_1#+2",
            "dispute#dp_1#lost",
            "dispute#dp_1#reinstated#1",
            "dispute#dp_1#reinstated#",
        ] {
            assert_eq!(Movement::from_name(name), None, "{name}");
        }
    }
}
