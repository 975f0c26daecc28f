//! Two copies of a function with the same event in hand, both past everything but the ledger's condition.

use catalogue::Task;
use serde_json::{Value, json};
use testkit::stripe::SessionEvent;

use crate::account::{Account, invoke, kinds_and_sum, of};

const TRANSACT: &str = "DynamoDB_20120810.TransactWriteItems";
const UPDATE: &str = "DynamoDB_20120810.UpdateItem";

/// Two copies of a task's message for two processes of its function, whose first writes meet.
fn both_at_once(account: &Account, task: &str, write: &'static str) {
    let id = Task::ALL.into_iter().find(|known| known.name() == task).unwrap().id();
    let queue = account.output(&format!("{id}QueueUrl"));
    let first = account.receive(task, 1).pop().unwrap();
    account.sqs("SendMessage", &json!({ "QueueUrl": queue, "MessageBody": first["Body"] }));
    let copies = [first, account.receive(task, 1).pop().unwrap()];
    let batches = copies.clone().map(|copy| account.batch(task, &[copy]));
    let processes = [account.start(task), account.start(task)];
    account.gate.let_meet(write, 2);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let threads = processes
            .into_iter()
            .zip(batches)
            .map(|(process, batch)| scope.spawn(move || invoke(&process, &batch)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (copy, answer) in copies.iter().zip(&answers) {
        account.delete(task, std::slice::from_ref(copy), answer);
    }
}

/// The reasons of the transactions that were cancelled, write by write.
fn cancelled(account: &Account) -> Vec<Vec<String>> {
    let answers = account.gate.answers(TRANSACT);
    let reasons = answers.iter().filter_map(|answer| answer["CancellationReasons"].as_array());
    let code = |reason: &Value| reason["Code"].as_str().unwrap().to_owned();
    reasons.map(|reasons| reasons.iter().map(code).collect()).collect()
}

#[test]
fn the_second_transaction_of_records_is_cancelled_and_nothing_is_written_twice() {
    let account = Account::new();
    account.put_event(&of(SessionEvent::paid(), "Records").to_json());
    both_at_once(&account, "contribution-records", TRANSACT);
    let cancelled = cancelled(&account);
    assert_eq!(cancelled.len(), 1, "one wins, one is told why not: {cancelled:?}");
    assert!(cancelled[0].contains(&"ConditionalCheckFailed".to_owned()), "{cancelled:?}");
    account.settle();
    assert!(account.ledger("pi_Records").contains(&"contribution#paid done".to_owned()));
    assert_eq!(account.contribution("pi_Records")["status"], "paid");
    assert_eq!(account.rows("SupportersTableName", "pi_Records").len(), 1);
    assert!(account.take_dead_letters("ContributionRecords").is_empty());
}

#[test]
fn the_second_transaction_of_consents_is_cancelled_and_nothing_is_written_twice() {
    let account = Account::new();
    account.put_event(&of(SessionEvent::paid(), "Consents").marketing(Some("yes")).to_json());
    both_at_once(&account, "soft-opt-ins", TRANSACT);
    let cancelled = cancelled(&account);
    assert_eq!(cancelled.len(), 1, "one wins, one is told why not: {cancelled:?}");
    assert!(cancelled[0].contains(&"ConditionalCheckFailed".to_owned()), "{cancelled:?}");
    account.settle();
    assert!(account.ledger("pi_Consents").contains(&"consents done".to_owned()));
    assert!(account.take_dead_letters("SoftOptIns").is_empty());
}

#[test]
fn the_second_claim_of_a_mail_is_refused_and_one_mail_goes() {
    let account = Account::new();
    account.put_event(&of(SessionEvent::paid(), "Thanks").to_json());
    both_at_once(&account, "thank-you-email", UPDATE);
    assert_eq!(refused_updates(&account), 1);
    account.settle();
    assert!(account.ledger("pi_Thanks").contains(&"email#thank-you done".to_owned()));
    assert_eq!(account.mails_to("Thanks").len(), 1);
    assert!(account.take_dead_letters("ThankYouEmail").is_empty());
}

#[test]
fn the_second_claim_of_an_acquisition_is_refused_and_it_is_published_once() {
    let account = Account::new();
    account.put_event(&of(SessionEvent::paid(), "Published").to_json());
    both_at_once(&account, "acquisition-events", UPDATE);
    assert_eq!(refused_updates(&account), 1);
    account.settle();
    assert!(account.ledger("pi_Published").contains(&"acquisition done".to_owned()));
    assert_eq!(kinds_and_sum(&account.take_published()), (vec!["acquisition"], 1250));
}

/// How many updates were refused by their condition, so far.
fn refused_updates(account: &Account) -> usize {
    let refused = |answer: &&Value| {
        answer["__type"].as_str().is_some_and(|it| it.ends_with("ConditionalCheckFailedException"))
    };
    account.gate.answers(UPDATE).iter().filter(refused).count()
}
