use stripe_events::BalanceTransaction;

use crate::{Currency, DisputeMoved, DisputeStatus, Money};

/// Money that a dispute moved, as one of its events shows it.
///
/// An event shows movements in three ways: the dispute's balance transactions list them, the event's type names one,
/// and a verdict implies them. Whichever event shows a movement, its direction and its place among the movements of
/// that direction are the same, so that it can be counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisputeMovement {
    /// Which way.
    pub direction: Direction,
    /// Which movement of this direction it is, from 1: an appeal can take the money again, and a return can come in
    /// parts.
    pub nth: u32,
    /// How much, above zero, in the dispute's currency.
    pub amount: Money,
    /// When, in Unix seconds.
    pub occurred_at: i64,
}

/// Which way money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From us to the customer's bank.
    Out,
    /// Back to us.
    Back,
}

/// What an event says of a dispute's balance, for the record. Each field only grows while the dispute goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DisputeBalance {
    /// All that the balance transactions took, in minor units of the dispute's currency.
    pub withdrawn: Option<i64>,
    /// All that they brought back, as far as it is known.
    pub returned: Option<i64>,
    /// When money last left, in Unix seconds.
    pub withdrawn_at: Option<i64>,
    /// When money last came back, in Unix seconds.
    pub reinstated_at: Option<i64>,
}

/// One of a dispute's balance transactions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    direction: Direction,
    /// Minor units of the dispute's currency; `None` when it was settled in another one and nothing says how much
    /// that is.
    minor: Option<i64>,
    at: Option<i64>,
}

/// What the movements of an event follow from.
pub(crate) struct Shown<'a> {
    pub(crate) listed: &'a [Listed],
    pub(crate) amount: Money,
    pub(crate) status: DisputeStatus,
    /// Whether the status says what a return amounts to that no balance transaction shows: all of it.
    pub(crate) returns_whole: bool,
    pub(crate) moved: DisputeMoved,
    /// When the event happened, in Unix seconds.
    pub(crate) occurred_at: i64,
    /// When the dispute was opened, in Unix seconds.
    pub(crate) opened_at: i64,
    /// Whether the event was made from the object, so that its own time says nothing of its movements.
    pub(crate) is_made: bool,
}

/// What an event shows.
pub(crate) struct Movements {
    pub(crate) movements: Vec<DisputeMovement>,
    pub(crate) balance: DisputeBalance,
    /// Money came back, and nothing says how much.
    pub(crate) return_unknown: bool,
}

impl Listed {
    /// Reads a dispute's balance transactions, the oldest first. None of them counts if one has no amount.
    ///
    /// They are in the currency of the balance. Where that is not the dispute's, the first withdrawal is the disputed
    /// amount, and all others are in proportion to it.
    pub(crate) fn read_all(transactions: &[BalanceTransaction], disputed: Money) -> Vec<Self> {
        if transactions.iter().any(|transaction| transaction.amount.is_none()) {
            return Vec::new();
        }
        let mut transactions: Vec<_> = transactions.iter().filter(|it| it.amount != Some(0)).collect();
        if transactions.iter().all(|transaction| transaction.created.is_some()) {
            transactions.sort_by_key(|transaction| transaction.created);
        }
        let currency = |transaction: &BalanceTransaction| match &transaction.currency {
            None => Some(disputed.currency()),
            Some(code) => Currency::try_from(code.as_str()).ok(),
        };
        let signed = |transaction: &BalanceTransaction| transaction.amount.unwrap_or_default();
        transactions
            .iter()
            .map(|transaction| {
                let signed_minor = signed(transaction);
                let settled_in = currency(transaction);
                let direction = if signed_minor < 0 { Direction::Out } else { Direction::Back };
                let first_out =
                    || transactions.iter().find(|it| signed(it) < 0 && currency(it) == settled_in);
                let minor = match (settled_in, direction) {
                    (Some(settled_in), _) if settled_in == disputed.currency() => {
                        Some(signed_minor.saturating_abs())
                    }
                    (Some(_), _) => first_out()
                        .map(|first_out| in_proportion(disputed.minor(), signed_minor, signed(first_out))),
                    (None, Direction::Out) => Some(disputed.minor()),
                    (None, Direction::Back) => None,
                };
                Self { direction, minor, at: transaction.created }
            })
            .collect()
    }

    /// What the listed movements leave with the customer's bank, in minor units of the dispute's currency.
    pub(crate) fn net_out(listed: &[Self]) -> i64 {
        sum(listed, Direction::Out).saturating_sub(sum(listed, Direction::Back))
    }
}

impl Shown<'_> {
    /// What moved so far, each movement under its place.
    pub(crate) fn movements(&self) -> Movements {
        let mut movements: Vec<_> = [Direction::Out, Direction::Back]
            .into_iter()
            .flat_map(|direction| {
                let of_direction = self.listed.iter().filter(move |listed| listed.direction == direction);
                of_direction.zip(1..).filter_map(move |(listed, nth)| {
                    Some(self.movement(direction, nth, listed.minor?, listed.at))
                })
            })
            .collect();
        let outs = self.count(Direction::Out);
        let backs = self.count(Direction::Back);
        let decided = matches!(self.status, DisputeStatus::Won | DisputeStatus::Lost);
        let mut taken = sum(self.listed, Direction::Out);
        if outs == 0 && (self.moved != DisputeMoved::None || decided) {
            // Money that was won or came back had been taken before, whether or not that event has come.
            taken = self.amount.minor();
            movements.insert(0, self.movement(Direction::Out, 1, taken, None));
        }
        let mut return_unknown = self.listed.iter().any(|listed| listed.minor.is_none());
        // An event's type is about a listed return if there is one; money that was won comes back however often it was
        // taken.
        let came_back = (self.moved == DisputeMoved::Reinstated && backs == 0)
            || (self.status == DisputeStatus::Won && (self.listed.is_empty() || outs > backs));
        if came_back {
            let outstanding = taken.saturating_sub(sum(self.listed, Direction::Back));
            if !self.returns_whole {
                return_unknown = true;
            } else if outstanding > 0 {
                movements.push(self.movement(Direction::Back, backs + 1, outstanding, None));
            }
        }
        Movements { movements, balance: self.balance(), return_unknown }
    }

    /// What the record keeps: what the list and the type say, not what a verdict implies.
    fn balance(&self) -> DisputeBalance {
        let total = |direction| {
            let known = self.listed.iter().any(|it| it.direction == direction && it.minor.is_some());
            known.then(|| sum(self.listed, direction))
        };
        let named_at = if self.is_made { self.opened_at } else { self.occurred_at };
        let last_at = |direction, named: DisputeMoved| {
            let of_direction = || self.listed.iter().filter(move |it| it.direction == direction);
            let listed_at = of_direction().filter_map(|listed| listed.at).max();
            // The list knows better when it was; the event may be about an earlier one.
            if of_direction().any(|listed| listed.at.is_some()) {
                listed_at
            } else {
                (self.moved == named).then_some(named_at)
            }
        };
        DisputeBalance {
            withdrawn: total(Direction::Out),
            returned: total(Direction::Back),
            withdrawn_at: last_at(Direction::Out, DisputeMoved::Withdrawn),
            reinstated_at: last_at(Direction::Back, DisputeMoved::Reinstated),
        }
    }

    /// Without a time of its own, money left when the dispute was opened, and came back when an event said so: so
    /// a withdrawal has the same time in all events.
    fn movement(&self, direction: Direction, nth: u32, minor: i64, at: Option<i64>) -> DisputeMovement {
        let occurred_at = at.unwrap_or(match direction {
            Direction::Out => self.opened_at,
            Direction::Back => self.occurred_at,
        });
        DisputeMovement { direction, nth, amount: Money::new(minor, self.amount.currency()), occurred_at }
    }

    fn count(&self, direction: Direction) -> u32 {
        let count = self.listed.iter().filter(|listed| listed.direction == direction).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

fn sum(listed: &[Listed], direction: Direction) -> i64 {
    let of_direction = listed.iter().filter(|listed| listed.direction == direction);
    of_direction.filter_map(|listed| listed.minor).fold(0, i64::saturating_add)
}

/// `whole · |part| / |of|`, rounded to the nearest, half up.
fn in_proportion(whole: i64, part: i64, of: i64) -> i64 {
    let part = i128::from(part).abs();
    let of = i128::from(of).abs();
    let scaled = (i128::from(whole) * part + of / 2) / of.max(1);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
