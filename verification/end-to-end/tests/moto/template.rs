//! What would be deployed: the template of the stage `local`, and what its references stand for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The template, and the names that its resources got so far.
pub(crate) struct Template {
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
    exports: BTreeMap<String, Value>,
    names: BTreeMap<String, String>,
    attributes: BTreeMap<(String, String), String>,
}

impl Template {
    /// Reads the templates of the stage's stacks, as the CDK app synthesized them, from their files.
    pub(crate) fn read(files: &Value) -> Self {
        let files = files.as_array().unwrap().iter().map(|file| file.as_str().unwrap());
        let stacks: Vec<Value> =
            files.map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect();
        assert!(!stacks.is_empty(), "no template was synthesized");
        let all = |of: &str| -> Map<String, Value> {
            stacks.iter().filter_map(|stack| stack[of].as_object().cloned()).flatten().collect()
        };
        let outputs = all("Outputs");
        let exported = outputs.values().filter_map(|output| {
            Some((output["Export"]["Name"].as_str()?.to_owned(), output["Value"].clone()))
        });
        Self {
            resources: all("Resources"),
            exports: exported.collect(),
            outputs,
            names: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// The resources of a type, by their ids, with references as they are.
    pub(crate) fn of_type(&self, wanted: &str) -> Vec<(String, Value)> {
        let found = self.resources.iter().filter(|(_, resource)| resource["Type"] == wanted);
        found.map(|(id, resource)| (id.clone(), resource["Properties"].clone())).collect()
    }

    /// A resource was made: what `Ref` gives of it.
    pub(crate) fn made(&mut self, id: &str, name: &str) {
        self.names.insert(id.to_owned(), name.to_owned());
    }

    /// An attribute that it got.
    pub(crate) fn has(&mut self, id: &str, attribute: &str, value: &str) {
        self.attributes.insert((id.to_owned(), attribute.to_owned()), value.to_owned());
    }

    /// An output of a stack.
    pub(crate) fn output(&self, name: &str) -> String {
        let value = self.resolve(&self.outputs[name]["Value"]);
        value.as_str().unwrap_or_else(|| panic!("{name} is {value}")).to_owned()
    }

    /// All outputs of the stacks made here.
    pub(crate) fn outputs(&self) -> Map<String, Value> {
        let made = |value: &Value| match value["Ref"].as_str() {
            Some(id) => self.names.contains_key(id),
            // Attributes are what one stack hands to another, and addresses.
            None => value.is_string(),
        };
        let outputs = self.outputs.iter().filter(|(_, output)| made(&output["Value"]));
        outputs.map(|(name, output)| (name.clone(), self.resolve(&output["Value"]))).collect()
    }

    /// A value with what its references stand for.
    pub(crate) fn resolve(&self, value: &Value) -> Value {
        match value {
            Value::Array(values) => values.iter().map(|value| self.resolve(value)).collect(),
            Value::Object(fields) => self.referred(fields).unwrap_or_else(|| {
                let field = |(name, value): (&String, &Value)| {
                    assert!(!name.starts_with("Fn::"), "{name} is not understood here");
                    (name.clone(), self.resolve(value))
                };
                fields.iter().map(field).collect()
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    fn referred(&self, fields: &Map<String, Value>) -> Option<Value> {
        let (kind, to) = fields.iter().next().filter(|_| fields.len() == 1)?;
        match kind.as_str() {
            "Ref" => Some(self.names[to.as_str()?].clone().into()),
            "Fn::GetAtt" => {
                let key = (to[0].as_str()?.to_owned(), to[1].as_str()?.to_owned());
                Some(self.attributes[&key].clone().into())
            }
            "Fn::ImportValue" => Some(self.resolve(&self.exports[to.as_str()?])),
            _ => None,
        }
    }
}
