use crate::Request;

/// A read permission of a restricted key: what the functions and the command line ask with the stage's key needs one
/// of these.
///
/// <https://docs.stripe.com/keys/restricted-api-keys>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// `/v1/events`
    Events,
    /// `/v1/checkout/sessions`
    CheckoutSessions,
    /// `/v1/refunds` and `/v1/charges`
    ChargesAndRefunds,
    /// `/v1/disputes`
    Disputes,
    /// `/v1/payment_intents`, also where one is expanded.
    PaymentIntents,
    /// `/v1/payment_links`
    PaymentLinks,
    /// `/v1/products`, also where one is expanded.
    Products,
    /// `/v1/prices`, also in line items.
    Prices,
    /// `/v1/invoices` and `/v1/invoice_payments`
    Invoices,
    /// `/v1/subscriptions`
    Subscriptions,
    /// `/v2/core/event_destinations`. Without it everything works, and `doctor` checks less.
    EventDestinations,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Events,
        Self::CheckoutSessions,
        Self::ChargesAndRefunds,
        Self::Disputes,
        Self::PaymentIntents,
        Self::PaymentLinks,
        Self::Products,
        Self::Prices,
        Self::Invoices,
        Self::Subscriptions,
        Self::EventDestinations,
    ];

    /// Its name on the Dashboard's page for restricted keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "Events",
            Self::CheckoutSessions => "Checkout Sessions",
            Self::ChargesAndRefunds => "Charges and Refunds",
            Self::Disputes => "Disputes",
            Self::PaymentIntents => "PaymentIntents",
            Self::PaymentLinks => "Payment Links",
            Self::Products => "Products",
            Self::Prices => "Prices",
            Self::Invoices => "Invoices",
            Self::Subscriptions => "Subscriptions",
            Self::EventDestinations => "Event Destinations",
        }
    }

    /// What does not work without it.
    pub const fn needed_for(self) -> &'static str {
        match self {
            Self::Events => "reconciliation finds no event that was lost",
            Self::CheckoutSessions => "reconciliation, the page after paying and `explain` find no payment",
            Self::ChargesAndRefunds => "reconciliation finds no refund that was lost",
            Self::Disputes => "reconciliation finds no dispute that was lost",
            Self::PaymentIntents => "pending payments are not looked at again",
            Self::PaymentLinks => "Payment Links cannot be checked",
            Self::Products | Self::Prices => "the files of what was bought cannot be looked up",
            Self::Invoices | Self::Subscriptions => {
                "refunds and disputes of subscriptions do not find their payment, and reconciliation no lost renewal"
            }
            Self::EventDestinations => "the destination cannot be checked",
        }
    }

    /// Whether anything but a check of `doctor` needs it.
    pub const fn is_required(self) -> bool {
        !matches!(self, Self::EventDestinations)
    }

    /// A request that succeeds with it, as cheap as there is one.
    pub fn probe(self) -> Request {
        match self {
            Self::Events => Request::events(&[]),
            Self::CheckoutSessions => Request::sessions(),
            Self::ChargesAndRefunds => Request::refunds(),
            Self::Disputes => Request::disputes(),
            Self::PaymentIntents => Request::list("/v1/payment_intents"),
            Self::PaymentLinks => Request::payment_links(),
            Self::Products => Request::products(),
            Self::Prices => Request::prices(),
            Self::Invoices => Request::list("/v1/invoices"),
            Self::Subscriptions => Request::list("/v1/subscriptions"),
            Self::EventDestinations => Request::event_destinations(),
        }
        .limit(1)
    }

    /// The permission that an endpoint needs, by its path with or without ids. `None` when this list lacks it.
    pub fn of_endpoint(path: &str) -> Option<Self> {
        const PATHS: [(&str, Permission); 13] = [
            ("/v1/events", Permission::Events),
            ("/v1/checkout/sessions", Permission::CheckoutSessions),
            ("/v1/refunds", Permission::ChargesAndRefunds),
            ("/v1/charges", Permission::ChargesAndRefunds),
            ("/v1/disputes", Permission::Disputes),
            ("/v1/payment_intents", Permission::PaymentIntents),
            ("/v1/payment_links", Permission::PaymentLinks),
            ("/v1/products", Permission::Products),
            ("/v1/prices", Permission::Prices),
            ("/v1/invoices", Permission::Invoices),
            ("/v1/invoice_payments", Permission::Invoices),
            ("/v1/subscriptions", Permission::Subscriptions),
            ("/v2/core/event_destinations", Permission::EventDestinations),
        ];
        let below = |known: &str| {
            path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        PATHS.into_iter().find(|(known, _)| below(known)).map(|(_, permission)| permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_tried_with_a_request_that_needs_it() {
        for permission in Permission::ALL {
            assert_eq!(Permission::of_endpoint(permission.probe().endpoint()), Some(permission));
        }
        assert_eq!(
            Permission::of_endpoint("/v1/checkout/sessions/{id}/line_items"),
            Some(Permission::CheckoutSessions)
        );
        assert_eq!(Permission::of_endpoint("/v1/invoice_items"), None);
    }
}
