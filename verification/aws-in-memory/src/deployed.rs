use serde::Deserialize;

use crate::{KeyAttribute, Projection, TableDefinition};

/// A table as `cdk/test/golden/tables.json` describes it: all keys are strings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeployedTable {
    partition: String,
    sort: Option<String>,
    expiry: Option<String>,
    indexes: Vec<DeployedIndex>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeployedIndex {
    name: String,
    partition: String,
    sort: Option<String>,
    projection: DeployedProjection,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum DeployedProjection {
    All,
    KeysOnly,
}

impl DeployedTable {
    pub(super) fn definition(&self, name: &str) -> TableDefinition {
        let sort = |name: &Option<String>| name.as_deref().map(KeyAttribute::text);
        let mut definition = TableDefinition::new(name, KeyAttribute::text(&self.partition));
        if let Some(sort) = sort(&self.sort) {
            definition = definition.sorted_by(sort);
        }
        if let Some(expiry) = &self.expiry {
            definition = definition.expiring_by(expiry);
        }
        self.indexes.iter().fold(definition, |definition, index| {
            let projection = match index.projection {
                DeployedProjection::All => Projection::All,
                DeployedProjection::KeysOnly => Projection::KeysOnly,
            };
            definition.indexed_with(
                &index.name,
                KeyAttribute::text(&index.partition),
                sort(&index.sort),
                projection,
            )
        })
    }
}
