use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use customer_locale::LocaleRequest;
use download_claims::{
    AwsPurchases, CachedSecret, FOLDER, Fetch, NoKeys, OfferedFile, Purchase, Purchases as _, PurchasesError,
    SecretError, TableError, TokenKeys, Verified,
};
use effect_ledger::Clock;
use fulfilment::{FulfilmentKind, PaymentId, Policy};
use task_runtime::cause_chain;
use tracing::{error, info, warn};

use crate::access::{Access, access};
use crate::page::{Page, PageContext, Renderer};
use crate::payments::{Payment, Payments, PaymentsError};
use crate::request::{Wish, preferred_language, utm_parameters};
use crate::size::lifetime;

/// What is counted of each request.
pub(crate) type Counts = Vec<(&'static str, u32)>;

/// The pages and the way to the files.
///
/// Forged requests from other sites need no guard: what lets a request in is the token in its address, which another
/// site does not know, and nothing rides on cookies.
pub(crate) struct Site<C> {
    pub(crate) payments: Payments,
    pub(crate) purchases: AwsPurchases<C>,
    pub(crate) keys: CachedSecret<C>,
    pub(crate) pages: Renderer,
    pub(crate) policy: Policy,
    pub(crate) clock: C,
}

/// Nobody can tell just now.
#[derive(Debug, thiserror::Error)]
enum Unavailable {
    #[error(transparent)]
    Payments(#[from] PaymentsError),
    #[error(transparent)]
    Purchases(#[from] PurchasesError),
    #[error(transparent)]
    Fetches(#[from] TableError),
    #[error(transparent)]
    NoSecret(#[from] SecretError),
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
    #[error("no address for the file can be made")]
    NotSigned(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What becomes of a request.
struct Outcome {
    page: Page,
    payment: Option<Payment>,
    /// What is offered on the page.
    files: Vec<OfferedFile>,
    /// Where the page's form goes, when that is not the page itself.
    action: Option<String>,
    /// Where the browser is sent instead of the page.
    address: Option<String>,
}

impl Outcome {
    const fn page(page: Page, payment: Option<Payment>) -> Self {
        Self { page, payment, files: Vec::new(), action: None, address: None }
    }
}

impl<C: Clock + Clone> Site<C> {
    /// Fetches the keys before they are needed. A failure is logged and mended by the first request.
    pub(crate) async fn warm_up(&self) {
        if let Err(error) = self.keys.current().await {
            error!("{}", cause_chain(&error));
        }
    }

    /// Answers one request and logs once what became of it. Tokens and visitors' addresses are in no log.
    pub(crate) async fn answer(
        &self,
        request: &LambdaFunctionUrlRequest,
    ) -> (LambdaFunctionUrlResponse, Counts) {
        let wish = Wish::read(request);
        let outcome = match &wish {
            Wish::Thanks { session_id } => self.thanks(session_id).await,
            Wish::Claim { token } => self.claim(token).await,
            Wish::Fetch { token, number } => self.fetch(token, *number).await,
            Wish::WrongMethod { .. } | Wish::BadForm | Wish::Nothing => {
                Ok(Outcome::page(Page::Unknown, None))
            }
        };
        let outcome = outcome.unwrap_or_else(|problem| {
            let cause = cause_chain(&problem);
            error!(cause, "failed: {cause}");
            Outcome::page(Page::Unavailable, None)
        });
        let mut response = match &outcome.address {
            Some(address) => self.pages.redirect(address),
            None => self.pages.answer(outcome.page, &self.context(request, &outcome)),
        };
        match wish {
            Wish::WrongMethod { allow } => {
                response.status_code = 405;
                response.headers.insert("allow", allow.parse().expect("a plain header value"));
            }
            Wish::BadForm => response.status_code = 400,
            Wish::Thanks { .. } | Wish::Claim { .. } | Wish::Fetch { .. } | Wish::Nothing => {}
        }
        if request.request_context.http.method.as_deref() == Some("HEAD") {
            response.body = None;
        }
        let counts = self.note(&outcome, response.status_code);
        (response, counts)
    }

    /// The page after the payment.
    async fn thanks(&self, session_id: &str) -> Result<Outcome, Unavailable> {
        let payment = self.payments.of_session(session_id, self.purchases.stripe(), self.now()).await?;
        let Some(payment) = payment else {
            return Ok(Outcome::page(Page::Unknown, None));
        };
        let mut outcome = self.look(payment, Page::Thanks).await?;
        if let (Page::Thanks, Some(payment)) = (outcome.page, &outcome.payment)
            && !outcome.files.is_empty()
        {
            let keys = TokenKeys::parse(&self.keys.current().await?)?;
            outcome.action = Some(format!("d/{}", keys.sign(&payment.contribution.payment_id)));
        }
        Ok(outcome)
    }

    /// The page with the files. Looking at it uses nothing up: mail scanners follow links.
    async fn claim(&self, token: &str) -> Result<Outcome, Unavailable> {
        match self.claimed(token).await? {
            Some(payment) => self.look(payment, Page::Downloads).await,
            None => Ok(Outcome::page(Page::Unknown, None)),
        }
    }

    /// One file: counts, and sends the browser to an address made for it.
    async fn fetch(&self, token: &str, number: usize) -> Result<Outcome, Unavailable> {
        let mut outcome = self.claim(token).await?;
        let (Page::Downloads, Some(payment)) = (outcome.page, &outcome.payment) else {
            return Ok(outcome);
        };
        let chosen = number.checked_sub(1).and_then(|index| outcome.files.get(index));
        let Some((file, size)) = chosen.and_then(|chosen| Some((&chosen.file, chosen.size?))) else {
            // Another purchase's form, or a file that is not there any more: the page says what there is.
            return Ok(outcome);
        };
        let key = format!("{FOLDER}{}", file.key);
        let address = self.purchases.objects().presigned(&key, file.name(), lifetime(size)).await;
        let address = address.map_err(Unavailable::NotSigned)?;
        let files = i64::try_from(outcome.files.len()).unwrap_or(i64::MAX);
        let limit = self.policy.files.fetches.saturating_mul(files);
        let payment_id = &payment.contribution.payment_id;
        match self.purchases.table().count_fetch(payment_id, limit, self.now()).await? {
            Fetch::Counted(_) => outcome.address = Some(address),
            Fetch::LimitReached => {
                outcome.page = Page::LimitReached;
                outcome.files.clear();
            }
        }
        Ok(outcome)
    }

    /// What a payment of ours gives, at this moment.
    async fn look(&self, payment: Payment, if_open: Page) -> Result<Outcome, Unavailable> {
        let page = match access(&payment.contribution, &self.policy.files, self.now()) {
            Access::Open => if_open,
            Access::Pending => Page::Pending,
            Access::Failed => Page::Failed,
            Access::Refunded => Page::Refunded,
            Access::Disputed => Page::Disputed,
            // Nobody is turned away from a page that offers nothing.
            Access::Expired if !is_download(&payment) => if_open,
            Access::Expired => Page::Expired,
        };
        let files = match &payment.contribution.session.session_id {
            Some(session_id) if page == if_open && is_download(&payment) => {
                let payment_id = &payment.contribution.payment_id;
                let purchase = Purchase { payment_id, session_id, of_link: payment.of_link.as_deref() };
                self.purchases.files(&purchase).await?
            }
            _ => Vec::new(),
        };
        Ok(Outcome { files, ..Outcome::page(page, Some(payment)) })
    }

    /// The payment of ours that a token names.
    async fn claimed(&self, token: &str) -> Result<Option<Payment>, Unavailable> {
        let Some(payment_id) = self.verified(token).await? else {
            return Ok(None);
        };
        Ok(self.payments.of_payment(&payment_id, self.purchases.stripe(), self.now()).await?)
    }

    async fn verified(&self, token: &str) -> Result<Option<PaymentId>, Unavailable> {
        let mut verified = TokenKeys::parse(&self.keys.current().await?)?.verify(token);
        if verified == Verified::UnknownKey {
            // Somebody may have put a new key in since.
            verified = TokenKeys::parse(&self.keys.fresh().await?)?.verify(token);
        }
        Ok(match verified {
            Verified::Payment(payment_id) => Some(payment_id),
            Verified::UnknownKey | Verified::Forged => None,
        })
    }

    fn context<'a>(&self, request: &'a LambdaFunctionUrlRequest, outcome: &'a Outcome) -> PageContext<'a> {
        let session = outcome.payment.as_ref().map(|payment| &payment.contribution.session);
        let country = session.and_then(|session| session.country.as_deref());
        let locale = session.and_then(|session| session.locale.as_deref());
        // As in the mail; the browser is asked where that would be a guess.
        let locale = if country.is_none() { locale.or_else(|| preferred_language(request)) } else { locale };
        PageContext {
            locale: LocaleRequest { session: locale, country },
            files: &outcome.files,
            action: outcome.action.as_deref(),
            is_download: outcome.payment.as_ref().is_some_and(is_download),
            nothing_due: session.is_some_and(|session| session.amount == Some(0)),
            days: self.policy.files.days,
            utm: utm_parameters(request),
            reference: outcome.payment.as_ref().map(|payment| payment.contribution.payment_id.as_str()),
        }
    }

    /// Logs what became of a request, and says what is counted.
    fn note(&self, outcome: &Outcome, status: i64) -> Counts {
        let payment_id = outcome.payment.as_ref().map(|payment| payment.contribution.payment_id.as_str());
        let payment_id = payment_id.unwrap_or_default();
        let page = outcome.page.name();
        if outcome.address.is_some() {
            info!(payment.id = payment_id, status, "fetched");
            return vec![("Fetches", 1)];
        }
        info!(payment.id = payment_id, page, status, "page: {page}");
        let mut counts = vec![("Pages", 1)];
        let offers = matches!(outcome.page, Page::Thanks | Page::Downloads);
        if offers && outcome.payment.as_ref().is_some_and(is_download) {
            let missing = outcome.files.iter().filter(|offered| offered.size.is_none());
            let missing: Vec<&str> = missing.map(|offered| offered.file.key.as_str()).collect();
            if !missing.is_empty() || outcome.files.is_empty() {
                warn!(
                    payment.id = payment_id,
                    files = missing.join(", "),
                    "files were bought that are not there"
                );
                counts.push(("FilesMissing", 1));
            }
        }
        if outcome.page == Page::Unavailable {
            counts.push(("Failed", 1));
        }
        counts
    }

    fn now(&self) -> i64 {
        self.clock.now_ms() / 1000
    }
}

fn is_download(payment: &Payment) -> bool {
    payment.contribution.session.kind == Some(FulfilmentKind::Download)
}

#[cfg(test)]
mod tests;
