#![doc = include_str!("../README.md")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fulfilment::{
    AcquisitionCorrection, AcquisitionEvent, Attribution, Circumstances, Consents, Contribution,
    LinkContract, PaymentEvent, Policy, Reading, SupporterId, SupporterRow, file_keys, is_invisible,
    object_key,
};
use stripe_events::{
    Delivered, Event, EventHead, Object, Personal, SignatureError, SigningSecret, Source, sign,
    verify_signature,
};
use uuid::Uuid;

const NOW: i64 = 1_795_000_000;
const NAMESPACE: Uuid = Uuid::from_u128(7);
const CIRCUMSTANCES: Circumstances = Circumstances { livemode: false, replayed: false, published_at: 0 };

static POLICY: LazyLock<Policy> = LazyLock::new(|| match Policy::compiled_in() {
    Ok(policy) => policy,
    Err(error) => unreachable!("the policy's own tests read it: {error}"),
});

/// The `Stripe-Signature` header of a request; what follows its first line is the body.
///
/// # Panics
///
/// When an unsigned body is accepted, or something that was signed is not.
pub fn signature_header(input: &[u8]) {
    let ours = SigningSecret::parse_all("whsec_nobody-else-knows-this");
    let theirs = SigningSecret::parse_all("whsec_of-somebody-else");
    let (header, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[][..]),
    };
    let header = String::from_utf8_lossy(header);
    for now in [NOW, 0, i64::MIN, i64::MAX] {
        assert!(verify_signature(&header, body, &ours, now).is_err(), "nobody signed this");
    }
    // Whatever else stands in the header, one good signature is enough, and only ours is good.
    let with = |signed: &str| format!("{signed},{}", header.replace("t=", "x="));
    let signed = with(&sign(&ours[0], body, NOW));
    assert_eq!(verify_signature(&signed, body, &ours, NOW), Ok(()));
    assert_eq!(verify_signature(&signed, body, &ours, NOW + 301), Err(SignatureError::Stale));
    let forged = with(&sign(&theirs[0], body, NOW));
    assert_eq!(verify_signature(&forged, body, &ours, NOW), Err(SignatureError::Mismatch));
    // A secret is typed by a person.
    SigningSecret::parse_all(&header);
}

/// The body of a signed webhook request, and with it an event as it lies on the bus.
///
/// # Panics
///
/// When a body that is read whole has another head than the webhook passed on.
pub fn webhook_body(input: &[u8]) {
    let head = EventHead::from_json(input);
    if let Ok(event) = Event::from_json(input) {
        match head {
            Ok(EventHead::Snapshot { id, event_type, account }) => {
                assert_eq!((event.id(), event.type_name()), (id.as_str(), event_type.as_str()));
                let Event::Snapshot(event) = event else { unreachable!("its head is a snapshot's") };
                assert_eq!(event.account, account);
            }
            Ok(EventHead::Thin(thin)) => assert_eq!(event.id(), thin.id),
            // What has no id or no type the webhook refuses, and an empty one can still be read.
            Err(_) => assert!(event.id().is_empty() || event.type_name().is_empty()),
        }
    }
}

/// The body of a message: an EventBridge envelope around an event, and all that the tasks make of it.
///
/// # Panics
///
/// When folding the event in a second time changes the record, the record does not survive being stored, or
/// another source than the operator's leads to another mail or a corrected contract.
pub fn envelope(input: &[u8]) {
    if let Ok(Delivered { source, event, resend, contract }) = Delivered::from_json(input) {
        let asks = resend.is_some() || contract.is_some();
        assert_eq!(
            asks,
            source == Source::Operator,
            "only an operator asks for another mail, or corrects a contract"
        );
        whatever_the_tasks_make_of(&event);
    }
}

/// An object of Stripe's API, as `data.object` holds it.
///
/// # Panics
///
/// As [`envelope`].
pub fn object(input: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(input) else {
        return;
    };
    let types = match Object::from_value(value.clone()) {
        Ok(Object::Session(_)) => [
            "checkout.session.completed",
            "checkout.session.async_payment_succeeded",
            "checkout.session.async_payment_failed",
        ],
        Ok(Object::Refund(_)) => ["refund.created", "refund.updated", "refund.failed"],
        Ok(Object::Dispute(_)) => {
            ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"]
        }
        Ok(Object::Invoice(_)) => ["invoice.paid", "invoice.payment_failed", "invoice.voided"],
        Ok(Object::InvoicePayment(_)) => ["invoice_payment.paid"; 3],
        Ok(Object::EarlyFraudWarning(_)) => {
            ["radar.early_fraud_warning.created", "radar.early_fraud_warning.updated", "charge.updated"]
        }
        Ok(Object::Subscription(_)) => [
            "customer.subscription.created",
            "customer.subscription.updated",
            "customer.subscription.deleted",
        ],
        Ok(Object::Other(_)) | Err(_) => return,
    };
    for event_type in types {
        let event = serde_json::json!({
            "object": "event", "id": "evt_1", "type": event_type, "created": NOW, "livemode": false,
            "data": { "object": value }
        });
        match Event::from_value(event) {
            Ok(event) => whatever_the_tasks_make_of(&event),
            Err(error) => unreachable!("its object was read: {error}"),
        }
    }
}

/// The metadata of a Payment Link, as a JSON object of texts: what a marketer types.
///
/// # Panics
///
/// When a template's name could be anything but a plain one: it becomes part of a path.
pub fn link_contract(input: &[u8]) {
    let Ok(metadata) = serde_json::from_slice::<BTreeMap<String, String>>(input) else {
        return;
    };
    // A key that is read as the marker is nearly one, and the right one is none that is misspelt.
    let read = LinkContract::from_metadata(&metadata);
    let right = ["fulfilment", "fulfillment"].iter().any(|key| metadata.contains_key(*key));
    assert!(!matches!(read, Ok(Some(_))) || right || LinkContract::misspelt_marker(&metadata).is_some());
    for typed in file_keys(&metadata) {
        if let Ok(key) = object_key(&typed, "the-bucket") {
            assert!(!key.split('/').any(|part| matches!(part, "" | "." | "..")), "{key:?}");
        }
    }
    if let Ok(Some(link)) = read
        && let Some(name) = link.thank_you
    {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(!name.as_str().is_empty() && name.as_str().chars().all(plain), "{name:?}");
    }
    clean(&Attribution::read(&metadata, None));
}

/// A `client_reference_id`, as text: what a site passes on about a visit, or a stranger puts into the address.
///
/// # Panics
///
/// When something is neither read nor kept, or what was read holds control characters.
pub fn client_reference_id(input: &[u8]) {
    let Ok(reference) = std::str::from_utf8(input) else {
        return;
    };
    let link = BTreeMap::new();
    let read = Attribution::read(&link, Some(&Personal::new(reference.to_owned())));
    clean(&read);
    if !reference.starts_with(Attribution::PREFIX) {
        let kept = read.undecoded.map(|kept| kept.expose().clone());
        // An address of a person is not kept; without its signs there is none.
        let may_be_an_address = reference.contains(['@', '＠', '﹫', '%']);
        assert!(kept.as_deref() == Some(reference) || (kept.is_none() && may_be_an_address));
    }
}

fn whatever_the_tasks_make_of(event: &Event) {
    for livemode in [false, true] {
        match Reading::from_event(event, livemode) {
            Ok(Reading::Session(Ok(session))) => {
                clean(&session.attribution);
                let supporter_id = SupporterId::of_email(&NAMESPACE, "ada@example.org");
                let consents = Consents::of(&session, &POLICY, &supporter_id);
                assert!(consents.states.len() <= consents.evidence.len());
                published(&AcquisitionEvent::of_session(&session, &POLICY, &NAMESPACE, CIRCUMSTANCES));
                record(&(*session).into());
            }
            Ok(Reading::Refund(Ok(refund))) => {
                correct(AcquisitionCorrection::of_refund(&refund));
                record(&refund.into());
            }
            Ok(Reading::Dispute(Ok(dispute))) => {
                correct(AcquisitionCorrection::of_dispute(&dispute));
                record(&dispute.into());
            }
            Ok(Reading::FraudWarning(warning)) => record(&warning.into()),
            Ok(Reading::Invoice(invoice)) => {
                if let Some(Ok(contract)) = invoice.marked.clone()
                    && let Ok(payment) = invoice.payment(contract)
                {
                    clean(&payment.contract.attribution);
                    published(&AcquisitionEvent::of_invoice(&payment, &POLICY, &NAMESPACE, CIRCUMSTANCES));
                    record(&payment.into());
                }
            }
            Ok(Reading::InvoicePayment { .. } | Reading::Session(Err(_)) | Reading::Refund(Err(_)))
            | Ok(Reading::Dispute(Err(_)))
            | Err(_) => {}
        }
    }
}

fn correct(corrections: Vec<AcquisitionCorrection>) {
    for correction in corrections {
        published(&AcquisitionEvent::of_correction(&correction, CIRCUMSTANCES));
    }
}

/// What analysts read beside the attribution that others may have written.
fn published(event: &AcquisitionEvent) {
    let names = event.items.iter().filter_map(|item| item.name.as_ref());
    event.reason.iter().chain(&event.item).chain(names).for_each(|text| clean_text(text));
    assert!(event.items.len() <= 20, "{}", event.items.len());
}

/// Folded in twice, an event leaves the record that it left after once.
fn record(event: &PaymentEvent) {
    let once = Contribution::new(event.payment_id().clone()).with_event(event, &NAMESPACE);
    assert_eq!(once.clone().with_event(event, &NAMESPACE), once);
    once.status();
    once.expires_at(&POLICY, NOW);
    SupporterRow::of(&once, &POLICY);
    let stored =
        serde_json::to_string(&once).and_then(|stored| serde_json::from_str::<Contribution>(&stored));
    match stored {
        Ok(stored) => assert_eq!(stored, once),
        Err(error) => unreachable!("a record must survive being stored: {error}"),
    }
}

fn clean(attribution: &Attribution) {
    let tests = attribution.ab_tests.iter().flat_map(|test| [&test.name, &test.variant]);
    let parameters = attribution.query_parameters.iter();
    let parameters = parameters.flat_map(|parameter| [&parameter.name, &parameter.value]);
    let texts = attribution
        .campaign_codes
        .iter()
        .chain(&attribution.labels)
        .chain(&attribution.source)
        .chain(&attribution.component_id)
        .chain(&attribution.component_type)
        .chain(&attribution.page_view_id)
        .chain(&attribution.browser_id)
        .chain(tests)
        .chain(parameters);
    texts.for_each(|text| clean_text(text));
}

fn clean_text(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() || is_invisible(c)), "{text:?}");
    assert!(!text.starts_with(['=', '+', '-', '@']) && text.chars().count() <= 100, "{text:?}");
}
