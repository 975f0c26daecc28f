//! DynamoDB in memory, against moto's.

use end_to_end::dynamodb::{EXPRESSIONS, QUERY, TRANSACTION, TYPES, VALUES, Wrong, answers_as_in_memory};

use crate::account::Account;

/// What moto 5.2.5 answers otherwise. Nearly all are requests that AWS refuses and moto takes or falls over. No
/// condition of ours compares with null or with another type, and the tokens of transactions are for lost replies, which
/// there are none of here.
const MOTO_IS_WRONG: [Wrong; 28] = [
    // Values of two types are not equal and none is below the other; an absent value equals nothing.
    ("UpdateItem", "wording < :nine", EXPRESSIONS),
    ("UpdateItem", "absent = :null", EXPRESSIONS),
    ("UpdateItem", "blank = :null", EXPRESSIONS),
    ("UpdateItem", "\"ConditionExpression\":\"\"", EXPRESSIONS),
    ("UpdateItem", "amount = :undefined", VALUES),
    ("UpdateItem", "#undefined = :ten", VALUES),
    ("UpdateItem", "amount == :ten", EXPRESSIONS),
    ("UpdateItem", "amount = :ten AND", EXPRESSIONS),
    ("UpdateItem", "attribute_exists(:ten)", EXPRESSIONS),
    ("UpdateItem", "attribute_exists(amount, wording)", EXPRESSIONS),
    ("UpdateItem", "begins_with(wording, :ten)", EXPRESSIONS),
    ("UpdateItem", "amount < :tree", EXPRESSIONS),
    ("UpdateItem", "amount BETWEEN :hundred AND :nine", EXPRESSIONS),
    ("UpdateItem", "amount = amount", EXPRESSIONS),
    ("DeleteItem", ":ten", VALUES),
    ("DeleteItem", "\"p\":{\"S\":\"\"}", TYPES),
    ("GetItem", "\"s\":{\"N\":\"1\"}", TYPES),
    ("PutItem", "\"status\":{\"N\":\"1\"}", TYPES),
    // Zeroes around a number are not kept.
    ("GetItem", "numbers", TYPES),
    ("DeleteItem", "numbers", TYPES),
    ("TransactWriteItems", "SET absent.leaf = :nine", TRANSACTION),
    ("TransactWriteItems", "\"TransactItems\":[]", TRANSACTION),
    // moto knows no `ClientRequestToken`: what is sent again is done again, and another request is no mistake.
    ("TransactWriteItems", "ADD times :ten", TRANSACTION),
    ("GetItem", "u", TRANSACTION),
    ("Query", "\"Limit\":0", QUERY),
    ("Query", "p = :a AND s <> :a", QUERY),
    ("Query", "p = :nine", QUERY),
    ("Query", "#status = :open AND at > :nine", QUERY),
];

#[test]
fn dynamodb_in_memory_answers_as_motos_does() {
    answers_as_in_memory(&Account::new().aws, &MOTO_IS_WRONG);
}
