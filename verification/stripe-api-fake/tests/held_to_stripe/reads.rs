//! Whether every field that is read is published, and of the shape in which it is read.

use std::collections::BTreeSet;

use serde_json::Value;
use stripe_api_fake::Published;
use syn::{GenericArgument, PathArguments, Type};

use crate::source::{Either, Field, Known, Types};

/// A field that is read and is not in the types: the struct, the field, the type if it is in another one that the struct
/// reads too, and why it is read all the same.
pub(crate) type Legacy = (&'static str, &'static str, Option<&'static str>, &'static str);

/// Compares what code reads with what Stripe publishes.
pub(crate) struct Reader<'a> {
    pub(crate) published: &'a Published,
    /// Of the crate, and then those of `stripe-events`.
    pub(crate) types: Vec<&'a Types>,
    pub(crate) legacy: &'a [Legacy],
    pub(crate) seen: BTreeSet<String>,
    /// Structs, with the type that they were compared with: one struct may read several.
    pub(crate) compared: BTreeSet<(String, String)>,
    pub(crate) problems: Vec<String>,
    /// The entries of `legacy` that were needed.
    pub(crate) needed: BTreeSet<Legacy>,
}

impl Reader<'_> {
    /// A struct against a type, and all that it holds.
    pub(crate) fn read(&mut self, name: &str, stripe: &str) {
        self.seen.insert(name.to_owned());
        if !self.compared.insert((name.to_owned(), stripe.to_owned())) {
            return;
        }
        match self.known(name) {
            Some(Known::Struct(fields)) => self.read_fields(name, &fields, stripe),
            Some(Known::Either(variants)) => {
                for variant in variants {
                    if let Either::Fields(fields) = variant {
                        self.read_fields(name, &fields, stripe);
                    }
                }
            }
            Some(Known::Values(_)) | None => {
                self.problems.push(format!("there is no struct {name} any more"))
            }
        }
    }

    fn known(&self, name: &str) -> Option<Known> {
        self.types.iter().find_map(|types| types.get(name)).cloned()
    }

    fn read_fields(&mut self, name: &str, fields: &[Field], stripe: &str) {
        if self.published.fields(stripe).is_none() {
            self.problems.push(format!("Stripe publishes no type {stripe}, as which {name} is read"));
            return;
        }
        for field in fields {
            let is_it = |legacy: &&Legacy| {
                legacy.0 == name && legacy.1 == field.name && legacy.2.is_none_or(|only| only == stripe)
            };
            let legacy = self.legacy.iter().find(is_it);
            match (self.published.field(stripe, &field.name).cloned(), legacy) {
                (Some(published), None) => self.read_field(name, field, &published),
                (None, Some(legacy)) => {
                    self.needed.insert(*legacy);
                }
                (Some(_), Some(_)) => self.problems.push(format!(
                    "{name}::{} is in LEGACY, and Stripe's {stripe} has it: take it out of LEGACY",
                    field.name
                )),
                (None, None) => self.problems.push(format!(
                    "{name} reads `{}`, which Stripe's {stripe} does not have: correct the name, or, if older API \
                     versions have it, add it to LEGACY with the version that took it away",
                    field.name
                )),
            }
        }
    }

    fn read_field(&mut self, name: &str, field: &Field, published: &Value) {
        let what = format!("{name}::{}", field.name);
        let shape = &published["shape"];
        let option = generic(&field.kind, "Option").is_some();
        if published["optional"] == true && !field.default && !option {
            self.problems
                .push(format!("{what} must be there, and Stripe may leave it out: give it a default"));
        }
        if may_be_null(shape) && !option && !field.read_by_function && self.is_strict(&field.kind) {
            self.problems.push(format!("{what} cannot be null, and Stripe's may be: make it an Option"));
        }
        self.read_published(&what, &field.kind, published);
    }

    /// Whether null is refused for certain.
    fn is_strict(&self, kind: &Type) -> bool {
        let named = last_name(kind);
        !matches!(named.as_deref().and_then(|name| self.known(name)), Some(Known::Either(_)))
            && named.as_deref() != Some("Value")
    }

    /// Whether a Rust type reads a field as it is published.
    fn read_published(&mut self, what: &str, kind: &Type, published: &Value) {
        let named = generic(kind, "Option").as_ref().or(Some(kind)).and_then(last_name);
        match (named.and_then(|name| self.known(&name)), published["documented"].is_array()) {
            // Typed as text, and listed in words.
            (Some(Known::Values(values)), true) => {
                self.read_values(what, &values, &[&serde_json::json!({ "values": published["documented"] })]);
            }
            _ => self.read_type(what, kind, &published["shape"]),
        }
    }

    /// Whether a Rust type reads a shape.
    fn read_type(&mut self, what: &str, kind: &Type, shape: &Value) {
        for wrapper in ["Option", "Box", "Personal"] {
            if let Some(inner) = generic(kind, wrapper) {
                return self.read_type(what, &inner, shape);
            }
        }
        let shapes: Vec<&Value> = match shape["any_of"].as_array() {
            Some(shapes) => shapes.iter().filter(|shape| *shape != "null").collect(),
            None => vec![shape],
        };
        if shapes.iter().any(|shape| *shape == "any") {
            return;
        }
        if let Some(inner) = generic(kind, "Vec") {
            return match shapes.iter().find(|shape| !shape["list"].is_null()) {
                Some(shape) => self.read_type(what, &inner, &shape["list"]),
                None => self.mismatch(what, "a list", shape),
            };
        }
        let name = last_name(kind).unwrap_or_default();
        let has = |wanted: &[&str]| {
            shapes.iter().any(|shape| match shape.as_str() {
                Some(primitive) => wanted.contains(&primitive),
                None => wanted.iter().any(|wanted| !shape[*wanted].is_null()),
            })
        };
        match (name.as_str(), self.known(&name)) {
            ("Value" | "RawValue", _) => {}
            ("String", _) if has(&["string", "id", "values"]) => {}
            ("i64" | "u64" | "i32" | "u32", _) if has(&["number"]) => {}
            ("bool", _) if has(&["boolean"]) => {}
            ("BTreeMap" | "HashMap", _) if has(&["map"]) => {}
            (_, Some(Known::Values(values))) => self.read_values(what, &values, &shapes),
            (_, Some(Known::Struct(_))) => self.read_struct(what, &name, &shapes),
            (_, Some(Known::Either(variants))) => self.read_either(what, &name, &variants, shape),
            _ => self.mismatch(what, &name, shape),
        }
    }

    fn read_struct(&mut self, what: &str, name: &str, shapes: &[&Value]) {
        let inside = shapes.iter().find_map(|shape| {
            let expanded = shape["id"].as_array().and_then(|names| {
                names.iter().filter_map(Value::as_str).find(|name| self.published.fields(name).is_some())
            });
            shape["type"].as_str().or(expanded)
        });
        match inside.map(str::to_owned) {
            Some(stripe) => self.read(name, &stripe),
            None if shapes.iter().any(|shape| !shape["id"].is_null()) => self.problems.push(format!(
                "{what} reads an expanded object that extract.mjs does not look into: add it to OBJECTS there"
            )),
            None => self.problems.push(format!("{what} reads an object, and Stripe's is none: {shapes:?}")),
        }
    }

    fn read_either(&mut self, what: &str, name: &str, variants: &[Either], shape: &Value) {
        if variants.iter().all(|variant| matches!(variant, Either::Type(_))) {
            self.seen.insert(name.to_owned());
        }
        for variant in variants {
            match variant {
                // Null, and what Stripe does not send today, may be among the alternatives.
                Either::Type(kind) if last_name(kind).as_deref() == Some("String") => {}
                Either::Type(kind) if generic(kind, "Option").is_some() => {}
                Either::Type(kind) => self.read_type(what, kind, shape),
                Either::Fields(_) => {
                    let shapes =
                        shape["any_of"].as_array().map_or_else(|| vec![shape], |all| all.iter().collect());
                    self.read_struct(what, name, &shapes);
                }
            }
        }
    }

    fn read_values(&mut self, what: &str, values: &[String], shapes: &[&Value]) {
        let Some(published) = shapes.iter().find_map(|shape| shape["values"].as_array()) else {
            return self
                .problems
                .push(format!("{what} knows values of which Stripe publishes none: read it as text"));
        };
        for value in values.iter().filter(|value| !published.iter().any(|known| known == *value)) {
            self.problems
                .push(format!("{what} knows the value `{value}`, which Stripe does not have: {published:?}"));
        }
    }

    fn mismatch(&mut self, what: &str, rust: &str, shape: &Value) {
        self.problems.push(format!("{what} is read as {rust}, and Stripe publishes {shape}"));
    }
}

fn may_be_null(shape: &Value) -> bool {
    shape["any_of"].as_array().is_some_and(|shapes| shapes.iter().any(|shape| shape == "null"))
}

/// `T` of `Option<T>`.
fn generic(kind: &Type, wrapper: &str) -> Option<Type> {
    let Type::Path(path) = kind else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) if last.ident == wrapper => Some(inner.clone()),
        _ => None,
    }
}

fn last_name(kind: &Type) -> Option<String> {
    let Type::Path(path) = kind else { return None };
    Some(path.path.segments.last()?.ident.to_string())
}
