//! Links that were renewed.

use super::*;

impl Case {
    /// As `afterlink renew-link` writes it.
    fn renew_link(&self, generation: u32) {
        let mut row = self.cloud.row("downloads", &["pi_Example"]).unwrap();
        row["generation"] = json!(generation);
        self.cloud.put_row("downloads", &row);
    }

    async fn open(&self, generation: u32, method: &str) -> Answer {
        let token = TokenKeys::parse(TOKEN_KEY).unwrap().sign(&PaymentId::new("pi_Example"), generation);
        let body = (method == "POST").then_some("file=1");
        self.ask(method, &format!("/d/{token}"), "", body).await
    }
}

#[tokio::test]
async fn only_the_newest_link_of_a_purchase_opens_it() {
    let case = case();
    case.record_events(&history("paid"));
    assert_eq!(case.open(0, "POST").await.response.status_code, 303);
    for newest in [1, 2] {
        case.renew_link(newest);
        for generation in 0..4 {
            let page = case.open(generation, "GET").await;
            let fetch = case.open(generation, "POST").await;
            if generation == newest {
                assert_eq!((page.response.status_code, fetch.response.status_code), (200, 303));
                continue;
            }
            for answer in [page, fetch] {
                assert_eq!(answer.page(), super::page(410, "This link has been replaced"), "{generation}");
                assert_eq!((answer.location(), answer.offers()), (None, 0));
            }
        }
    }
}

#[tokio::test]
async fn the_page_after_the_payment_leads_to_the_newest_link() {
    let case = case();
    case.record_events(&history("paid"));
    case.claim().await;
    case.renew_link(1);
    let body = case.thanks().await.response.body.unwrap();
    let newest = TokenKeys::parse(TOKEN_KEY).unwrap().sign(&PaymentId::new("pi_Example"), 1);
    assert!(body.contains(&format!("d&#x2f;{newest}")), "{body}");
}
