//! DynamoDB in memory, against that of an emulator: two implementations of the same pages, written apart.
//!
//! The same requests go to both, and both must answer alike: the error, the reasons, the items. Where they differ, one
//! of them is wrong; each emulator's test says where it is not ours.
//!
//! Long because half of it is the list of requests.

use std::collections::BTreeSet;

use aws_in_memory::{KeyAttribute, Request, Service, TableDefinition};
use serde_json::{Value, json};
use xtask::aws::{Aws, unix_now};

const TABLE: &str = "e2e-dynamodb";
const NOW: i64 = 1_795_000_000_000;

/// What an emulator answers otherwise: an operation, an expression or a fragment of JSON in it, and the AWS page that
/// speaks against it.
pub type Wrong = (&'static str, &'static str, &'static str);

/// How conditions and filters are read.
pub const EXPRESSIONS: &str =
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html";
/// What names and values are, and how expressions refer to values that are given apart.
pub const VALUES: &str = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeValues.html";
/// What numbers and keys may be, and how they are kept.
pub const TYPES: &str =
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html";
/// How updates are read.
pub const UPDATE: &str =
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html";
/// How the conditions of a query are read.
pub const QUERY: &str =
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html";
/// What a transaction does.
pub const TRANSACTION: &str =
    "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html";

fn definition() -> (TableDefinition, Value) {
    let in_memory = TableDefinition::new(TABLE, KeyAttribute::text("p"))
        .sorted_by(KeyAttribute::text("s"))
        .indexed("by-status", KeyAttribute::text("status"), Some(KeyAttribute::number("at")));
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let attribute = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
    let on_the_wire = json!({
        "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [key("p", "HASH"), key("s", "RANGE")],
        "AttributeDefinitions": [
            attribute("p", "S"), attribute("s", "S"), attribute("status", "S"), attribute("at", "N")
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-status", "KeySchema": [key("status", "HASH"), key("at", "RANGE")],
            "Projection": { "ProjectionType": "ALL" }
        }]
    });
    (in_memory, on_the_wire)
}

/// A table that goes away with its test.
struct Table<'a>(&'a Aws);

impl Drop for Table<'_> {
    fn drop(&mut self) {
        // A table that is not there any more is deleted as well.
        let _gone = self.0.json("dynamodb", "DynamoDB_20120810.DeleteTable", &json!({ "TableName": TABLE }));
    }
}

fn key(p: &str, s: &str) -> Value {
    json!({ "p": { "S": p }, "s": { "S": s } })
}

/// A request with those of the values that its expressions use.
fn with_values(mut input: Value) -> Value {
    let all = json!({
        ":wording": { "S": "plain" }, ":pl": { "S": "pl" }, ":ten": { "N": "10.0" }, ":nine": { "N": "9" },
        ":hundred": { "N": "100" }, ":agreed": { "BOOL": true }, ":null": { "NULL": true },
        ":tree": { "M": { "leaf": { "N": "1" } } }, ":parts": { "L": [{ "S": "three" }] }, ":kind": { "S": "S" },
        ":text_ten": { "S": "10" }, ":two": { "S": "two" }, ":a": { "S": "a" }, ":open": { "S": "open" }
    });
    let text = input.to_string();
    let uses = |name: &str| {
        text.match_indices(name)
            .any(|(at, _)| !text[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let used = all.as_object().unwrap().iter().filter(|(name, _)| uses(name));
    let used: serde_json::Map<_, _> = used.map(|(name, value)| (name.clone(), value.clone())).collect();
    if !used.is_empty() {
        input["ExpressionAttributeValues"] = used.into();
    }
    input
}

/// Everything that is asked of both, in this order.
fn requests() -> Vec<(&'static str, Value)> {
    let mut requests = vec![];
    let item = json!({
        "p": { "S": "a" }, "s": { "S": "1" }, "wording": { "S": "plain" }, "amount": { "N": "10" },
        "agreed": { "BOOL": true }, "blank": { "NULL": true }, "tree": { "M": { "leaf": { "N": "1" } } },
        "parts": { "L": [{ "N": "1" }, { "S": "two" }] }, "state": { "S": "done" }
    });
    let reset = || ("PutItem", json!({ "TableName": TABLE, "Item": item }));
    requests.push(reset());
    for condition in CONDITIONS {
        for partition in ["a", "none"] {
            let input = json!({
                "TableName": TABLE, "Key": key(partition, "1"), "ConditionExpression": condition,
                "UpdateExpression": "REMOVE touched", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"
            });
            requests.push(("UpdateItem", with_values(input)));
            requests.push(("DeleteItem", json!({ "TableName": TABLE, "Key": key("none", "1") })));
        }
    }
    for update in UPDATES {
        requests.push(reset());
        let input = json!({
            "TableName": TABLE, "Key": key("a", "1"), "UpdateExpression": update, "ReturnValues": "ALL_NEW"
        });
        requests.push(("UpdateItem", with_values(input)));
        let input = json!({
            "TableName": TABLE, "Key": key("fresh", "1"), "UpdateExpression": update, "ReturnValues": "ALL_OLD"
        });
        requests.push(("UpdateItem", with_values(input)));
        requests.push(("DeleteItem", json!({ "TableName": TABLE, "Key": key("fresh", "1") })));
    }
    requests.push(reset());
    requests.extend(mistakes());
    // Who took one of them for right has another item now.
    requests.push(reset());
    requests.extend(transactions());
    requests.push(reset());
    for (s, more) in [
        ("2", json!({ "status": { "S": "open" }, "at": { "N": "20" } })),
        ("10", json!({ "status": { "S": "open" }, "at": { "N": "3" } })),
        ("b1", json!({ "status": { "S": "open" } })),
        ("b2", json!({ "status": { "S": "closed" }, "at": { "N": "3.5" } })),
    ] {
        let mut item = key("a", s);
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        requests.push(("PutItem", json!({ "TableName": TABLE, "Item": item, "ReturnValues": "ALL_OLD" })));
    }
    requests.extend(queries());
    requests
}

const CONDITIONS: [&str; 48] = [
    "attribute_exists(p)",
    "attribute_not_exists(p)",
    "attribute_exists(blank)",
    "attribute_exists(tree.leaf)",
    "attribute_not_exists(parts[2])",
    "attribute_type(wording, :kind)",
    "amount = :ten",
    "amount = :text_ten",
    "amount <> :text_ten",
    "amount > :nine",
    "amount <= :ten AND amount >= :ten",
    "wording < :nine",
    "absent < :nine",
    "absent > :nine",
    "absent = :null",
    "absent <> :nine",
    "blank = :null",
    "agreed = :agreed",
    "tree = :tree",
    "amount BETWEEN :nine AND :hundred",
    "absent BETWEEN :nine AND :hundred",
    "amount IN (:nine, :ten)",
    "absent IN (:nine)",
    "begins_with(wording, :pl)",
    "begins_with(amount, :pl)",
    "contains(wording, :pl)",
    "contains(parts, :two)",
    "contains(tree, :two)",
    "attribute_exists(p) OR attribute_exists(absent) AND attribute_exists(absent)",
    "(attribute_exists(p) OR attribute_exists(absent)) AND attribute_exists(absent)",
    "NOT attribute_exists(absent) AND attribute_exists(p)",
    "NOT (attribute_exists(p) AND attribute_exists(absent))",
    "not amount = :nine and amount = :ten or attribute_not_exists(p)",
    "NOT absent = :nine",
    "",
    "state = :wording",
    "amount = :undefined",
    "#undefined = :ten",
    "amount == :ten",
    "amount = :ten AND",
    "((amount = :ten))",
    "exists(amount)",
    "attribute_exists(:ten)",
    "attribute_exists(amount, wording)",
    "begins_with(wording, :ten)",
    "amount < :tree",
    "amount BETWEEN :hundred AND :nine",
    "amount = amount",
];

const UPDATES: [&str; 30] = [
    "SET fresh_one = :wording",
    "SET amount = amount + :nine",
    "SET amount = amount - :hundred",
    "SET times = if_not_exists(times, :nine) + :nine",
    "SET amount = if_not_exists(amount, :nine)",
    "SET twin = amount, amount = :nine",
    "SET tree.more = :nine",
    "SET parts[0] = :nine",
    "SET parts[7] = :nine REMOVE wording",
    "SET parts = list_append(parts, :parts)",
    "REMOVE wording, absent",
    "REMOVE parts[0], parts[1]",
    "ADD amount :nine",
    "ADD fresh_one :nine",
    "remove wording set amount = :nine",
    "",
    "SET state = :nine",
    "SET amount = :nine SET wording = :pl",
    "SET amount = :nine REMOVE amount",
    "SET tree = :tree, tree.leaf = :nine",
    "SET p = :pl",
    "SET amount = amount + :pl",
    "SET amount = wording + :nine",
    "SET amount = absent + :nine",
    "SET absent.leaf = :nine",
    "ADD wording :nine",
    "ADD amount :pl",
    "CHANGE amount = :nine",
    "SET amount = :nine,",
    "SET by_code = unknown_one(amount, :nine)",
];

fn mistakes() -> Vec<(&'static str, Value)> {
    let ten = json!({ ":ten": { "N": "10" } });
    let delete = |more: Value| {
        let mut input = json!({ "TableName": TABLE, "Key": key("a", "1") });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("DeleteItem", input)
    };
    let put = |item: Value| ("PutItem", json!({ "TableName": TABLE, "Item": item }));
    vec![
        delete(json!({ "ConditionExpression": "attribute_exists(p)", "ExpressionAttributeValues": ten })),
        delete(
            json!({ "ConditionExpression": "attribute_exists(p)", "ExpressionAttributeNames": { "#n": "n" } }),
        ),
        delete(json!({ "ExpressionAttributeValues": ten })),
        delete(json!({ "Key": { "p": { "S": "a" } } })),
        delete(json!({ "Key": { "p": { "S": "" }, "s": { "S": "1" } } })),
        ("GetItem", json!({ "TableName": TABLE, "Key": { "p": { "S": "a" }, "s": { "N": "1" } } })),
        ("GetItem", json!({ "TableName": "e2e-no-such-table", "Key": key("a", "1") })),
        put(json!({ "p": { "S": "a" } })),
        put(json!({ "p": { "S": "a" }, "s": { "N": "1" } })),
        put(json!({ "p": { "S": "a" }, "s": { "S": "1" }, "status": { "N": "1" } })),
        put(json!({ "p": { "S": "a" }, "s": { "S": "1" }, "n": { "N": "ten" } })),
        put(json!({ "p": { "S": "a" }, "s": { "S": "1" }, "x": { "S": "x".repeat(500_000) } })),
        ("PutItem", json!({ "TableName": TABLE, "Item": key("a", "1"), "ReturnValues": "ALL_NEW" })),
        put(json!({ "p": { "S": "numbers" }, "s": { "S": "1" }, "n": { "L": [
            { "N": "001.500" }, { "N": "-0" }, { "N": "1E3" }, { "N": "12e-3" }, { "N": "100" }
        ] } })),
        ("GetItem", json!({ "TableName": TABLE, "Key": key("numbers", "1") })),
        (
            "GetItem",
            json!({ "TableName": TABLE, "Key": key("numbers", "1"), "ProjectionExpression": "p, absent" }),
        ),
        ("DeleteItem", json!({ "TableName": TABLE, "Key": key("numbers", "1"), "ReturnValues": "ALL_OLD" })),
    ]
}

fn transactions() -> Vec<(&'static str, Value)> {
    let put = |s: &str, condition: Option<&str>| {
        let mut put = json!({ "TableName": TABLE, "Item": key("a", s) });
        if let Some(condition) = condition {
            put["ConditionExpression"] = json!(condition);
            put["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
        }
        json!({ "Put": put })
    };
    let update = |expression: &str| {
        json!({ "Update": with_values(json!({
        "TableName": TABLE, "Key": key("a", "u"), "UpdateExpression": expression
    })) })
    };
    let delete = |s: &str| json!({ "Delete": { "TableName": TABLE, "Key": key("a", s) } });
    let check = |s: &str, condition: &str| {
        json!({ "ConditionCheck": {
        "TableName": TABLE, "Key": key("a", s), "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD"
    } })
    };
    let transaction = |items: Vec<Value>, token: Option<&str>| {
        let mut input = json!({ "TransactItems": items });
        if let Some(token) = token {
            input["ClientRequestToken"] = json!(token);
        }
        ("TransactWriteItems", input)
    };
    let get =
        |s: &str| ("GetItem", json!({ "TableName": TABLE, "Key": key("a", s), "ConsistentRead": true }));
    // An emulator may remember an earlier run's.
    let token = format!("e2e-{}", unix_now());
    vec![
        transaction(vec![put("t", None), put("1", Some("attribute_not_exists(p)"))], None),
        get("t"),
        transaction(vec![put("t", None), check("none", "attribute_exists(p)"), delete("none")], None),
        transaction(vec![put("t", None), check("1", "attribute_exists(p)"), update("ADD times :nine")], None),
        get("t"),
        get("u"),
        transaction(vec![put("t", None), delete("t")], None),
        transaction(vec![put("t", None), update("SET absent.leaf = :nine")], None),
        transaction(vec![put("t", None), update("SET state = :nine")], None),
        transaction(vec![], None),
        transaction(vec![update("ADD times :nine")], Some(&token)),
        transaction(vec![update("ADD times :nine")], Some(&token)),
        transaction(vec![update("ADD times :ten")], Some(&token)),
        get("u"),
        transaction(vec![delete("t"), delete("u")], None),
    ]
}

fn queries() -> Vec<(&'static str, Value)> {
    let query = |condition: &str, more: Value| {
        let mut input = json!({ "TableName": TABLE, "KeyConditionExpression": condition });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("Query", with_values(input))
    };
    let by_status = |condition: &str, more: Value| {
        let (operation, mut input) = query(condition, more);
        input["IndexName"] = json!("by-status");
        input["ExpressionAttributeNames"] = json!({ "#status": "status" });
        (operation, input)
    };
    vec![
        query("p = :a", json!({})),
        query("p = :a", json!({ "ScanIndexForward": false, "ConsistentRead": true })),
        query("p = :a AND s = :text_ten", json!({})),
        query("s > :text_ten AND p = :a", json!({})),
        query("p = :a AND s BETWEEN :text_ten AND :a", json!({})),
        query("p = :a AND begins_with(s, :text_ten)", json!({})),
        query("p = :a", json!({ "FilterExpression": "amount = :ten" })),
        query("p = :a", json!({ "ProjectionExpression": "s, amount" })),
        query("p = :a", json!({ "Limit": 2 })),
        query("p = :a", json!({ "Limit": 2, "ExclusiveStartKey": key("a", "10") })),
        query(
            "p = :a",
            json!({ "Limit": 2, "ExclusiveStartKey": key("a", "10"), "ScanIndexForward": false }),
        ),
        query("p = :a", json!({ "Limit": 0 })),
        query("p = :open", json!({})),
        query("s = :a", json!({})),
        query("p = :a AND amount = :nine", json!({})),
        query("p = :a AND s <> :a", json!({})),
        query("p = :nine", json!({})),
        query("p > :a", json!({})),
        by_status("#status = :open", json!({})),
        by_status("#status = :open", json!({ "Limit": 1 })),
        by_status("#status = :open AND at > :nine", json!({})),
        by_status("#status = :open", json!({ "ConsistentRead": true })),
        by_status("#status = :open", json!({ "IndexName": "by-nothing" })),
    ]
}

/// What has to be the same: of an error its type and the reasons, of an answer all of it.
fn comparable((status, answer): &(u16, Value)) -> Value {
    if *status == 200 {
        let mut answer = answer.clone();
        // Not requested; moto returns them all the same.
        answer
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !["ConsumedCapacity", "ItemCollectionMetrics"].contains(&name.as_str()));
        return answer;
    }
    let kind = answer["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default();
    let reason = |reason: &Value| json!({ "Code": reason["Code"], "Item": reason["Item"] });
    let reasons =
        answer["CancellationReasons"].as_array().map(|reasons| reasons.iter().map(reason).collect());
    json!({ "error": kind, "item": answer["Item"], "reasons": Value::Array(reasons.unwrap_or_default()) })
}

/// Asks both, and panics where they differ, except where an emulator is known to be wrong. What no longer differs has
/// to go from that list.
pub fn answers_as_in_memory(aws: &Aws, known_wrong: &[Wrong]) {
    let (definition, on_the_wire) = definition();
    let _table = Table(aws);
    aws.json("dynamodb", "DynamoDB_20120810.CreateTable", &on_the_wire).unwrap();
    let in_memory = aws_in_memory::Cloud::new();
    in_memory.create_table(definition);
    let mut unexplained = Vec::new();
    let mut wrong = BTreeSet::new();
    for (operation, input) in requests() {
        let target = format!("DynamoDB_20120810.{operation}");
        // An emulator that falls over answers, but not in JSON.
        let theirs = aws.any_json("dynamodb", &target, &input).unwrap_or((500, Value::Null));
        let request = Request {
            method: "POST".to_owned(),
            uri: "/".to_owned(),
            checksum_sha256: None,
            target: Some(target),
            service: Service::DynamoDb,
            body: input.to_string().into_bytes(),
        };
        let ours = in_memory.answer(NOW, &request);
        let ours = (ours.status, serde_json::from_slice(&ours.body).unwrap());
        if comparable(&ours) == comparable(&theirs) {
            continue;
        }
        let text = input.to_string();
        let known = known_wrong.iter().find(|(of, expression, _)| {
            *of == operation && {
                text.contains(&json!(expression).to_string())
                    || (expression.starts_with('"') && text.contains(expression))
            }
        });
        match known {
            Some(known) => {
                wrong.insert(*known);
            }
            None => unexplained.push(format!(
                "{operation} {input}\n  in memory: {} {}\n  emulator: {} {}",
                ours.0, ours.1, theirs.0, theirs.1
            )),
        }
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert_eq!(wrong, known_wrong.iter().copied().collect(), "what no longer differs");
}
