use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A server that echoes, and counts what reaches it.
fn upstream() -> (String, Arc<AtomicU32>) {
    let reached = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&reached);
    let answer = move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let said = format!("{} {} {}", request.method, request.path, String::from_utf8_lossy(&request.body));
        Reply::json(201, said).with("x-upstream", "yes")
    };
    (format!("http://{}", loopback::serve(answer).unwrap()), reached)
}

fn call(url: &str, service: &str, target: &str) -> Result<(u16, String), ureq::Error> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let mut answer = ureq::Agent::from(config)
        .post(format!("{url}/path?query=1"))
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential=AKID/20261127/us-east-1/{service}/aws4_request, X"),
        )
        .header("x-amz-target", target)
        .send("body")?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
}

#[test]
fn calls_go_through_unchanged_until_a_fault_is_injected_and_after_it_is_lifted() {
    let (upstream, reached) = upstream();
    let url = start(&upstream).unwrap();
    let faults = Faults::at(&url);
    let through = (201, "POST /path?query=1 body".to_owned());
    assert_eq!(call(&url, "sqs", "AmazonSQS.SendMessage").unwrap(), through);

    faults.inject("sqs", "SendMessage", Fault::refuse(400, "AccessDenied", "no")).unwrap();
    let (status, body) = call(&url, "sqs", "AmazonSQS.SendMessage").unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("AccessDenied"), "{body}");
    assert_eq!(call(&url, "sqs", "AmazonSQS.DeleteMessage").unwrap(), through, "another operation");
    assert_eq!(call(&url, "dynamodb", "X.SendMessage").unwrap(), through, "another service");
    assert_eq!(reached.load(Ordering::SeqCst), 3);

    faults.lift().unwrap();
    assert_eq!(call(&url, "sqs", "AmazonSQS.SendMessage").unwrap(), through);
}

#[test]
fn a_lost_reply_is_done_and_a_dropped_call_is_not_and_either_may_be_of_a_few_calls() {
    let (upstream, reached) = upstream();
    let url = start(&upstream).unwrap();
    let faults = Faults::at(&url);
    faults.inject_times("ses", "*", Fault::LoseReply, 1).unwrap();
    assert!(call(&url, "ses", "X.Send").is_err());
    assert_eq!(reached.load(Ordering::SeqCst), 1);
    assert!(call(&url, "ses", "X.Send").is_ok(), "the one call is over");
    faults.inject("ses", "*", Fault::Drop).unwrap();
    assert!(call(&url, "ses", "X.Send").is_err());
    assert_eq!(reached.load(Ordering::SeqCst), 2);
}

#[test]
fn operations_of_rest_services_are_known_by_name_or_path() {
    assert_eq!(of_rest("POST", "/v2/email/outbound-emails"), "SendEmail");
    assert_eq!(of_rest("GET", "/v2/email/identities/example.org"), "GetEmailIdentity");
    assert_eq!(of_rest("GET", "/bucket/key"), "GET /bucket/key");
}
