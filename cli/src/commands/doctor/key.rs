//! What the stage's key may read: each permission is tried once.

use stripe_client::{EventVersion, Permission, StripeClient, StripeError};

use super::Check;

/// The first version in which every refund has events of its own; the name is the release's.
///
/// <https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update>
const REFUND_EVENTS_SINCE: &str = "2024-10-28.acacia";

/// What came of trying a key.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// Each permission that could not be used.
    pub(super) lacking: Vec<(Permission, StripeError)>,
    /// The newest event of the account, when there is one and it may be read.
    pub(super) newest_event: Option<EventVersion>,
}

impl Access {
    /// Whether Stripe does not let the key in at all.
    pub(super) fn is_refused(&self) -> bool {
        self.lacking.iter().any(|(_, error)| matches!(error, StripeError::KeyRefused { status: 401, .. }))
    }

    /// Whether the key may not use a permission.
    pub(super) fn lacks(&self, permission: Permission) -> bool {
        self.lacking.iter().any(|(known, error)| *known == permission && is_refusal(error))
    }
}

/// Tries each permission with the cheapest request there is. A key that is not let in is not tried further.
pub(super) async fn tried(client: &StripeClient) -> Access {
    let mut access = Access::default();
    for permission in Permission::ALL {
        match client.page(&permission.probe()).await {
            Ok(page) if permission == Permission::Events => {
                access.newest_event = page.items.first().and_then(|event| event.read().ok());
            }
            Ok(_) => {}
            Err(error) => access.lacking.push((permission, error)),
        }
        if access.is_refused() {
            break;
        }
    }
    access
}

pub(super) fn of_access(access: &Access) -> Vec<Check> {
    const WHAT: &str = "Stripe key";
    if access.is_refused() {
        return vec![Check::fail(
            WHAT,
            "Stripe does not let it in (401): revoked, expired, or mistyped",
            "make a new restricted key and put it into the secret: docs/DEPLOY.md, The key for reconciliation",
        )];
    }
    let mut checks: Vec<_> =
        access.lacking.iter().map(|(permission, error)| of_lacking(*permission, error)).collect();
    let required = access.lacking.iter().filter(|(permission, _)| permission.is_required()).count();
    if required == 0 {
        checks.insert(0, Check::pass(WHAT, "let in, and may read all that is needed"));
    }
    checks
}

fn of_lacking(permission: Permission, error: &StripeError) -> Check {
    let what = format!("Stripe key: {}", permission.name());
    match (is_refusal(error), permission.is_required()) {
        (true, true) => Check::fail(
            what,
            format!("may not be read: {}", permission.needed_for()),
            format!("give the restricted key the permission {} (read): docs/DEPLOY.md", permission.name()),
        ),
        (true, false) => Check::skipped(
            what,
            format!("cannot be read with this key: {}", permission.needed_for()),
            format!(
                "give the restricted key the permission {} (read), or compare the destination in Workbench, Webhooks, \
                 with docs/DEPLOY.md",
                permission.name()
            ),
        ),
        (false, _) => Check::unchecked(what, error.to_string(), "run it again later"),
    }
}

const fn is_refusal(error: &StripeError) -> bool {
    matches!(error, StripeError::KeyRefused { .. })
}

/// Events that are read from Stripe's list are written in the version that the account had, whatever version the
/// destination has.
///
/// <https://docs.stripe.com/api/events/list>
pub(super) fn of_account_version(newest_event: Option<&EventVersion>) -> Check {
    const WHAT: &str = "account's API version";
    let Some(version) = newest_event.and_then(|event| event.api_version.as_deref()) else {
        return Check::skipped(
            WHAT,
            "no event in 30 days to read it from",
            "run it again after the first payment",
        );
    };
    // Versions begin with a date, so they sort as text.
    if version.get(..10) < REFUND_EVENTS_SINCE.get(..10) {
        return Check::warn(
            WHAT,
            format!("{version}: before {REFUND_EVENTS_SINCE} not every refund had an event of its own"),
            "upgrade the account's default version in Workbench, Overview; reconciliation reads events in it",
        );
    }
    Check::pass(WHAT, version)
}

#[cfg(test)]
mod tests {
    use super::super::CheckResult;
    use super::*;

    fn refused(status: u16) -> StripeError {
        StripeError::KeyRefused {
            path: "/v1/x".to_owned(),
            status,
            permission: None,
            sentence: Box::default(),
        }
    }

    fn results(access: &Access) -> Vec<(String, CheckResult)> {
        of_access(access).into_iter().map(|check| (check.what, check.result)).collect()
    }

    #[test]
    fn a_key_that_is_not_let_in_is_one_failure() {
        let access = Access { lacking: vec![(Permission::Events, refused(401))], newest_event: None };
        assert_eq!(results(&access), [("Stripe key".to_owned(), CheckResult::Fail)]);
    }

    #[test]
    fn each_permission_that_is_lacking_is_named_and_the_one_of_destinations_is_no_fault() {
        let access = Access::default();
        assert_eq!(results(&access), [("Stripe key".to_owned(), CheckResult::Pass)]);
        let optional =
            Access { lacking: vec![(Permission::EventDestinations, refused(403))], newest_event: None };
        let expected = [
            ("Stripe key".to_owned(), CheckResult::Pass),
            ("Stripe key: Event Destinations".to_owned(), CheckResult::Skipped),
        ];
        assert_eq!(results(&optional), expected);
        for permission in Permission::ALL.into_iter().filter(|permission| permission.is_required()) {
            let access = Access { lacking: vec![(permission, refused(403))], newest_event: None };
            assert_eq!(results(&access), [(format!("Stripe key: {}", permission.name()), CheckResult::Fail)]);
            assert!(access.lacks(permission));
            let silent = StripeError::RateLimited { path: String::new(), attempts: 4 };
            let access = Access { lacking: vec![(permission, silent)], newest_event: None };
            assert_eq!(
                results(&access)[0].1,
                CheckResult::Unchecked,
                "that Stripe is slow says nothing of the key"
            );
        }
    }

    #[test]
    fn an_account_of_an_old_version_is_named() {
        let of = |version: Option<&str>| {
            of_account_version(Some(&EventVersion { api_version: version.map(str::to_owned) })).result
        };
        assert_eq!(of(Some("2020-08-27")), CheckResult::Warn);
        assert_eq!(of(Some("2024-09-30.acacia")), CheckResult::Warn);
        assert_eq!(of(Some("2024-10-28.acacia")), CheckResult::Pass);
        assert_eq!(of(Some("2026-10-28.endive")), CheckResult::Pass);
        assert_eq!(of(None), CheckResult::Skipped);
        assert_eq!(of_account_version(None).result, CheckResult::Skipped);
    }

    #[tokio::test]
    async fn every_permission_is_tried_at_stripe() {
        use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
        use stripe_client::ApiKey;
        use testkit::stripe_api::{KEY, StripeApi};

        let stripe = StripeApi::start(|| 1_795_000_000);
        let network = testkit::aws::Endpoint::unreachable().sdk_config();
        let http = network.http_client().unwrap();
        let sleep = SharedAsyncSleep::new(TokioSleep::new());
        let client = StripeClient::new(stripe.url(), ApiKey::new(KEY).unwrap(), http, sleep, 500).unwrap();
        stripe.record(include_str!("../../../../verification/testkit/fixtures/refund_created.json"));
        let access = tried(&client).await;
        assert_eq!(access.lacking, []);
        assert_eq!(of_account_version(access.newest_event.as_ref()).seen, "2026-10-28.endive");
        for (withheld, expected) in [
            ("rak_charge_read", Permission::ChargesAndRefunds),
            ("rak_checkout_session_read", Permission::CheckoutSessions),
            ("rak_dispute_read", Permission::Disputes),
            ("rak_event_read", Permission::Events),
            ("rak_invoice_read", Permission::Invoices),
            ("rak_payment_intent_read", Permission::PaymentIntents),
            ("rak_payment_link_read", Permission::PaymentLinks),
            ("rak_plan_read", Permission::Prices),
            ("rak_product_read", Permission::Products),
            ("rak_subscription_read", Permission::Subscriptions),
            ("hzn_event_destination_read", Permission::EventDestinations),
        ] {
            stripe.withhold(Some(withheld));
            let lacking: Vec<_> =
                tried(&client).await.lacking.into_iter().map(|(permission, _)| permission).collect();
            assert_eq!(lacking, [expected], "{withheld}");
        }
    }

    /// The page that lists the permissions to give.
    #[test]
    fn the_deployment_page_names_every_permission() {
        let page = include_str!("../../../../docs/DEPLOY.md");
        let (_, section) = page.split_once("### The key for reconciliation").unwrap();
        let (section, _) = section.split_once("\n### ").unwrap();
        for permission in Permission::ALL {
            assert!(
                section.contains(permission.name()),
                "docs/DEPLOY.md does not name {}",
                permission.name()
            );
        }
    }
}
