//! What Stripe publishes of its API: the shapes of objects, the parameters of endpoints, the types of events.
//!
//! ```text
//! npm package stripe ─ extract.mjs ─▶ stripe-types/types.json ─▶ Published ─┬─▶ the fake refuses other parameters
//!                        (pinned)      (committed, compared)                 └─▶ tests: what is read, sent, answered
//! ```

use std::sync::OnceLock;

use serde_json::{Map, Value};

/// Stripe's published types. `stripe-types/extract.mjs` describes the JSON.
#[derive(Debug)]
pub struct Published(Value);

/// A parameter or a value that Stripe's types do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// No such endpoint or parameter.
    Unknown(String),
    /// Not a number, where one is wanted.
    NotANumber(String),
    /// A value of another kind, or none of the possible ones.
    Value(String),
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(sentence) | Self::NotANumber(sentence) | Self::Value(sentence) => {
                f.write_str(sentence)
            }
        }
    }
}

impl Published {
    /// The types of the pinned package.
    pub fn get() -> &'static Self {
        static TYPES: OnceLock<Published> = OnceLock::new();
        TYPES.get_or_init(|| Self(serde_json::from_str(include_str!("../stripe-types/types.json")).unwrap()))
    }

    /// The API version that they describe.
    pub fn api_version(&self) -> &str {
        self.0["api_version"].as_str().unwrap()
    }

    /// Whether events of this type exist.
    pub fn has_event(&self, name: &str) -> bool {
        self.0["events"].as_array().unwrap().iter().any(|event| event == name)
    }

    /// The types of all events.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.0["events"].as_array().unwrap().iter().filter_map(Value::as_str)
    }

    /// The name of the type whose objects call themselves so: `Checkout.Session` for `checkout.session`.
    pub fn type_of(&self, object: &str) -> Option<&str> {
        let mut names = self.0["objects"].as_object().unwrap().keys();
        names.find(|name| is_named(self.field(name, "object"), object)).map(String::as_str)
    }

    /// A field of a type: its `shape`, and whether it is `optional`.
    pub fn field(&self, type_name: &str, field: &str) -> Option<&Value> {
        self.fields(type_name)?.get(field)
    }

    /// All fields of a type; `None` when there is no such type.
    pub fn fields(&self, type_name: &str) -> Option<&Map<String, Value>> {
        self.0["types"][type_name]["fields"].as_object()
    }

    /// Whether an endpoint takes a parameter, written as forms write it, with a value.
    ///
    /// # Errors
    ///
    /// With a sentence, when Stripe's types know no such endpoint or parameter or value.
    pub fn takes(&self, method: &str, path: &str, name: &str, value: Option<&str>) -> Result<(), Misfit> {
        let endpoint = self.endpoint(method, path)?;
        let type_name = self.0["endpoints"][&endpoint].as_str().unwrap();
        let mut parts = name.split('[').map(|part| part.trim_end_matches(']'));
        let root = parts.next().unwrap_or_default();
        let unknown =
            || Misfit::Unknown(format!("{endpoint} has no parameter `{name}` in Stripe's published types"));
        let field = self.field(type_name, root).ok_or_else(unknown)?;
        let shapes = parts.try_fold(vec![&field["shape"]], |shapes, part| {
            let inner: Vec<_> = shapes.into_iter().flat_map(|shape| self.inside(shape, part)).collect();
            (!inner.is_empty()).then_some(inner)
        });
        let shapes = shapes.ok_or_else(unknown)?;
        // An empty value unsets.
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(()) };
        if shapes.iter().any(|shape| takes_text(shape, value)) {
            return Ok(());
        }
        let sentence = format!("{endpoint} does not take `{name}` = `{value}` by Stripe's published types");
        let number = shapes.iter().any(|shape| *shape == "number");
        Err(if number { Misfit::NotANumber(sentence) } else { Misfit::Value(sentence) })
    }

    /// Whether some endpoint that is read takes a parameter.
    pub fn is_taken_somewhere(&self, name: &str) -> bool {
        let mut endpoints =
            self.0["endpoints"].as_object().unwrap().keys().filter_map(|key| key.strip_prefix("GET "));
        endpoints.any(|path| self.takes("GET", &path.replace("{id}", "x"), name, None).is_ok())
    }

    /// `GET /v1/prices/{id}` for `/v1/prices/price_1`.
    fn endpoint(&self, method: &str, path: &str) -> Result<String, Misfit> {
        let endpoints = self.0["endpoints"].as_object().unwrap();
        let fits = |endpoint: &&String| {
            let (known, template) = endpoint.split_once(' ').unwrap();
            let same = |(wanted, part): (&str, &str)| wanted == part || wanted == "{id}";
            known == method
                && template.split('/').count() == path.split('/').count()
                && template.split('/').zip(path.split('/')).all(same)
        };
        endpoints.keys().find(fits).cloned().ok_or_else(|| {
            Misfit::Unknown(format!(
                "{method} {path} is not among ENDPOINTS of stripe-types/extract.mjs: if Stripe has it, add it there and \
                 run `npm run extract` in that folder"
            ))
        })
    }

    /// The shapes of a part of what a parameter says.
    fn inside<'a>(&'a self, shape: &'a Value, part: &str) -> Vec<&'a Value> {
        if shape == "any" {
            return vec![shape];
        }
        let index = part.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(shapes) = shape["any_of"].as_array() {
            return shapes.iter().flat_map(|shape| self.inside(shape, part)).collect();
        }
        let inner = match (&shape["list"], &shape["map"], shape["type"].as_str()) {
            (Value::Null, Value::Null, Some(type_name)) => {
                self.field(type_name, part).map(|field| &field["shape"])
            }
            (Value::Null, map, _) if !map.is_null() => Some(map),
            (list, _, _) if !list.is_null() && index => Some(list),
            _ => None,
        };
        inner.into_iter().collect()
    }

    /// The defects of an object, each with its path: fields that the type does not have, values of another kind
    /// and, if it is to be complete, fields that are missing.
    pub fn problems(&self, type_name: &str, object: &Value, complete: bool) -> Vec<String> {
        let mut problems = Vec::new();
        self.compare(type_name, type_name, object, complete, &mut problems);
        problems
    }

    fn compare(
        &self,
        path: &str,
        type_name: &str,
        value: &Value,
        complete: bool,
        problems: &mut Vec<String>,
    ) {
        let (Some(fields), Some(object)) = (self.fields(type_name), value.as_object()) else {
            problems.push(format!("{path} is not a {type_name}"));
            return;
        };
        for (name, value) in object {
            let path = format!("{path}.{name}");
            match fields.get(name) {
                Some(field) => self.compare_shape(&path, &field["shape"], value, complete, problems),
                None if self.0["types"][type_name]["incomplete"] == true => {}
                None => problems.push(format!("{path} is not in Stripe's published types")),
            }
        }
        let missing = |(name, field): &(&String, &Value)| {
            complete && field["optional"] != true && !object.contains_key(*name) && field["shape"] != "any"
        };
        let missing = fields.iter().filter(missing).map(|(name, _)| format!("{path}.{name} is missing"));
        problems.extend(missing);
    }

    fn compare_shape(
        &self,
        path: &str,
        shape: &Value,
        value: &Value,
        complete: bool,
        problems: &mut Vec<String>,
    ) {
        if let Some(shapes) = shape["any_of"].as_array() {
            let shapes = shapes.iter().filter(|shape| value.is_null() == (*shape == "null"));
            let tried = shapes.map(|shape| {
                let mut found = Vec::new();
                self.compare_shape(path, shape, value, complete, &mut found);
                found
            });
            // What fits nowhere is reported as the one that it fits best.
            let cannot_be =
                || vec![format!("{path} is {} and by Stripe's published types {shape}", kind(value))];
            problems.extend(tried.min_by_key(Vec::len).unwrap_or_else(cannot_be));
            return;
        }
        if let (Some(type_name), Value::Object(_)) = (shape["type"].as_str(), value) {
            return self.compare(path, type_name, value, complete, problems);
        }
        if let (Value::Object(_), Value::Array(items)) = (shape, value)
            && !shape["list"].is_null()
        {
            for (i, item) in items.iter().enumerate() {
                self.compare_shape(&format!("{path}[{i}]"), &shape["list"], item, complete, problems);
            }
            return;
        }
        if let (Value::Object(object), false) = (value, shape["map"].is_null()) {
            for (key, value) in object {
                self.compare_shape(&format!("{path}.{key}"), &shape["map"], value, complete, problems);
            }
            return;
        }
        if let (Value::Object(_), Some(names)) = (value, shape["id"].as_array()) {
            let known = names.iter().filter_map(Value::as_str).find(|name| self.fields(name).is_some());
            return known.map_or((), |name| self.compare(path, name, value, complete, problems));
        }
        if !fits(shape, value) {
            problems.push(format!("{path} is {} and by Stripe's published types {shape}", kind(value)));
        }
    }
}

fn is_named(field: Option<&Value>, object: &str) -> bool {
    field.is_some_and(|field| {
        field["shape"]["values"].as_array().is_some_and(|values| values.iter().any(|v| v == object))
    })
}

/// Whether a plain value has a plain shape.
fn fits(shape: &Value, value: &Value) -> bool {
    match shape.as_str() {
        Some("any") => true,
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ if !shape["id"].is_null() => value.is_string(),
        _ => shape["values"].as_array().is_some_and(|values| values.contains(value)),
    }
}

/// Whether the text of a form can be of this shape.
fn takes_text(shape: &Value, text: &str) -> bool {
    if let Some(shapes) = shape["any_of"].as_array() {
        return shapes.iter().any(|shape| takes_text(shape, text));
    }
    match shape.as_str() {
        Some("number") => text.parse::<i64>().is_ok(),
        Some("boolean") => text == "true" || text == "false",
        Some("null") => false,
        Some(_) => true,
        None if !shape["values"].is_null() => fits(shape, &text.into()),
        None => !shape["id"].is_null(),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "this text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
