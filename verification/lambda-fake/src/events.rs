//! What Lambda hands over, by where it comes from.

use serde_json::{Map, Value, json};

/// A message of a queue, of what `ReceiveMessage` answers to what Lambda makes of it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>
pub fn sqs_record(message: &Value, queue_arn: &str, region: &str) -> Value {
    let attributes = message["MessageAttributes"].as_object().into_iter().flatten().map(|(name, value)| {
        let value = json!({
            "stringValue": value["StringValue"], "dataType": value["DataType"],
            "stringListValues": [], "binaryListValues": []
        });
        (name.clone(), value)
    });
    json!({
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes.collect::<Map<_, _>>(),
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region
    })
}

/// A request to a function's URL.
/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>
#[derive(Debug, Clone, Copy)]
pub struct UrlRequest<'a> {
    /// `POST`
    pub method: &'a str,
    /// `/thanks`
    pub path: &'a str,
    /// One parameter at most, `name=value`; empty without.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a Value,
    /// As text.
    pub body: &'a str,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
}

impl UrlRequest<'_> {
    /// What Lambda makes of it.
    pub fn to_event(self) -> Value {
        let parameters: Map<String, Value> = self
            .query
            .split_once('=')
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .into_iter()
            .collect();
        json!({
            "version": "2.0", "rawPath": self.path, "rawQueryString": self.query,
            "queryStringParameters": parameters,
            "isBase64Encoded": false, "body": self.body, "headers": self.headers,
            "requestContext": {
                "accountId": "anonymous", "apiId": "abc", "domainName": "abc.lambda-url.us-east-1.on.aws",
                "http": { "method": self.method, "path": self.path, "protocol": "HTTP/1.1",
                    "sourceIp": "3.18.12.63", "userAgent": "a browser" },
                "requestId": "1", "routeKey": "$default", "stage": "$default",
                "time": "18/Nov/2026:11:06:40 +0000", "timeEpoch": self.at_ms
            }
        })
    }
}
