//! What Stripe and the bucket have, what they shall have, and the next step from one to the other.
//!
//! A dry run takes the same steps as a real one, over what it has seen, and only does not send them.

use std::collections::BTreeMap;

use fulfilment::{Concern, MetadataKey};

use super::bucket::StoredObject;
use super::object::{Form, FormObject, active, form, inactive};
use super::price::{Amount, Every};
use super::product::{Checkout, Image, LocalFile, PUBLISHED_AS, Product};

/// Everything that a product file decides about, as it is.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// By key; missing objects are not in it.
    pub(crate) files: BTreeMap<String, StoredObject>,
    /// Where Stripe keeps the image that was uploaded just now.
    pub(crate) image: Option<String>,
    pub(crate) product: Option<FormObject>,
    /// Of the product, those we made, newest first, active or not.
    pub(crate) prices: Vec<FormObject>,
    /// Of the product, those we made, newest first, active or not.
    pub(crate) links: Vec<FormObject>,
    /// Active links that others made, whatever they sell.
    pub(crate) other_links: Vec<FormObject>,
}

/// Where the product is sold.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) stage: String,
    /// Without a slash at its end.
    pub(crate) pages_url: String,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// By its place in the product's list.
    Upload {
        file: usize,
        replaces: bool,
    },
    UploadImage,
    CreateProduct(Form),
    ChangeProduct(Form),
    CreatePrice(Form),
    ChangePrice {
        id: String,
        form: Form,
    },
    CreateLink(Form),
    ChangeLink {
        id: String,
        form: Form,
    },
    /// Of a link that sells at another price.
    Deactivate {
        id: String,
        url: String,
    },
    /// Of a price that is no longer asked.
    Archive {
        id: String,
    },
}

/// What came of a step.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) id: String,
    /// Where a link or an image is.
    pub(crate) url: Option<String>,
    /// Whether Stripe repeated an earlier reply: then it was made before, and may have changed since.
    pub(crate) replayed: bool,
}

impl Place {
    /// Stripe lets ids of products be chosen, so a product cannot be made twice. The stage is part of it, because
    /// several may share the test mode of an account.
    pub(crate) fn product_id(&self, product: &Product) -> String {
        format!("afterlink-{}-{}", self.stage, product.id)
    }
}

/// The first thing in which what is differs from what shall be; `None` when it does not.
///
/// Nothing that customers use goes away before what takes its place is there.
pub(crate) fn next_step(product: &Product, place: &Place, seen: &Seen) -> Option<Step> {
    for (file, local) in product.files.iter().enumerate() {
        let stored = seen.files.get(&local.key);
        if !stored.is_some_and(|stored| is_same(stored, local)) {
            return Some(Step::Upload { file, replaces: stored.is_some() });
        }
    }
    let Some(sold) = &seen.product else {
        return Some(match image_form(product, seen, None) {
            Some(image) => Step::CreateProduct([new_product(product, place), image].concat()),
            None => Step::UploadImage,
        });
    };
    let Some(image) = image_form(product, seen, Some(sold)) else { return Some(Step::UploadImage) };
    let changes = sold.lacks(&[product_form(product), image].concat());
    if !changes.is_empty() {
        return Some(Step::ChangeProduct(changes));
    }

    let Some(price) = asked_price(product, seen) else {
        return Some(Step::CreatePrice(new_price(product, place)));
    };
    let changes = price.lacks(&price_form(product, place));
    if !changes.is_empty() {
        // Stripe takes the key from the price that has it, and wants to be given the key for that.
        let form = [changes, lookup_key(product, place)].concat();
        let form = form.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
        return Some(Step::ChangePrice { id: price.id.clone(), form });
    }
    let outgoing = |other: &&FormObject| other.id != price.id && other.is("active", "true");
    // Stripe archives no default price, and the dashboard makes them so.
    if seen.prices.iter().filter(outgoing).any(|old| sold.is("default_price", &old.id)) {
        return Some(Step::ChangeProduct(vec![("default_price".to_owned(), price.id.clone())]));
    }

    let Some(link) = choose(seen.links.iter().filter(|link| link.sells(&price.id))) else {
        return Some(Step::CreateLink(new_link(product, place, &price.id)));
    };
    let changes = link.lacks(&[link_form(product, place), active()].concat());
    let changes = [changes, unwanted(link, product), subscription_changes(link, product)].concat();
    if !changes.is_empty() {
        return Some(Step::ChangeLink { id: link.id.clone(), form: changes });
    }
    let outdated = seen.links.iter().find(|link| link.is("active", "true") && !link.sells(&price.id));
    if let Some(link) = outdated {
        return Some(Step::Deactivate { id: link.id.clone(), url: link.url().to_owned() });
    }
    // Links on an archived price are dead, also those that others made.
    let unused = |old: &&FormObject| outgoing(old) && seen.others_that_offer(&old.id).next().is_none();
    seen.prices.iter().find(unused).map(|price| Step::Archive { id: price.id.clone() })
}

/// Prices that are no longer asked and stay active, because links that others made offer them.
pub(crate) fn prices_kept<'a>(
    product: &Product,
    seen: &'a Seen,
) -> Vec<(&'a FormObject, Vec<&'a FormObject>)> {
    let Some(asked) = asked_price(product, seen) else { return Vec::new() };
    let old = seen.prices.iter().filter(|old| old.id != asked.id && old.is("active", "true"));
    let kept = old.map(|old| (old, seen.others_that_offer(&old.id).collect::<Vec<_>>()));
    kept.filter(|(_, links)| !links.is_empty()).collect()
}

/// The link that sells the product now.
pub(crate) fn current_link<'a>(product: &Product, seen: &'a Seen) -> Option<&'a FormObject> {
    let price = asked_price(product, seen)?;
    choose(seen.links.iter().filter(|link| link.sells(&price.id)))
}

fn asked_price<'a>(product: &Product, seen: &'a Seen) -> Option<&'a FormObject> {
    let asked = asked_terms(product);
    let is_asked = |price: &&FormObject| TERMS.iter().all(|name| price.is(name, value_in(&asked, name)));
    choose(seen.prices.iter().filter(is_asked))
}

/// What a price that customers choose is known by. Stripe may complete limits that are not said, so they are not compared
/// with what it answers.
const CHOSEN: &str = "metadata[customer_chooses]";

/// By what one price of a product is told from another; what is not said of it is not there.
const TERMS: [&str; 5] =
    ["currency", "unit_amount", "recurring[interval]", "recurring[interval_count]", CHOSEN];

fn value_in<'a>(form: &'a Form, name: &str) -> &'a str {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// The price as Stripe is asked for it. <https://docs.stripe.com/api/prices/create>
fn asked_terms(product: &Product) -> Form {
    let price = &product.price;
    let mut terms = form([("currency", price.currency.as_str())]);
    match &price.amount {
        Amount::Fixed(money) => terms.push(("unit_amount".to_owned(), money.minor().to_string())),
        Amount::Chosen { preset, minimum, maximum } => {
            terms.push(("custom_unit_amount[enabled]".to_owned(), "true".to_owned()));
            let mut said = vec!["true".to_owned()];
            for (name, limit) in [("preset", preset), ("minimum", minimum), ("maximum", maximum)] {
                if let Some(limit) = limit {
                    terms.push((format!("custom_unit_amount[{name}]"), limit.minor().to_string()));
                    said.push(format!("{name} {}", limit.minor()));
                }
            }
            terms.push((CHOSEN.to_owned(), said.join(", ")));
        }
    }
    if let Some(Every { interval, count }) = price.every {
        terms.push(("recurring[interval]".to_owned(), interval.to_owned()));
        terms.push(("recurring[interval_count]".to_owned(), count.to_string()));
    }
    terms
}

/// The active one, if there is one, and of several the oldest.
fn choose<'a>(newest_first: impl Iterator<Item = &'a FormObject>) -> Option<&'a FormObject> {
    let all: Vec<_> = newest_first.collect();
    all.iter().rev().find(|object| object.is("active", "true")).or(all.last()).copied()
}

impl Seen {
    fn others_that_offer<'a>(&'a self, price_id: &'a str) -> impl Iterator<Item = &'a FormObject> {
        self.other_links.iter().filter(move |link| link.is("active", "true") && link.offers(price_id))
    }

    /// Puts an object in place of its known state: it was changed since.
    pub(crate) fn learn(&mut self, step: &Step, object: FormObject) {
        let list = match step {
            Step::CreatePrice(_) => &mut self.prices,
            Step::CreateLink(_) => &mut self.links,
            Step::Upload { .. }
            | Step::UploadImage
            | Step::CreateProduct(_)
            | Step::ChangeProduct(_)
            | Step::ChangePrice { .. }
            | Step::ChangeLink { .. }
            | Step::Deactivate { .. }
            | Step::Archive { .. } => return,
        };
        list.retain(|known| known.id != object.id);
        list.insert(0, object);
    }

    /// The state after a step was taken.
    pub(crate) fn apply(&mut self, step: &Step, product: &Product, made: Made) {
        let Made { id, url, .. } = made;
        match step {
            Step::Upload { file, .. } => {
                if let Some(LocalFile { key, size, sha256, .. }) = product.files.get(*file) {
                    let size = i64::try_from(*size).unwrap_or(i64::MAX);
                    self.files.insert(key.clone(), StoredObject { size, sha256: Some(*sha256) });
                }
            }
            Step::UploadImage => self.image = url,
            Step::CreateProduct(form) => self.product = Some(FormObject::made(id, url, form)),
            Step::ChangeProduct(form) => self.product.iter_mut().for_each(|object| object.set(form)),
            Step::CreatePrice(form) => self.prices.insert(0, FormObject::made(id, url, form)),
            Step::ChangePrice { id, form } => change(&mut self.prices, id, form),
            Step::CreateLink(form) => self.links.insert(0, FormObject::made(id, url, form)),
            Step::ChangeLink { id, form } => change(&mut self.links, id, form),
            Step::Deactivate { id, .. } => change(&mut self.links, id, &inactive()),
            Step::Archive { id } => change(&mut self.prices, id, &inactive()),
        }
    }
}

fn change(objects: &mut [FormObject], id: &str, form: &Form) {
    objects.iter_mut().filter(|object| object.id == id).for_each(|object| object.set(form));
}

/// The keys of the link contract that a product file can set and this one does not, which are to go. Other keys are
/// other people's.
fn unwanted(link: &FormObject, product: &Product) -> Form {
    let gone = unsaid(product).map(|key| format!("metadata[{key}]"));
    gone.filter(|name| !link.field(name).is_empty()).map(|name| (name, String::new())).collect()
}

fn unsaid(product: &Product) -> impl Iterator<Item = &'static str> {
    let keys = MetadataKey::ALL.iter().filter(|key| key.concern() != Concern::Page).map(|key| key.name());
    keys.filter(|key| !product.metadata.contains_key(key))
}

/// What a subscription's own metadata begins with.
const SUBSCRIPTION_METADATA: &str = "subscription_data[metadata]";

/// The settings of the subscriptions that a link makes. Their own metadata has the contract, so that renewals are known
/// by it also when no session can be asked any more.
///
/// <https://docs.stripe.com/api/payment-link/create#create_payment_link-subscription_data>
fn subscription_form(product: &Product) -> Form {
    if product.price.every.is_none() {
        return Form::new();
    }
    let metadata = product.metadata.iter();
    let metadata = metadata.map(|(key, value)| (format!("{SUBSCRIPTION_METADATA}[{key}]"), value.clone()));
    let trial = product.price.trial_days.map(|days| (TRIAL.to_owned(), days.to_string()));
    metadata.chain(trial).collect()
}

const TRIAL: &str = "subscription_data[trial_period_days]";

/// How a link's subscriptions have to change. Stripe replaces their metadata as a whole, so keys of other people's are
/// said again.
fn subscription_changes(link: &FormObject, product: &Product) -> Form {
    let wanted = subscription_form(product);
    if wanted.is_empty() {
        return Form::new();
    }
    let gone = unsaid(product).map(|key| format!("{SUBSCRIPTION_METADATA}[{key}]"));
    let trial = product.price.trial_days.is_none().then(|| TRIAL.to_owned());
    let gone: Form = gone
        .chain(trial)
        .filter(|name| !link.field(name).is_empty())
        .map(|name| (name, String::new()))
        .collect();
    let is_so = wanted.iter().all(|(name, value)| link.is(name, value));
    if is_so && gone.is_empty() {
        return Form::new();
    }
    let said = |name: &str| wanted.iter().chain(&gone).any(|(known, _)| known == name);
    let others = link.fields_in(SUBSCRIPTION_METADATA).filter(|(name, _)| !said(name));
    let others: Form = others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    [others, wanted, gone].concat()
}

fn is_same(stored: &StoredObject, local: &LocalFile) -> bool {
    stored.sha256 == Some(local.sha256) && i64::try_from(local.size) == Ok(stored.size)
}

fn new_product(product: &Product, place: &Place) -> Form {
    // Without `active`: everything new is.
    let mut said = product_form(product);
    said.retain(|(name, _)| name != "active");
    [form([("id", place.product_id(product).as_str())]), said].concat()
}

fn product_form(product: &Product) -> Form {
    let mut said = form([("name", product.name.as_str()), ("active", "true")]);
    said.extend(product.description.iter().map(|text| ("description".to_owned(), text.clone())));
    said
}

/// Which image a product shall have; `None` when it has to be uploaded first.
fn image_form(product: &Product, seen: &Seen, sold: Option<&FormObject>) -> Option<Form> {
    const IMAGE: &str = "images[0]";
    // Stripe does not say which content is behind the address it gives a file.
    const CONTENT: &str = "metadata[image_sha256]";
    match &product.image {
        None => Some(Form::new()),
        Some(Image::Address(address)) => Some(form([(IMAGE, address.as_str())])),
        Some(Image::File { sha256, .. }) => {
            let kept = sold.filter(|sold| sold.is(CONTENT, sha256)).map(|sold| sold.field(IMAGE));
            let kept = kept.filter(|address| !address.is_empty());
            let address = kept.or(seen.image.as_deref())?;
            Some(form([(IMAGE, address), (CONTENT, sha256)]))
        }
    }
}

fn new_price(product: &Product, place: &Place) -> Form {
    let id = place.product_id(product);
    let ours = form([("product", id.as_str()), (&format!("metadata[{PUBLISHED_AS}]"), &product.id)]);
    [ours, asked_terms(product), lookup_key(product, place)].concat()
}

/// <https://docs.stripe.com/api/prices/create#create_price-transfer_lookup_key>
fn lookup_key(product: &Product, place: &Place) -> Form {
    form([("lookup_key", place.product_id(product).as_str()), ("transfer_lookup_key", "true")])
}

fn price_form(product: &Product, place: &Place) -> Form {
    form([("active", "true"), ("lookup_key", place.product_id(product).as_str())])
}

fn new_link(product: &Product, place: &Place, price_id: &str) -> Form {
    let item = form([("line_items[0][price]", price_id), ("line_items[0][quantity]", "1")]);
    [item, link_form(product, place), subscription_form(product)].concat()
}

/// Every parameter of a link that can be set, also later.
fn link_form(product: &Product, place: &Place) -> Form {
    let thanks = format!("{}/thanks?session_id={{CHECKOUT_SESSION_ID}}", place.pages_url);
    let mut said =
        form([("after_completion[type]", "redirect"), ("after_completion[redirect][url]", thanks.as_str())]);
    said.extend(product.metadata.iter().map(|(key, value)| (format!("metadata[{key}]"), value.clone())));
    let Checkout { promotion_codes, billing_address, automatic_tax, promotions_box, marketing } =
        &product.checkout;
    let mut say = |name: &str, value: Option<&str>| {
        said.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    };
    let chosen = |choice: &Option<bool>, on, off| choice.map(|choice| if choice { on } else { off });
    say("allow_promotion_codes", chosen(promotion_codes, "true", "false"));
    say("automatic_tax[enabled]", chosen(automatic_tax, "true", "false"));
    say("billing_address_collection", chosen(billing_address, "required", "auto"));
    say("consent_collection[promotions]", chosen(promotions_box, "auto", "none"));
    if let Some(marketing) = marketing {
        // Answers that policy.toml knows, under the key that it knows.
        let options = [("0", &marketing.yes, "yes"), ("1", &marketing.no, "no")];
        say("custom_fields[0][key]", Some("marketing"));
        say("custom_fields[0][type]", Some("dropdown"));
        say("custom_fields[0][optional]", Some("true"));
        say("custom_fields[0][label][type]", Some("custom"));
        say("custom_fields[0][label][custom]", Some(&marketing.question));
        for (i, label, value) in options {
            say(&format!("custom_fields[0][dropdown][options][{i}][label]"), Some(label));
            say(&format!("custom_fields[0][dropdown][options][{i}][value]"), Some(value));
        }
    }
    said
}
