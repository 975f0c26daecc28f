use aws::cause_chain;
use aws::{CachedSecret, Clock, SecretError};
use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use customer_locale::LocaleRequest;
use download_claims::{
    AwsPurchases, FOLDER, Fetch, NoKeys, Offer, OfferedFile, Purchase, Purchases as _, PurchasesError,
    SessionsError, TableError, TokenKeys, Verified,
};
use fulfilment::{FulfilmentKind, PaymentId, Policy};
use mail_rendering::displayed;
use tracing::{error, info, warn};

use crate::access::{Access, access};
use crate::page::{Page, PageContext, Renderer, ShownPurchase};
use crate::payments::{Closed, Lookup, Payment, Payments, PaymentsError};
use crate::request::{Route, preferred_language, utm_parameters};
use crate::size::lifetime;

/// The metrics of a request.
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

/// It cannot be determined now.
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

impl Unavailable {
    /// Whether it is strangers who keep Stripe busy: nothing is broken, and a moment later there is an answer.
    const fn is_pace(&self) -> bool {
        matches!(
            self,
            Self::Payments(PaymentsError::Stripe(SessionsError::PaceExceeded))
                | Self::Purchases(PurchasesError::Stripe(SessionsError::PaceExceeded))
        )
    }
}

/// For how long a session id offers files on the page after the payment, in seconds.
///
/// The id is in the browser's history, in analysts' events and in Stripe's dashboard, so it is no key for longer than a
/// customer needs who has just paid. The mail's link has no such end.
const SESSION_OFFERS_SECONDS: i64 = 86_400;

/// What becomes of a request.
struct Handled {
    page: Page,
    payment: Option<Payment>,
    /// The files offered on the page.
    files: Vec<OfferedFile>,
    /// The generation of the link that opens it.
    generation: u32,
    /// Whether only the mail's link offers the files.
    by_mail_only: bool,
    /// Whether it is the pace of calls to Stripe that stands in the way.
    later: bool,
    /// Where the page's form goes, when that is not the page itself.
    action: Option<String>,
    /// Where the browser is sent instead of the page.
    address: Option<String>,
}

impl Handled {
    const fn page(page: Page, payment: Option<Payment>) -> Self {
        Self {
            page,
            payment,
            files: Vec::new(),
            generation: 0,
            by_mail_only: false,
            later: false,
            action: None,
            address: None,
        }
    }
}

impl<C: Clock + Clone> Site<C> {
    /// Fetches the keys before they are needed. A failure is logged, and the first request fetches again.
    pub(crate) async fn warm_up(&self) {
        if let Err(error) = self.keys.current().await {
            error!("{}", cause_chain(&error));
        }
    }

    /// Answers one request and logs the outcome once. Tokens and visitors' addresses are in no log.
    pub(crate) async fn answer(
        &self,
        request: &LambdaFunctionUrlRequest,
    ) -> (LambdaFunctionUrlResponse, Counts) {
        let route = Route::read(request);
        self.purchases.stripe().begin_page();
        let outcome = match &route {
            Route::Thanks { session_id: None, .. } => Ok(Handled::page(Page::Welcome, None)),
            Route::Thanks { session_id: Some(session_id), depth } => self.thanks(session_id, *depth).await,
            Route::Claim { token } => self.claim(token).await,
            Route::Fetch { token, number } => self.fetch(token, *number).await,
            Route::WrongMethod { .. } | Route::BadForm | Route::Nothing => {
                Ok(Handled::page(Page::Unknown, None))
            }
        };
        let outcome = outcome.unwrap_or_else(|problem| {
            let cause = cause_chain(&problem);
            let later = problem.is_pace();
            if later {
                warn!(cause, "later: {cause}");
            } else {
                error!(cause, "failed: {cause}");
            }
            Handled { later, ..Handled::page(Page::Unavailable, None) }
        });
        let is_link = matches!(route, Route::Claim { .. } | Route::Fetch { .. });
        let mut response = match &outcome.address {
            Some(address) => self.pages.redirect(address),
            None => {
                let context = self.context(request, &outcome, is_link);
                match outcome.later {
                    // A form is not sent again by itself.
                    true => self.pages.answer_later(&context, !matches!(route, Route::Fetch { .. })),
                    false => self.pages.answer(outcome.page, &context),
                }
            }
        };
        match route {
            Route::WrongMethod { allow } => {
                response.status_code = 405;
                response.headers.insert("allow", allow.parse().expect("a plain header value"));
            }
            Route::BadForm => response.status_code = 400,
            Route::Thanks { .. } | Route::Claim { .. } | Route::Fetch { .. } | Route::Nothing => {}
        }
        if request.request_context.http.method.as_deref() == Some("HEAD") {
            response.body = None;
        }
        let counts = self.count_outcome(&outcome, response.status_code);
        (response, counts)
    }

    /// The page after the payment.
    async fn thanks(&self, session_id: &str, depth: usize) -> Result<Handled, Unavailable> {
        if !self.payments.is_plausible(session_id) {
            return Ok(Handled::page(Page::Welcome, None));
        }
        let stripe = self.purchases.stripe();
        let payment = match self.payments.of_session(session_id, stripe, self.now()).await? {
            Lookup::Payment(payment) => *payment,
            Lookup::Gone => return Ok(Handled::page(Page::Welcome, None)),
            Lookup::Unknown => return Ok(Handled::page(Page::Unknown, None)),
        };
        let mut outcome = self.look(payment, Page::Thanks, None).await?;
        if let (Page::Thanks, Some(payment)) = (outcome.page, &outcome.payment)
            && !outcome.files.is_empty()
        {
            let keys = TokenKeys::parse(&self.keys.current().await?)?;
            let token = keys.sign(&payment.contribution.payment_id, outcome.generation);
            outcome.action = Some(format!("{}d/{token}", "../".repeat(depth)));
        }
        Ok(outcome)
    }

    /// The page with the files. Looking at it uses nothing up: mail scanners follow links.
    async fn claim(&self, token: &str) -> Result<Handled, Unavailable> {
        let Some((payment_id, generation)) = self.verified(token).await? else {
            return Ok(Handled::page(Page::Unknown, None));
        };
        match self.payments.of_payment(&payment_id, self.purchases.stripe(), self.now()).await? {
            Lookup::Payment(payment) => self.look(*payment, Page::Downloads, Some(generation)).await,
            Lookup::Gone => Ok(Handled::page(Page::Expired, None)),
            Lookup::Unknown => Ok(Handled::page(Page::Unknown, None)),
        }
    }

    /// One file: counts, and sends the browser to an address made for it.
    async fn fetch(&self, token: &str, number: usize) -> Result<Handled, Unavailable> {
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
        let address = self.purchases.files().address(&key, file.name(), self.now(), lifetime(size)).await;
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

    /// What a payment of ours gives, at this moment. `generation` is that of the link it was opened by; `None` where it
    /// was opened by its session.
    async fn look(
        &self,
        payment: Payment,
        if_open: Page,
        generation: Option<u32>,
    ) -> Result<Handled, Unavailable> {
        let page = match self.access_to(&payment) {
            Access::Open => if_open,
            Access::Pending => Page::Pending,
            Access::Failed => Page::Failed,
            Access::Refunded => Page::Refunded,
            Access::Disputed => Page::Disputed,
            Access::Expired if is_download(&payment) => Page::Expired,
            Access::Expired if payment.closed == Some(Closed::Gone) => Page::Welcome,
            // A page that offers nothing does not run out.
            Access::Expired => if_open,
        };
        if page != if_open || !is_download(&payment) {
            return Ok(Handled::page(page, Some(payment)));
        }
        let by_mail_only = generation.is_none() && !self.is_fresh(&payment);
        if by_mail_only {
            return Ok(Handled { by_mail_only, ..Handled::page(page, Some(payment)) });
        }
        let Offer { files, generation: newest, sold: _ } = self.offer(&payment).await?;
        if generation.is_some_and(|generation| generation != newest) {
            return Ok(Handled::page(Page::Replaced, Some(payment)));
        }
        Ok(Handled { files, generation: newest, ..Handled::page(page, Some(payment)) })
    }

    fn access_to(&self, payment: &Payment) -> Access {
        match payment.closed {
            Some(Closed::Gone) => Access::Expired,
            Some(Closed::Refunded) => Access::Refunded,
            Some(Closed::Disputed) => Access::Disputed,
            None => access(&payment.contribution, &self.policy.files, self.now()),
        }
    }

    /// Whether the payment is young enough for its session to offer files.
    fn is_fresh(&self, payment: &Payment) -> bool {
        let paid_at = payment.contribution.paid_at;
        paid_at.is_some_and(|paid_at| self.now() < paid_at.saturating_add(SESSION_OFFERS_SECONDS))
    }

    async fn offer(&self, payment: &Payment) -> Result<Offer, PurchasesError> {
        let Some(session_id) = &payment.contribution.session.session_id else {
            return Ok(Offer::default());
        };
        let payment_id = &payment.contribution.payment_id;
        let purchase = Purchase { payment_id, session_id, of_link: payment.of_link.as_deref() };
        self.purchases.offer(&purchase).await
    }

    /// The payment that a token names, and the generation of its link.
    async fn verified(&self, token: &str) -> Result<Option<(PaymentId, u32)>, Unavailable> {
        let mut verified = TokenKeys::parse(&self.keys.current().await?)?.verify(token);
        if verified == Verified::UnknownKey {
            // An operator may have put a new key in since.
            verified = TokenKeys::parse(&self.keys.fresh().await?)?.verify(token);
        }
        Ok(match verified {
            Verified::Payment { payment_id, generation } => Some((payment_id, generation)),
            Verified::UnknownKey | Verified::Forged => None,
        })
    }

    fn context<'a>(
        &self,
        request: &'a LambdaFunctionUrlRequest,
        outcome: &'a Handled,
        is_link: bool,
    ) -> PageContext<'a> {
        let session = outcome.payment.as_ref().map(|payment| &payment.contribution.session);
        let country = session.and_then(|session| session.country.as_deref());
        let locale = session.and_then(|session| session.locale.as_deref());
        // As in the mail; the browser is asked where that would be a guess.
        let locale = if country.is_none() { locale.or_else(|| preferred_language(request)) } else { locale };
        let locale = LocaleRequest { session: locale, country };
        PageContext {
            locale,
            purchase: self.shown_purchase(outcome, locale.built_in().tag()),
            files: &outcome.files,
            action: outcome.action.as_deref(),
            is_download: outcome.payment.as_ref().is_some_and(is_download),
            by_mail_only: outcome.by_mail_only,
            gone: outcome.payment.as_ref().is_none_or(|payment| payment.closed == Some(Closed::Gone)),
            is_link,
            nothing_due: session.is_some_and(|session| session.amount == Some(0)),
            days: self.policy.files.days,
            utm: utm_parameters(request),
            reference: outcome.payment.as_ref().map(|payment| payment.contribution.payment_id.reference()),
        }
    }

    /// What the page says was bought: the link's name for it, else those of the products, else the policy's word. A page
    /// about an order that is gone, or that a link no longer opens, names nothing.
    fn shown_purchase(&self, outcome: &Handled, language: &str) -> Option<ShownPurchase> {
        let is_about_it = match outcome.page {
            Page::Thanks
            | Page::Downloads
            | Page::Pending
            | Page::Failed
            | Page::Refunded
            | Page::Disputed => true,
            Page::Welcome
            | Page::Expired
            | Page::LimitReached
            | Page::Replaced
            | Page::Unknown
            | Page::Unavailable => false,
        };
        let session = &outcome.payment.as_ref().filter(|_| is_about_it)?.contribution.session;
        let mut products: Vec<&str> = Vec::new();
        for product in outcome.files.iter().filter_map(|offered| offered.file.product.as_deref()) {
            if !products.contains(&product) {
                products.push(product);
            }
        }
        let named =
            session.shown_as.as_deref().and_then(displayed).or_else(|| displayed(&products.join(", ")));
        let product = match (named, session.kind) {
            (Some(named), _) => named,
            (None, Some(kind)) => self.policy.kind(kind).shown_as(language).to_owned(),
            (None, None) => return None,
        };
        Some(ShownPurchase { amount: session.shown_amount()?, product })
    }

    /// Logs the outcome of a request, and returns what to count.
    fn count_outcome(&self, outcome: &Handled, status: i64) -> Counts {
        let payment_id = outcome.payment.as_ref().map(|payment| payment.contribution.payment_id.reference());
        let payment_id = payment_id.as_deref().unwrap_or_default();
        let page = outcome.page.name();
        if outcome.address.is_some() {
            info!(payment.id = payment_id, status, "fetched");
            return vec![("Fetches", 1)];
        }
        info!(payment.id = payment_id, page, status, "page: {page}");
        let mut counts = vec![("Pages", 1)];
        let offers = matches!(outcome.page, Page::Thanks | Page::Downloads) && !outcome.by_mail_only;
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
            // Strangers who keep Stripe busy must not be able to ring the alarm for a broken function.
            counts.push((if outcome.later { "Delayed" } else { "Failed" }, 1));
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
