use aws::Environment;
use aws_in_memory::{Cloud, sdk_config};
use fulfilment::effects;
use testkit::clock::ManualClock;

use super::*;

struct Case {
    cloud: Cloud,
    clock: ManualClock,
    limit: DynamoDbAddressLimit<ManualClock>,
}

fn case() -> Case {
    let cloud = Cloud::with_tables();
    let clock = ManualClock::default();
    cloud.put_secret("keys", "key-0123456789abcdef0123456789abcdef012345");
    let variables = |name: &str| {
        let value = match name {
            "LIVEMODE" => "false",
            "EFFECTS_TABLE" => "effects",
            "TOKEN_KEYS_SECRET_NAME" => "keys",
            _ => "elsewhere",
        };
        Some(value.to_owned())
    };
    let config = Config::from_env(&mut Environment::new(variables)).unwrap();
    let limit = DynamoDbAddressLimit::new(&config, &sdk_config(&cloud, clock.clone()), 3, clock.clone());
    Case { cloud, clock, limit }
}

impl Case {
    async fn admits(&self, to: &str, payment: &str) -> bool {
        let mail = EffectKey::new(payment, effects::email("thank-you"));
        self.limit.admit(to, &mail).await.unwrap() == Admission::Admitted
    }
}

#[tokio::test]
async fn an_address_gets_its_mails_of_a_day_and_no_more() {
    let case = case();
    for payment in ["cs_1", "cs_2", "cs_3"] {
        assert!(case.admits("ada@example.org", payment).await, "{payment}");
    }
    assert!(!case.admits("ada@example.org", "cs_4").await);
    assert!(!case.admits("ADA@example.org", "cs_4").await, "capitals make no other mailbox");
    assert!(case.admits("eve@example.org", "cs_4").await);
    case.clock.advance_ms(DAY * 1000);
    for payment in ["cs_4", "cs_5", "cs_6"] {
        assert!(case.admits("ada@example.org", payment).await, "{payment}");
    }
    assert!(!case.admits("ada@example.org", "cs_7").await);
}

#[tokio::test]
async fn a_mail_that_is_tried_again_counts_once() {
    let case = case();
    for _ in 0..5 {
        assert!(case.admits("ada@example.org", "cs_1").await);
    }
    assert!(case.admits("ada@example.org", "cs_2").await && case.admits("ada@example.org", "cs_3").await);
    assert!(case.admits("ada@example.org", "cs_1").await, "also when the day's mails are used up");
}

/// The ledger's table names no customer, and forgets the count by itself.
#[tokio::test]
async fn the_row_holds_no_address_and_ends_after_two_days() {
    let case = case();
    case.admits("ada@example.org", "cs_1").await;
    let rows = case.cloud.rows("effects");
    let printed = serde_json::to_string(&rows).unwrap();
    assert!(rows.len() == 1 && !printed.contains("ada") && !printed.contains("example.org"), "{printed}");
    assert_eq!(rows[0]["mails"], serde_json::json!(["cs_1 email#thank-you"]));
    assert_eq!(rows[0]["expires_at"], case.clock.now_ms() / 1000 + 2 * DAY);
}
