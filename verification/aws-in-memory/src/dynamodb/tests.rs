use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_795_000_000_000;

/// A table `t` with an index `by-status` by `status` and `at`, and one item.
fn dynamodb(item: &Value) -> DynamoDb {
    let mut dynamodb = DynamoDb::default();
    dynamodb.create_table(
        TableDefinition::new("t", KeyAttribute::text("p"))
            .sorted_by(KeyAttribute::text("s"))
            .indexed("by-status", KeyAttribute::text("status"), Some(KeyAttribute::number("at")))
            .expiring_by("expires_at"),
    );
    dynamodb.put_row("t", item);
    dynamodb
}

fn item() -> Value {
    json!({
        "p": "a", "s": "1", "wording": "plain", "amount": 10, "agreed": true, "blank": null,
        "tree": { "leaf": 1 }, "parts": [1, "two"], "state": "done"
    })
}

fn call(dynamodb: &mut DynamoDb, operation: &str, input: &Value) -> (u16, Value) {
    let answer = dynamodb.answer(NOW, operation, input.to_string().as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// Values for every expression; those that one does not use are left out, as a program would.
fn values(expression: &str) -> Value {
    let all = json!({
        ":plain": { "S": "plain" }, ":pl": { "S": "pl" }, ":ten": { "N": "10.0" }, ":nine": { "N": "9" },
        ":hundred": { "N": "100" }, ":yes": { "BOOL": true }, ":null": { "NULL": true },
        ":map": { "M": { "leaf": { "N": "1" } } }, ":list": { "L": [{ "S": "three" }] }, ":S": { "S": "S" },
        ":text_ten": { "S": "10" }, ":two": { "S": "two" }
    });
    let uses = |name: &str| {
        expression.match_indices(name).any(|(at, _)| {
            !expression[at + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    let used = all.as_object().unwrap().iter().filter(|(name, _)| uses(name));
    Value::Object(used.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn with_values(mut input: Value, expression: &str) -> Value {
    let values = values(expression);
    if values != json!({}) {
        input["ExpressionAttributeValues"] = values;
    }
    input
}

fn conditional_delete(key: &str, condition: &str) -> (u16, Value) {
    let input = json!({
        "TableName": "t", "Key": { "p": { "S": key }, "s": { "S": "1" } }, "ConditionExpression": condition
    });
    call(&mut dynamodb(&item()), "DeleteItem", &with_values(input, condition))
}

/// Whether a condition holds for the item, and for one that is not there.
#[track_caller]
fn check(condition: &str, holds: bool, holds_for_none: bool) {
    for (key, expected) in [("a", holds), ("none", holds_for_none)] {
        let (status, answer) = conditional_delete(key, condition);
        let kind = answer["__type"].as_str().unwrap_or_default();
        assert!(
            (status == 200 && answer == json!({})) || kind.ends_with("#ConditionalCheckFailedException"),
            "{condition}: {answer}"
        );
        assert_eq!(status == 200, expected, "{condition} of {key}");
    }
}

#[test]
fn conditions_hold_by_dynamodbs_rules() {
    check("attribute_exists(p)", true, false);
    check("attribute_not_exists(p)", false, true);
    check("attribute_exists(blank)", true, false);
    check("attribute_exists(tree.leaf)", true, false);
    check("attribute_exists(tree.another)", false, false);
    check("attribute_exists(parts[1])", true, false);
    check("attribute_not_exists(parts[2])", true, true);
    check("attribute_type(amount, :S)", false, false);
    check("attribute_type(p, :S)", true, false);

    check("amount = :ten", true, false);
    check("amount = :text_ten", false, false);
    check("amount <> :text_ten", true, true);
    check("amount > :nine", true, false);
    check("amount < :hundred", true, false);
    check("amount <= :ten AND amount >= :ten", true, false);
    check("wording < :nine", false, false);
    check("absent < :nine", false, false);
    check("absent = :null", false, false);
    check("absent <> :nine", true, true);
    check("absent = another", false, false);
    check("blank = :null", true, false);
    check("agreed = :yes", true, false);
    check("tree = :map", true, false);
    check("amount BETWEEN :nine AND :hundred", true, false);
    check("absent BETWEEN :nine AND :hundred", false, false);
    check("amount IN (:nine, :ten)", true, false);
    check("amount IN (:nine)", false, false);
    check("absent IN (:nine)", false, false);

    check("begins_with(wording, :pl)", true, false);
    check("begins_with(amount, :pl)", false, false);
    check("contains(wording, :pl)", true, false);
    check("contains(parts, :two)", true, false);
    check("contains(tree, :two)", false, false);
}

#[test]
fn and_binds_more_than_or_and_not_more_than_and() {
    check("attribute_exists(p) OR attribute_exists(absent) AND attribute_exists(absent)", true, false);
    check("(attribute_exists(p) OR attribute_exists(absent)) AND attribute_exists(absent)", false, false);
    check("NOT attribute_exists(absent) AND attribute_exists(p)", true, false);
    check("NOT (attribute_exists(p) AND attribute_exists(absent))", true, true);
    check("not amount = :nine and amount = :ten or attribute_not_exists(p)", true, true);
    check("NOT absent = :nine", true, true);
}

/// What a bad request is answered with.
#[track_caller]
fn check_invalid(operation: &str, input: &Value, expected: &str) {
    let mut dynamodb = dynamodb(&item());
    let (status, answer) = call(&mut dynamodb, operation, input);
    let message = answer["message"].as_str().unwrap_or_default();
    assert_eq!((status, &answer["__type"]), (400, &json!("com.amazon.coral.validate#ValidationException")));
    assert!(message.contains(expected), "{input}: {message}");
    assert_eq!(dynamodb.rows("t"), [item()], "nothing was written");
}

#[test]
fn a_wrong_condition_is_refused_whatever_the_item() {
    for (condition, expected) in [
        ("", "The expression can not be empty"),
        ("state = :plain", "Attribute name is a reserved keyword; reserved keyword: state"),
        ("amount = :undefined", "attribute value: :undefined"),
        ("#undefined = :ten", "attribute name: #undefined"),
        ("amount == :ten", "Syntax error; token: \"=\""),
        ("amount = :ten AND", "Syntax error; token: \"<EOF>\""),
        ("amount ! :ten", "Syntax error; token: \"!\""),
        ("amount = :ten)", "Syntax error"),
        ("((amount = :ten))", "redundant parentheses"),
        ("(amount = :ten", "Syntax error"),
        ("exists(amount)", "Invalid function name; function: exists"),
        ("attribute_exists(:ten)", "requires a document path"),
        ("attribute_exists(amount, wording)", "Incorrect number of operands"),
        ("begins_with(wording, :ten)", "Incorrect operand type"),
        ("amount < :map", "Incorrect operand type"),
        ("amount < :yes", "Incorrect operand type"),
        ("amount BETWEEN :hundred AND :nine", "upper bound to be greater than or equal to lower bound"),
        ("amount = amount", "The first operand must be distinct"),
    ] {
        let (_, answer) = conditional_delete("none", condition);
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("Invalid ConditionExpression: "), "{condition}: {answer}");
        assert!(message.contains(expected), "{condition}: {message}");
    }
}

fn key() -> Value {
    json!({ "p": { "S": "a" }, "s": { "S": "1" } })
}

#[test]
fn everything_that_is_given_must_be_used_and_fit() {
    let ten = json!({ ":ten": { "N": "10" } });
    for (operation, input, expected) in [
        (
            "DeleteItem",
            json!({ "TableName": "t", "Key": key(), "ConditionExpression": "attribute_exists(p)", "ExpressionAttributeValues": ten }),
            "unused in expressions: keys: {:ten}",
        ),
        (
            "DeleteItem",
            json!({ "TableName": "t", "Key": key(), "ConditionExpression": "attribute_exists(p)", "ExpressionAttributeNames": { "#n": "n" } }),
            "unused in expressions: keys: {#n}",
        ),
        (
            "DeleteItem",
            json!({ "TableName": "t", "Key": key(), "ExpressionAttributeValues": ten }),
            "can only be specified when using expressions",
        ),
        (
            "DeleteItem",
            json!({ "TableName": "t", "Key": { "p": { "S": "a" } } }),
            "The provided key element does not match the schema",
        ),
        (
            "GetItem",
            json!({ "TableName": "t", "Key": { "p": { "S": "a" }, "s": { "N": "1" } } }),
            "The provided key element does not match the schema",
        ),
        (
            "DeleteItem",
            json!({ "TableName": "t", "Key": { "p": { "S": "" }, "s": { "S": "1" } } }),
            "empty string value. Key: p",
        ),
        (
            "PutItem",
            json!({ "TableName": "t", "Item": { "p": { "S": "a" } } }),
            "Missing the key s in the item",
        ),
        (
            "PutItem",
            json!({ "TableName": "t", "Item": { "p": { "S": "a" }, "s": { "N": "1" } } }),
            "Type mismatch for key s expected: S actual: N",
        ),
        (
            "PutItem",
            json!({ "TableName": "t", "Item": { "p": { "S": "a" }, "s": { "S": "1" }, "status": { "N": "1" } } }),
            "Type mismatch for Index Key status Expected: S Actual: N IndexName: by-status",
        ),
        (
            "PutItem",
            json!({ "TableName": "t", "Item": { "p": { "S": "a" }, "s": { "S": "1" }, "n": { "N": "ten" } } }),
            "cannot be converted to a numeric value: ten",
        ),
        (
            "PutItem",
            json!({ "TableName": "t", "Item": { "p": { "S": "a" }, "s": { "S": "1" }, "x": { "S": "x".repeat(500_000) } } }),
            "Item size has exceeded the maximum allowed size",
        ),
        (
            "PutItem",
            json!({ "TableName": "t", "Item": key(), "ReturnValues": "ALL_NEW" }),
            "Return values set to invalid value",
        ),
    ] {
        check_invalid(operation, &input, expected);
    }
}

/// The item after an update, and the attributes that were not there before the update or are no longer.
fn updated(expression: &str) -> (u16, Value) {
    let input = json!({
        "TableName": "t", "Key": key(), "UpdateExpression": expression, "ReturnValues": "ALL_NEW",
        "ExpressionAttributeNames": { "#state": "state" }
    });
    let mut input = with_values(input, expression);
    if !expression.contains("#state") {
        input.as_object_mut().unwrap().remove("ExpressionAttributeNames");
    }
    call(&mut dynamodb(&item()), "UpdateItem", &input)
}

#[track_caller]
fn check_update(expression: &str, attribute: &str, expected: Option<Value>) {
    let (status, answer) = updated(expression);
    assert_eq!(status, 200, "{expression}: {answer}");
    assert_eq!(answer["Attributes"].get(attribute).cloned(), expected, "{expression}");
}

#[test]
fn updates_change_an_item_by_dynamodbs_rules() {
    let n = |number: &str| Some(json!({ "N": number }));
    check_update("SET fresh_one = :plain", "fresh_one", Some(json!({ "S": "plain" })));
    check_update("SET fresh_one = :plain, #state = :two", "state", Some(json!({ "S": "two" })));
    check_update("SET amount = amount + :nine", "amount", n("19"));
    check_update("SET amount = amount - :hundred", "amount", n("-90"));
    check_update("SET count1 = if_not_exists(count1, :nine) + :nine", "count1", n("18"));
    check_update("SET amount = if_not_exists(amount, :nine)", "amount", n("10"));
    check_update("SET copy1 = amount, amount = :nine", "copy1", n("10"));
    check_update(
        "SET tree.more = :nine",
        "tree",
        Some(json!({ "M": { "leaf": { "N": "1" }, "more": { "N": "9" } } })),
    );
    check_update("SET parts[0] = :nine", "parts", Some(json!({ "L": [{ "N": "9" }, { "S": "two" }] })));
    check_update(
        "SET parts[7] = :nine REMOVE #state",
        "parts",
        Some(json!({ "L": [{ "N": "1" }, { "S": "two" }, { "N": "9" }] })),
    );
    check_update(
        "SET parts = list_append(parts, :list)",
        "parts",
        Some(json!({ "L": [{ "N": "1" }, { "S": "two" }, { "S": "three" }] })),
    );
    check_update("REMOVE wording, absent", "wording", None);
    check_update("REMOVE parts[0], parts[1]", "parts", Some(json!({ "L": [] })));
    check_update("ADD amount :nine", "amount", n("19"));
    check_update("ADD fresh :nine", "fresh", n("9"));
    check_update("remove wording set amount = :nine", "amount", n("9"));
}

#[test]
fn a_wrong_update_is_refused() {
    for (expression, expected) in [
        ("", "Invalid UpdateExpression: The expression can not be empty"),
        ("SET state = :nine", "reserved keyword: state"),
        ("SET amount = :nine SET wording = :pl", "The \"SET\" section can only be used once"),
        ("SET amount = :nine REMOVE amount", "Two document paths overlap"),
        ("SET tree = :map, tree.leaf = :nine", "Two document paths overlap"),
        ("SET p = :pl", "Cannot update attribute p. This attribute is part of the key"),
        ("SET amount = amount + :pl", "Incorrect operand type"),
        ("SET amount = wording + :nine", "An operand in the update expression has an incorrect data type"),
        ("SET amount = absent + :nine", "refers to an attribute that does not exist in the item"),
        (
            "SET absent.leaf = :nine",
            "The document path provided in the update expression is invalid for update",
        ),
        ("ADD wording :nine", "incorrect data type"),
        ("ADD amount :pl", "Incorrect operand type"),
        ("CHANGE amount = :nine", "Syntax error; token: \"CHANGE\""),
        ("SET amount = :nine,", "Syntax error; token: \"<EOF>\""),
        ("SET #status = :nine", "attribute name: #status"),
        ("SET by_code = unknown(amount, :nine)", "Invalid function name; function: unknown"),
    ] {
        let (status, answer) = updated(expression);
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{expression}");
        assert!(message.contains(expected), "{expression}: {message}");
    }
}

#[test]
fn a_failed_condition_brings_the_old_item_only_if_asked() {
    let mut dynamodb = dynamodb(&item());
    let mut input = json!({
        "TableName": "t", "Item": key(), "ConditionExpression": "attribute_not_exists(p)"
    });
    assert!(call(&mut dynamodb, "PutItem", &input).1.get("Item").is_none());
    input["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
    assert_eq!(call(&mut dynamodb, "PutItem", &input).1["Item"]["amount"], json!({ "N": "10" }));
    input["Item"]["s"] = json!({ "S": "2" });
    input["ConditionExpression"] = json!("attribute_exists(p)");
    let (status, answer) = call(&mut dynamodb, "PutItem", &input);
    assert_eq!((status, answer.get("Item")), (400, None), "there is no old item");
}

fn transaction(items: &Value, token: &str) -> Value {
    json!({ "TransactItems": items, "ClientRequestToken": token })
}

#[test]
fn a_transaction_is_written_whole_or_not_at_all_and_says_why() {
    let mut dynamodb = dynamodb(&item());
    let put = |s: &str| json!({ "TableName": "t", "Item": { "p": { "S": "a" }, "s": { "S": s } } });
    let mut refused = put("1");
    refused["ConditionExpression"] = json!("attribute_not_exists(p)");
    refused["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
    let misfit = json!({
        "TableName": "t", "Key": { "p": { "S": "a" }, "s": { "S": "3" } }, "UpdateExpression": "SET x = x + :one",
        "ExpressionAttributeValues": { ":one": { "N": "1" } }
    });
    let items = json!([{ "Put": put("2") }, { "Put": refused }, { "Update": misfit }]);
    let (status, answer) = call(&mut dynamodb, "TransactWriteItems", &transaction(&items, "one"));
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().ends_with("[None, ConditionalCheckFailed, ValidationError]"));
    let reasons = &answer["CancellationReasons"];
    assert_eq!(reasons[0], json!({ "Code": "None" }));
    assert_eq!(reasons[1]["Item"]["amount"], json!({ "N": "10" }));
    assert_eq!(dynamodb.rows("t"), [item()]);

    let check = json!({ "TableName": "t", "Key": key(), "ConditionExpression": "attribute_exists(p)" });
    let items = json!([{ "Put": put("2") }, { "ConditionCheck": check }]);
    assert_eq!(call(&mut dynamodb, "TransactWriteItems", &transaction(&items, "two")), (200, json!({})));
    assert_eq!(dynamodb.rows("t").len(), 2);
    let delete = json!({ "TableName": "t", "Key": key() });
    let items = json!([{ "Delete": delete }, { "Put": put("3") }]);
    assert_eq!(call(&mut dynamodb, "TransactWriteItems", &transaction(&items, "three")), (200, json!({})));
    assert_eq!(dynamodb.rows("t").len(), 2);
}

#[test]
fn a_transaction_may_not_touch_an_item_twice() {
    let put = json!({ "Put": { "TableName": "t", "Item": key() } });
    let delete = json!({ "Delete": { "TableName": "t", "Key": key() } });
    check_invalid(
        "TransactWriteItems",
        &json!({ "TransactItems": [put, delete] }),
        "cannot include multiple operations on one item",
    );
    check_invalid("TransactWriteItems", &json!({ "TransactItems": [] }), "between 1 and 100");
}

#[test]
fn a_transaction_with_a_known_token_is_written_once() {
    let mut dynamodb = dynamodb(&item());
    let add = |amount: &str| {
        let update = json!({
            "TableName": "t", "Key": key(), "UpdateExpression": "ADD amount :n",
            "ExpressionAttributeValues": { ":n": { "N": amount } }
        });
        transaction(&json!([{ "Update": update }]), "token").to_string()
    };
    let mut send = |at_ms: i64, amount: &str| {
        let status = dynamodb.answer(at_ms, "TransactWriteItems", add(amount).as_bytes()).status;
        (status, dynamodb.rows("t")[0]["amount"].clone())
    };
    assert_eq!(send(NOW, "1"), (200, json!(11)));
    assert_eq!(send(NOW + 599_999, "1"), (200, json!(11)), "the reply was lost, the write was not");
    assert_eq!(send(NOW + 599_999, "2"), (400, json!(11)), "another request under the same token");
    assert_eq!(send(NOW + 600_000, "1"), (200, json!(12)), "the token is forgotten");
}

#[test]
fn queries_a_partition_in_the_order_of_its_sort_key() {
    let mut dynamodb = dynamodb(&item());
    for s in ["2", "10", "b1", "b2"] {
        dynamodb.put_row("t", &json!({ "p": "a", "s": s }));
    }
    dynamodb.put_row("t", &json!({ "p": "b", "s": "1" }));
    let mut check = |condition: &str, more: Value, expected: &[&str]| {
        let mut values = json!({ ":p": { "S": "a" } });
        for (name, value) in [(":low", "2"), (":high", "b1"), (":b", "b")] {
            if condition.contains(name) {
                values[name] = json!({ "S": value });
            }
        }
        let mut input = json!({
            "TableName": "t", "KeyConditionExpression": condition, "ExpressionAttributeValues": values
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = call(&mut dynamodb, "Query", &input);
        assert_eq!(status, 200, "{answer}");
        let items = answer["Items"].as_array().unwrap();
        let found: Vec<_> = items.iter().map(|item| item["s"]["S"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{condition}");
        answer
    };
    check("p = :p", json!({}), &["1", "10", "2", "b1", "b2"]);
    check("p = :p", json!({ "ScanIndexForward": false }), &["b2", "b1", "2", "10", "1"]);
    check("p = :p AND s = :low", json!({}), &["2"]);
    check("s > :low AND p = :p", json!({}), &["b1", "b2"]);
    check("p = :p AND s BETWEEN :low AND :high", json!({}), &["2", "b1"]);
    check("p = :p AND begins_with(s, :b)", json!({}), &["b1", "b2"]);
    let filtered = check("p = :p", json!({ "FilterExpression": "attribute_exists(wording)" }), &["1"]);
    assert_eq!((&filtered["Count"], &filtered["ScannedCount"]), (&json!(1), &json!(5)));
    let page = check("p = :p", json!({ "Limit": 2 }), &["1", "10"]);
    let start = json!({ "Limit": 3, "ExclusiveStartKey": page["LastEvaluatedKey"] });
    let page = check("p = :p", start, &["2", "b1", "b2"]);
    let start = json!({ "Limit": 3, "ExclusiveStartKey": page["LastEvaluatedKey"] });
    let end = check("p = :p", start, &[]);
    assert_eq!(
        end.get("LastEvaluatedKey"),
        None,
        "DynamoDB only notices on the next page that there is none"
    );
}

#[test]
fn a_key_condition_names_the_partition_and_at_most_the_sort_key() {
    let values = json!({ ":p": { "S": "a" }, ":n": { "N": "1" } });
    for (condition, expected) in [
        ("s = :p AND begins_with(s, :p)", "Query condition missed key schema element: p"),
        ("p = :p AND amount = :n", "Query condition missed key schema element: s"),
        ("p = :p AND s <> :p", "Query key condition not supported"),
        ("p = :p OR s = :p", "Query condition missed key schema element: p"),
        ("p = :p AND s = :n", "Condition parameter type does not match schema type"),
        ("p = :n", "Condition parameter type does not match schema type"),
    ] {
        let mut values = values.clone();
        values.as_object_mut().unwrap().retain(|name, _| condition.contains(name.as_str()));
        let input = json!({ "TableName": "t", "KeyConditionExpression": condition, "ExpressionAttributeValues": values });
        check_invalid("Query", &input, expected);
    }
}

#[test]
fn an_index_holds_the_items_that_have_its_keys() {
    let mut dynamodb = dynamodb(&item());
    for (s, at) in [("x", json!(20)), ("y", json!(3)), ("z", json!("wording"))] {
        let mut row = json!({ "p": "a", "s": s, "status": "open" });
        if at.is_number() {
            row["at"] = at;
        }
        dynamodb.put_row("t", &row);
    }
    let mut input = json!({
        "TableName": "t", "IndexName": "by-status", "KeyConditionExpression": "#status = :open",
        "ExpressionAttributeNames": { "#status": "status" }, "ExpressionAttributeValues": { ":open": { "S": "open" } },
        "Limit": 1
    });
    let (_, first) = call(&mut dynamodb, "Query", &input);
    assert_eq!(first["Items"][0]["s"], json!({ "S": "y" }), "3 comes before 20");
    input["ExclusiveStartKey"] = first["LastEvaluatedKey"].clone();
    let (_, second) = call(&mut dynamodb, "Query", &input);
    assert_eq!(second["Items"][0]["s"], json!({ "S": "x" }));
    input["ConsistentRead"] = json!(true);
    check_invalid("Query", &input, "Consistent reads are not supported on global secondary indexes");
}

#[test]
fn what_expired_stays_until_it_is_deleted() {
    let mut row = item();
    row["expires_at"] = json!(NOW / 1000);
    let mut dynamodb = dynamodb(&row);
    dynamodb.put_row("t", &json!({ "p": "a", "s": "wording", "expires_at": "1" }));
    let get = json!({ "TableName": "t", "Key": key() });
    dynamodb.expire(NOW);
    assert_eq!(call(&mut dynamodb, "GetItem", &get).1["Item"]["wording"], json!({ "S": "plain" }));
    dynamodb.expire(NOW + 1000);
    assert_eq!(call(&mut dynamodb, "GetItem", &get), (200, json!({})));
    assert_eq!(dynamodb.rows("t").len(), 1, "a text is no time");
}

#[test]
fn a_table_that_is_not_there_is_said_so() {
    let (status, answer) =
        call(&mut dynamodb(&item()), "GetItem", &json!({ "TableName": "u", "Key": key() }));
    assert_eq!(status, 400);
    assert!(answer["__type"].as_str().unwrap().ends_with("#ResourceNotFoundException"));
}
