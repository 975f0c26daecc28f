//! Whether a Payment Link asks and announces what `policy.toml` expects of it.

use fulfilment::{ConsentForm, LinkContract, PageText, Policy};
use stripe_client::PaymentLink;

use super::Check;

/// What `policy.toml` itself lacks.
pub(super) fn of_policy(policy: &Policy) -> Vec<Check> {
    let warnings = policy.warnings().into_iter();
    warnings.map(|warning| Check::warn("policy", warning, "docs/CONSENTS.md says how")).collect()
}

/// Questions that count for nothing, and sales that are no soft opt-in although the policy has one.
pub(super) fn of_link(link: &PaymentLink, contract: &LinkContract, policy: &Policy) -> Vec<Check> {
    let what = || format!("link {}", link.id);
    let mut checks: Vec<_> = link
        .custom_fields
        .iter()
        .map(|field| {
            let label = field.label.as_ref().and_then(|label| label.custom.as_deref());
            (&field.key, label)
        })
        .filter(|(key, label)| policy.marketing.is_unknown_field(key, *label))
        .map(|(key, label)| {
            Check::warn(
                what(),
                format!("the question \"{}\" is not in policy.toml (custom field `{key}`)", label.unwrap_or_default()),
                "if it asks whether you may write, add its words to `questions`, else add its key to `other_fields`: \
                 docs/CONSENTS.md. Until then its answers count for nothing",
            )
        })
        .collect();
    let marker = link.metadata.get(ConsentForm::NOTICE_MARKER);
    let is_asserted = marker.is_some_and(|value| ConsentForm::asserts_notice(value));
    if marker.is_some() && !is_asserted {
        checks.push(Check::warn(
            what(),
            "its metadata `soft_opt_in` asserts nothing: the only value is `shown`",
            "correct it, or take it away: docs/CONSENTS.md",
        ));
    }
    let consents = policy.kind(contract.kind).consents.iter();
    let mut soft_opt_ins = consents.filter_map(|consent| consent.soft_opt_in.as_ref()).peekable();
    let texts = texts_of(link);
    let is_shown = |notice: &str| policy.marketing.notice_shown(notice, &texts).is_some();
    if soft_opt_ins.peek().is_some() && !is_asserted && !soft_opt_ins.all(|it| is_shown(&it.notice)) {
        checks.push(Check::warn(
            what(),
            "its page does not show the notice of policy.toml, so its sales are no soft opt-ins",
            "put the notice's words into the link's custom text: docs/CONSENTS.md. Otherwise all is well",
        ));
    }
    checks
}

fn texts_of(link: &PaymentLink) -> Vec<PageText> {
    let terms = link.consent_collection.as_ref().and_then(|boxes| boxes.terms_of_service.as_deref());
    PageText::of_page(
        link.custom_text.as_ref(),
        &link.custom_fields,
        link.shipping_address_collection.is_some(),
        terms == Some("required"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(link: Value) -> Vec<String> {
        let mut link = link;
        link["id"] = json!("plink_1");
        let link: PaymentLink = serde_json::from_value(link).unwrap();
        let contract = LinkContract::from_metadata(&link.metadata).unwrap().unwrap();
        let checks = of_link(&link, &contract, &Policy::compiled_in().unwrap()).into_iter();
        checks.map(|check| check.seen).collect()
    }

    fn field(key: &str) -> Value {
        asked(key, "Size?")
    }

    fn asked(key: &str, label: &str) -> Value {
        json!({ "key": key, "type": "text", "label": { "type": "custom", "custom": label }, "text": {} })
    }

    #[test]
    fn names_questions_that_the_policy_does_not() {
        let link = |fields: &[Value]| {
            seen(json!({ "metadata": { "fulfilment": "contribution" }, "custom_fields": fields }))
        };
        assert_eq!(link(&[]), [""; 0]);
        assert_eq!(link(&[field("marketing")]), [""; 0]);
        assert_eq!(
            link(&[field("marketing"), field("shirt")]),
            ["the question \"Size?\" is not in policy.toml (custom field `shirt`)"]
        );
        let by_words = asked("maywewrite", "may we write to you about similar guides");
        assert_eq!(link(&[by_words]), [""; 0], "whatever key Stripe made of it");
        assert_eq!(
            link(&[asked("maywewrite", "May we write?")]),
            ["the question \"May we write?\" is not in policy.toml (custom field `maywewrite`)"]
        );
    }

    #[test]
    fn names_a_page_without_the_notice() {
        let link = |marker: Value, place: &str, more: Value| {
            let mut link = json!({
                "metadata": { "fulfilment": "download" },
                "custom_text": { place: { "message": "We write to you about similar guides. Rather not?" } },
            });
            if !marker.is_null() {
                link["metadata"]["soft_opt_in"] = marker;
            }
            for (name, value) in more.as_object().unwrap() {
                link[name] = value.clone();
            }
            seen(link)
        };
        let missing = "its page does not show the notice of policy.toml, so its sales are no soft opt-ins";
        for (place, more, expected) in [
            ("submit", json!({}), vec![]),
            ("after_submit", json!({}), vec![]),
            ("shipping_address", json!({}), vec![missing]),
            (
                "shipping_address",
                json!({ "shipping_address_collection": { "allowed_countries": ["GB"] } }),
                vec![],
            ),
            (
                "terms_of_service_acceptance",
                json!({ "consent_collection": { "terms_of_service": "none" } }),
                vec![missing],
            ),
            (
                "terms_of_service_acceptance",
                json!({ "consent_collection": { "terms_of_service": "required" } }),
                vec![],
            ),
        ] {
            assert_eq!(link(json!(null), place, more.clone()), expected, "{place} {more}");
        }
        let no_text = json!({ "custom_text": null });
        assert_eq!(link(json!("shown"), "submit", no_text.clone()), [""; 0]);
        assert_eq!(
            link(json!("yes"), "submit", no_text),
            ["its metadata `soft_opt_in` asserts nothing: the only value is `shown`", missing]
        );
    }
}
