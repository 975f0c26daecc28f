//! DynamoDB in memory, against the local cloud's.

use end_to_end::dynamodb::{EXPRESSIONS, QUERY, TRANSACTION, UPDATE, Wrong, answers_as_in_memory};

use crate::stack::Cloud;

/// What MiniStack 1.5.33 answers otherwise; nearly all are requests that it takes and AWS refuses.
const MINISTACK_IS_WRONG: [Wrong; 13] = [
    // An attribute of another type does not begin with anything; only a value of the request can be a mistake.
    ("UpdateItem", "begins_with(amount, :pl)", EXPRESSIONS),
    ("UpdateItem", "begins_with(wording, :ten)", EXPRESSIONS),
    ("UpdateItem", "amount < :tree", EXPRESSIONS),
    ("UpdateItem", "amount = amount", EXPRESSIONS),
    // Places in a list are those before the update.
    ("UpdateItem", "REMOVE parts[0], parts[1]", UPDATE),
    ("UpdateItem", "SET amount = :nine SET wording = :pl", UPDATE),
    ("UpdateItem", "SET amount = :nine REMOVE amount", UPDATE),
    ("UpdateItem", "SET tree = :tree, tree.leaf = :nine", UPDATE),
    ("UpdateItem", "SET amount = amount + :pl", UPDATE),
    ("UpdateItem", "SET amount = wording + :nine", UPDATE),
    ("UpdateItem", "SET amount = :nine,", UPDATE),
    // Wrong whatever the item, so the request is refused and no transaction begins.
    ("TransactWriteItems", "SET state = :nine", TRANSACTION),
    ("Query", "p = :a AND s <> :a", QUERY),
];

#[test]
fn dynamodb_in_memory_answers_as_the_local_cloud_does() {
    answers_as_in_memory(&Cloud::shared().stack.aws, &MINISTACK_IS_WRONG);
}
