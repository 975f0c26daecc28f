//! Settings of a Payment Link that its contract does not show, and that decide what becomes of its payments.

use fulfilment::{FulfilmentKind, LinkContract};
use stripe_client::{PaymentLink, Permission};

use super::Check;
use super::destination::Listens;
use super::key::Access;

/// What a link is looked at with.
pub(super) struct Surroundings<'a> {
    /// The output `PagesUrl`.
    pub(super) pages_url: Option<&'a str>,
    pub(super) access: &'a Access,
    pub(super) listens: &'a Listens,
}

/// The defects of the settings of a link that is ours.
pub(super) fn of_settings(link: &PaymentLink, around: &Surroundings<'_>) -> Vec<Check> {
    let Ok(Some(contract)) = LinkContract::from_metadata(&link.metadata) else { return Vec::new() };
    let checks =
        [of_capture(link), of_subscription(link, around), of_redirect(link, contract.kind, around.pages_url)];
    checks.into_iter().flatten().collect()
}

fn what(link: &PaymentLink) -> String {
    format!("link {}", link.id)
}

/// <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>
fn of_capture(link: &PaymentLink) -> Option<Check> {
    link.is_captured_by_hand().then(|| {
        Check::warn(
            what(link),
            "its payments are only authorized until you capture each one (capture_method manual)",
            "capture within seven days, or let the link take payments at once. Nothing is thanked for or handed out \
             before, and Stripe sends no session event when it is captured: `afterlink reconcile` finds it",
        )
    })
}

/// A subscription's refunds, disputes and renewals are reported by its invoices.
fn of_subscription(link: &PaymentLink, around: &Surroundings<'_>) -> Option<Check> {
    const EVENTS: [&str; 2] = ["invoice.paid", "invoice_payment.paid"];
    if !link.is_subscription() {
        return None;
    }
    let events: Vec<_> = EVENTS.into_iter().filter(|name| around.listens.lacks(name)).collect();
    let permissions = [Permission::Invoices, Permission::Subscriptions];
    let permissions = permissions.into_iter().filter(|permission| around.access.lacks(*permission));
    let permissions: Vec<_> = permissions.map(Permission::name).collect();
    let mut lacking = Vec::new();
    let mut todo = Vec::new();
    if !events.is_empty() {
        lacking.push(format!("the destination does not send {}", events.join(", ")));
        todo.push("select them in Workbench, Webhooks");
    }
    if !permissions.is_empty() {
        lacking.push(format!("the key may not read {}", permissions.join(", ")));
        todo.push("give the restricted key these permissions: docs/DEPLOY.md");
    }
    (!lacking.is_empty()).then(|| {
        let seen =
            format!("a subscription whose renewals, refunds and disputes are lost: {}", lacking.join("; "));
        Check::fail(what(link), seen, todo.join("; "))
    })
}

fn of_redirect(link: &PaymentLink, kind: FulfilmentKind, pages_url: Option<&str>) -> Option<Check> {
    let page = format!("{}/thanks", pages_url?.trim_end_matches('/'));
    let redirect = link.after_completion.as_ref().and_then(|after| after.redirect.as_ref());
    let (address, query) = redirect.map_or(("", ""), |to| to.url.split_once('?').unwrap_or((&to.url, "")));
    let ours = address.trim_end_matches('/') == page;
    let told = query.contains("session_id={CHECKOUT_SESSION_ID}");
    let address = format!("{page}?session_id={{CHECKOUT_SESSION_ID}}");
    let check = |seen: &str| {
        let todo =
            format!("let the link redirect to {address}: docs/PAYMENT-LINKS.md, The page after paying");
        Some(Check::warn(what(link), seen, todo))
    };
    match (kind, ours, told) {
        (_, true, false) => {
            check("it leads to our page without the session's id, so the page cannot know what was bought")
        }
        (FulfilmentKind::Download, false, _) => {
            check("a download that does not lead to our page: customers get their files by mail only")
        }
        (FulfilmentKind::Contribution | FulfilmentKind::Membership, false, _) | (_, true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stripe_client::StripeError;

    use super::super::CheckResult;
    use super::*;

    const PAGES: &str = "https://shop.example/";

    fn link(kind: &str, settings: Value) -> PaymentLink {
        let mut json = json!({ "id": "plink_1", "active": true, "metadata": { "fulfilment": kind } });
        json.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    fn found(link: &PaymentLink, access: &Access, listens: &Listens) -> Vec<(CheckResult, String)> {
        let around = Surroundings { pages_url: Some(PAGES), access, listens };
        of_settings(link, &around).into_iter().map(|check| (check.result, check.seen)).collect()
    }

    #[test]
    fn a_link_that_is_captured_by_hand_is_named() {
        let all = Listens::to(&["*"]);
        let manual = |method: &str| {
            link("contribution", json!({ "payment_intent_data": { "capture_method": method } }))
        };
        let checks = found(&manual("manual"), &Access::default(), &all);
        assert!(
            matches!(&checks[..], [(CheckResult::Warn, seen)] if seen.contains("authorized")),
            "{checks:?}"
        );
        assert_eq!(found(&manual("automatic"), &Access::default(), &all), []);
        let foreign = PaymentLink { metadata: [].into(), ..manual("manual") };
        assert_eq!(found(&foreign, &Access::default(), &all), []);
    }

    #[test]
    fn a_subscription_needs_its_events_and_permissions() {
        let recurring = json!({ "line_items": { "data": [{ "price": { "type": "recurring" } }] } });
        let membership = link("membership", recurring);
        let lacking = |permission| {
            let path = String::new();
            let error =
                StripeError::KeyRefused { path, status: 403, permission: None, sentence: Box::default() };
            Access { lacking: vec![(permission, error)], newest_event: None }
        };
        let all = Listens::to(&["invoice.paid", "invoice_payment.paid"]);
        assert_eq!(found(&membership, &Access::default(), &all), []);
        for (access, listens, expected) in [
            (Access::default(), Listens::to(&["invoice.paid"]), "does not send invoice_payment.paid"),
            (Access::default(), Listens::to::<&str>(&[]), "does not send invoice.paid, invoice_payment.paid"),
            (lacking(Permission::Invoices), Listens::to(&["*"]), "may not read Invoices"),
            (lacking(Permission::Subscriptions), Listens::unknown(), "may not read Subscriptions"),
        ] {
            let checks = found(&membership, &access, &listens);
            assert!(
                matches!(&checks[..], [(CheckResult::Fail, seen)] if seen.contains(expected)),
                "{checks:?}"
            );
        }
        assert_eq!(
            found(&membership, &Access::default(), &Listens::unknown()),
            [],
            "nothing is said of what is not known"
        );
        let once =
            link("membership", json!({ "line_items": { "data": [{ "price": { "type": "one_time" } }] } }));
        assert_eq!(found(&once, &lacking(Permission::Invoices), &Listens::to::<&str>(&[])), []);
    }

    #[test]
    fn a_download_leads_to_our_page() {
        let to = |kind: &str, url: &str| {
            let link =
                link(kind, json!({ "after_completion": { "type": "redirect", "redirect": { "url": url } } }));
            found(&link, &Access::default(), &Listens::to(&["*"])).len()
        };
        assert_eq!(to("download", "https://shop.example/thanks?session_id={CHECKOUT_SESSION_ID}"), 0);
        assert_eq!(to("download", "https://shop.example/thanks/?a=b&session_id={CHECKOUT_SESSION_ID}"), 0);
        assert_eq!(to("download", "https://shop.example/thanks"), 1);
        assert_eq!(to("contribution", "https://shop.example/thanks?session_id=x"), 1);
        assert_eq!(to("download", "https://elsewhere.example/thanks?session_id={CHECKOUT_SESSION_ID}"), 1);
        assert_eq!(to("contribution", "https://elsewhere.example/"), 0);
        let confirmed = link("download", json!({ "after_completion": { "type": "hosted_confirmation" } }));
        assert_eq!(found(&confirmed, &Access::default(), &Listens::to(&["*"])).len(), 1);
    }
}
