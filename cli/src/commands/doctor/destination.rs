//! Where Stripe sends its events, and whether that is what this stage needs.

use reconciliation::EVENT_TYPES;
use stripe_client::{API_VERSION, EventDestination, Request, StripeClient, StripeError};

use super::Check;
use crate::deployment::Deployment;

/// Which events reach this stage.
#[derive(Debug)]
pub(super) struct Listens(Option<Vec<String>>);

impl Listens {
    /// To these event types; `*` is all.
    pub(super) fn to<S: ToString>(events: &[S]) -> Self {
        Self(Some(events.iter().map(ToString::to_string).collect()))
    }

    /// The destination cannot be read.
    pub(super) const fn unknown() -> Self {
        Self(None)
    }

    /// To what any of some destinations sends.
    fn to_any(destinations: &[EventDestination]) -> Self {
        let events: Vec<_> =
            destinations.iter().flat_map(|destination| &destination.enabled_events).collect();
        Self::to(&events)
    }

    /// Whether it is known that events of this type do not come.
    pub(super) fn lacks(&self, event_type: &str) -> bool {
        self.0.as_ref().is_some_and(|events| !events.iter().any(|known| known == "*" || known == event_type))
    }
}

/// The destinations that lead to this stage.
pub(super) struct Destinations {
    pub(super) checks: Vec<Check>,
    /// Which events they bring.
    pub(super) listens: Listens,
    /// Whether one of them is a webhook endpoint.
    pub(super) has_webhook: bool,
}

impl Destinations {
    const fn unknown(checks: Vec<Check>) -> Self {
        Self { checks, listens: Listens::unknown(), has_webhook: false }
    }
}

/// Reads them, and looks at what is wrong with them.
pub(super) async fn of_destinations(deployment: &Deployment, client: &StripeClient) -> Destinations {
    const WHAT: &str = "Stripe destination";
    let objects = match client.all(Request::event_destinations()).await {
        Ok(objects) => objects,
        // That the key may not read them is named with the key's permissions. It says nothing of the destination.
        Err(StripeError::KeyRefused { .. }) => return Destinations::unknown(Vec::new()),
        Err(error) => {
            return Destinations::unknown(vec![Check::unchecked(
                WHAT,
                error.to_string(),
                "run it again later",
            )]);
        }
    };
    let destinations: Vec<EventDestination> =
        objects.iter().filter_map(|object| object.read().ok()).collect();
    let webhook_url = deployment.optional("WebhookUrl");
    let partner = deployment.optional("PartnerEventSource");
    let count = destinations.len();
    let ours: Vec<_> = destinations.into_iter().filter(|it| is_ours(it, webhook_url, partner)).collect();
    if ours.is_empty() {
        let none = Check::fail(
            WHAT,
            format!("none of {count} leads here"),
            "make one in Workbench, Webhooks: docs/DEPLOY.md",
        );
        return Destinations::unknown(vec![none]);
    }
    Destinations {
        checks: ours.iter().flat_map(of_destination).collect(),
        listens: Listens::to_any(&ours),
        has_webhook: ours.iter().any(|destination| destination.webhook_endpoint.is_some()),
    }
}

/// Whether a destination leads to this stage: by its partner event source, or by the webhook's address.
pub(super) fn is_ours(
    destination: &EventDestination,
    webhook_url: Option<&str>,
    partner: Option<&str>,
) -> bool {
    let webhook = destination.webhook_endpoint.as_ref().and_then(|webhook| webhook.url.as_deref());
    let same =
        |url: &str| webhook_url.is_some_and(|ours| ours.trim_end_matches('/') == url.trim_end_matches('/'));
    // The source's name ends in the destination's id.
    webhook.is_some_and(same)
        || partner.is_some_and(|source| source.ends_with(&format!("/{}", destination.id)))
}

pub(super) fn of_destination(destination: &EventDestination) -> Vec<Check> {
    let what = |part: &str| format!("destination {}: {part}", destination.id);
    let mut checks = Vec::new();
    checks.push(match destination.status.as_str() {
        "enabled" => Check::pass(what("status"), "enabled"),
        status => Check::fail(
            what("status"),
            status,
            "enable it in Workbench, Webhooks; what was missed, `afterlink reconcile` finds",
        ),
    });
    if let Some(bridge) = &destination.amazon_eventbridge {
        checks.push(match bridge.aws_event_source_status.as_str() {
            "active" => Check::pass(what("event source"), "active"),
            status => Check::fail(
                what("event source"),
                status,
                "associate the partner event source with a bus within 7 days: docs/DEPLOY.md",
            ),
        });
    }
    checks.push(match destination.event_payload.as_str() {
        "snapshot" => Check::pass(what("payload"), "snapshot"),
        style => Check::fail(
            what("payload"),
            style,
            "make a new destination with payload style snapshot: the style cannot be changed",
        ),
    });
    checks.push(match destination.snapshot_api_version.as_deref() {
        Some(API_VERSION) => Check::pass(what("API version"), API_VERSION),
        version => Check::warn(
            what("API version"),
            version.unwrap_or("the account's default"),
            format!("this version of Afterlink was tested with {API_VERSION}"),
        ),
    });
    let events_from = &destination.events_from;
    if !events_from.is_empty() && !events_from.iter().any(|whose| whose == "@self") {
        checks.push(Check::fail(
            what("events from"),
            format!("{} only: no event of this account", events_from.join(", ")),
            "make a new destination that listens to events of your account",
        ));
    }
    let listens = Listens::to(&destination.enabled_events);
    let needed = EVENT_TYPES.iter().map(|event_type| event_type.as_str());
    let lacking: Vec<_> = needed.filter(|name| listens.lacks(name)).collect();
    checks.push(if lacking.is_empty() {
        Check::pass(what("events"), "all that are acted on")
    } else {
        Check::fail(
            what("events"),
            format!("without {}", lacking.join(", ")),
            "select them in Workbench, Webhooks",
        )
    });
    checks
}
