use super::*;

#[test]
fn outputs_and_tasks_have_each_others_names() {
    assert_eq!(kebab_case("ThankYouEmail"), "thank-you-email");
    assert_eq!(construct_id("thank-you-email"), "ThankYouEmail");
}

#[test]
fn a_row_loses_its_type_letters() {
    let item = json!({
        "payment_id": {"S": "pi_1"}, "amount": {"N": "1250"}, "name": {"NULL": true},
        "more": {"M": {"list": {"L": [{"BOOL": true}]}}},
    });
    let plain = json!({"payment_id": "pi_1", "amount": 1250, "name": null, "more": {"list": [true]}});
    assert_eq!(plain_item(&item), plain);
}

#[test]
fn adds_up_the_metrics_among_other_lines() {
    let lines = [
        "START RequestId: 1".to_owned(),
        json!({"level": "INFO", "message": "handled"}).to_string(),
        json!({"_aws": {}, "Task": "t", "Done": 1, "Skipped": 1, "Retried": 0}).to_string(),
        json!({"_aws": {}, "Task": "t", "Reason": "already_done", "Skipped": 1}).to_string(),
    ];
    let before = Counts::default();
    let now = counts(&lines);
    assert_eq!(now.settled(), 2);
    assert_eq!(now.since(&before).words(), "done, skipped (already_done)");
    assert_eq!(now.since(&now).words(), "not called");
}
