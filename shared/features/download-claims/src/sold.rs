//! What a session sold, by its line items at Stripe: for the words of a mail, and for nothing that decides.

/// One line of a sale, as Stripe shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldItem {
    /// The product's name.
    pub name: String,
    /// How many were bought.
    pub quantity: i64,
    /// What the line cost, with its discount and tax, in minor units of the session's currency.
    pub amount: Option<i64>,
    /// Where it is paid for again and again.
    pub recurring: Option<Recurring>,
}

/// What is paid for again, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recurring {
    /// How often.
    pub period: Period,
    /// What the line costs each time, in minor units; `None` where Stripe's price does not say it alone.
    pub amount: Option<i64>,
}

/// A number of days, weeks, months or years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Of what.
    pub unit: PeriodUnit,
    /// How many, at least one.
    pub count: u32,
}

/// The units in which Stripe counts periods: <https://docs.stripe.com/api/prices/object#price_object-recurring-interval>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodUnit {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl SoldItem {
    /// What a sale renews as: the one period that all its recurring lines share, and what they cost together each time.
    /// `None` where nothing recurs, or at several paces.
    pub fn renewal_of(items: &[Self]) -> Option<Recurring> {
        let mut lines = items.iter().filter_map(|item| item.recurring);
        let first = lines.next()?;
        lines.try_fold(first, |so_far, line| {
            let sum = || so_far.amount?.checked_add(line.amount?);
            (line.period == so_far.period).then(|| Recurring { amount: sum(), ..so_far })
        })
    }
}
