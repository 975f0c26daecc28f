//! The pages, from a payment's facts to the answer a browser gets. Pure: no clock, no network.

use std::borrow::Cow;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use customer_locale::{BuiltInLanguage, LocaleRequest};
use download_claims::OfferedFile;
use fulfilment::{Money, Organisation};
use include_dir::{Dir, include_dir};
use mail_rendering::money_text;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use sha2::{Digest, Sha256};

use crate::size::size_text;

/// What a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// Paid, straight after paying.
    Thanks,
    /// After a payment of which the address says nothing.
    Welcome,
    /// Paid, from the mail.
    Downloads,
    /// The money is on its way.
    Pending,
    /// The money will not come.
    Failed,
    /// The money went back.
    Refunded,
    /// The bank has not decided.
    Disputed,
    /// The policy's time is over.
    Expired,
    /// Fetched as often as the policy allows.
    LimitReached,
    /// A link that was renewed since.
    Replaced,
    /// Nothing of ours.
    Unknown,
    /// It cannot be determined now.
    Unavailable,
}

impl Page {
    /// The folder of its templates, and its name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Thanks => "thanks",
            Self::Welcome => "welcome",
            Self::Downloads => "downloads",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::Expired => "expired",
            Self::LimitReached => "limit-reached",
            Self::Replaced => "replaced",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP status it is answered with.
    pub(crate) const fn status(self) -> i64 {
        match self {
            Self::Thanks | Self::Welcome | Self::Downloads | Self::Pending | Self::Failed => 200,
            Self::Refunded | Self::Disputed => 403,
            Self::Expired | Self::Replaced => 410,
            Self::LimitReached => 429,
            Self::Unknown => 404,
            Self::Unavailable => 503,
        }
    }
}

/// Everything a page is made of, beside the parts that are the same on all.
#[derive(Debug)]
pub(crate) struct PageContext<'a> {
    /// The evidence of the customer's language.
    pub(crate) locale: LocaleRequest<'a>,
    /// The files offered; none on pages that offer nothing.
    pub(crate) files: &'a [OfferedFile],
    /// Where the form goes, when that is not the page itself.
    pub(crate) action: Option<&'a str>,
    /// Whether files were bought.
    pub(crate) is_download: bool,
    /// Whether the files are offered by the mail's link only, because the payment is more than a day old.
    pub(crate) by_mail_only: bool,
    /// Whether the record is gone: not the policy's time has ended the link.
    pub(crate) gone: bool,
    /// Whether it was opened by a link of a mail, which may have been cut.
    pub(crate) is_link: bool,
    /// What was paid, and for what; none on pages about nothing in particular.
    pub(crate) purchase: Option<ShownPurchase>,
    /// Whether it was free.
    pub(crate) nothing_due: bool,
    /// How long files can be fetched, in days.
    pub(crate) days: i64,
    /// UTM parameters to pass on to the site.
    pub(crate) utm: String,
    /// What the customer can quote to the organisation and the organisation can look up.
    pub(crate) reference: Option<Cow<'a, str>>,
}

/// A purchase as its customer recognises it: the page after paying looks the same for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownPurchase {
    /// The amount the customer saw.
    pub(crate) amount: Money,
    /// The name of what was bought, in the page's language.
    pub(crate) product: String,
}

/// All files of the folder: one a page and language, and what they share.
static TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Nothing a page without script could use is allowed.
const PERMISSIONS_POLICY: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), display-capture=(), \
     fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), \
     publickey-credentials-get=(), screen-wake-lock=(), usb=(), xr-spatial-tracking=()";

/// Turns pages into answers.
pub(crate) struct Renderer {
    templates: Environment<'static>,
    organisation: Organisation,
    content_security_policy: String,
}

impl Renderer {
    /// `files_origin` is where the form's answer sends a browser to.
    pub(crate) fn new(organisation: &Organisation, files_origin: &str) -> Self {
        let style = BASE64_STANDARD.encode(Sha256::digest(style()));
        // A form's redirect must be allowed as well as its target.
        let content_security_policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self' {files_origin}; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        Self { templates: templates(), organisation: organisation.clone(), content_security_policy }
    }

    /// The answer to a browser.
    pub(crate) fn answer(&self, page: Page, context: &PageContext<'_>) -> LambdaFunctionUrlResponse {
        let mut response = self.answer_with(page.status(), self.render(page, context));
        header(&mut response, "content-type", "text/html; charset=utf-8");
        if page == Page::Unavailable {
            header(&mut response, "retry-after", "60");
        }
        response
    }

    /// The answer while strangers keep Stripe busy. The browser asks again by itself.
    pub(crate) fn answer_later(&self, context: &PageContext<'_>, again: bool) -> LambdaFunctionUrlResponse {
        let mut response = self.answer(Page::Unavailable, context);
        header(&mut response, "retry-after", "10");
        if again {
            header(&mut response, "refresh", "10");
        }
        response
    }

    /// An answer that sends the browser on.
    pub(crate) fn redirect(&self, address: &str) -> LambdaFunctionUrlResponse {
        let mut response = self.answer_with(303, String::new());
        header(&mut response, "location", address);
        response
    }

    /// Every answer is personal, for this browser now: nothing may keep it, show it in a frame, or learn its address.
    fn answer_with(&self, status: i64, body: String) -> LambdaFunctionUrlResponse {
        let mut response = LambdaFunctionUrlResponse::default();
        response.status_code = status;
        response.body = Some(body);
        header(&mut response, "content-security-policy", &self.content_security_policy);
        header(&mut response, "cache-control", "no-store");
        header(&mut response, "referrer-policy", "no-referrer");
        header(&mut response, "x-robots-tag", "noindex, nofollow");
        header(&mut response, "x-content-type-options", "nosniff");
        header(&mut response, "strict-transport-security", "max-age=31536000");
        header(&mut response, "x-frame-options", "DENY");
        header(&mut response, "permissions-policy", PERMISSIONS_POLICY);
        header(&mut response, "cross-origin-opener-policy", "same-origin");
        header(&mut response, "cross-origin-resource-policy", "same-origin");
        header(&mut response, "cross-origin-embedder-policy", "require-corp");
        header(&mut response, "x-permitted-cross-domain-policies", "none");
        response
    }

    fn render(&self, page: Page, context: &PageContext<'_>) -> String {
        let language = context.locale.built_in();
        let site = &self.organisation.site;
        let onward = match (context.utm.as_str(), site.contains('?')) {
            ("", _) => site.clone(),
            (utm, false) => format!("{site}?{utm}"),
            (utm, true) => format!("{site}&{utm}"),
        };
        let files: Vec<Value> =
            context.files.iter().zip(1..).map(|(file, number)| shown(file, number, language)).collect();
        let amount = context.purchase.as_ref().and_then(|purchase| {
            let format = context.locale.format_of(&language.tag().parse().ok()?);
            Some(money_text(purchase.amount, &format))
        });
        let values = context! {
            locale => language.tag(),
            style => Value::from_safe_string(style().to_owned()),
            organisation => self.shown_organisation(),
            amount => amount,
            product => context.purchase.as_ref().map(|purchase| purchase.product.as_str()),
            onward => onward,
            files => files,
            offers => context.files.iter().any(|offered| offered.size.is_some()),
            action => context.action,
            is_download => context.is_download,
            by_mail_only => context.by_mail_only,
            nothing_due => context.nothing_due,
            days => context.days,
            gone => context.gone,
            is_link => context.is_link,
            reference => context.reference.as_deref(),
        };
        let template = self.templates.get_template(&format!("{}/{}.html", page.name(), language.tag()));
        // The templates are compiled in and each is rendered by the tests.
        template.and_then(|template| template.render(values)).expect("a built-in page")
    }

    fn shown_organisation(&self) -> Value {
        let organisation = &self.organisation;
        context! {
            name => organisation.name.clone(),
            contact => organisation.contact.clone(),
            legal_name => organisation.legal_name.clone(),
            address => organisation.address_lines().map(str::to_owned).collect::<Vec<_>>(),
            tax_id => organisation.tax_id.clone(),
        }
    }
}

fn shown(offered: &OfferedFile, number: i64, language: &BuiltInLanguage) -> Value {
    context! {
        number => number,
        name => offered.file.name(),
        product => &offered.file.product,
        quantity => offered.file.quantity,
        size => offered.size.map(|bytes| size_text(bytes, language)),
    }
}

fn header(response: &mut LambdaFunctionUrlResponse, name: &'static str, value: &str) {
    // All are made here, or percent-encoded.
    response.headers.insert(name, value.parse().expect("a plain header value"));
}

fn style() -> &'static str {
    include_str!("../templates/layout/style.css")
}

fn templates() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    // It fails for odd delimiters only; ours are usual.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        engine.set_syntax(syntax);
    }
    engine.set_auto_escape_callback(|_| AutoEscape::Html);
    engine.set_loader(|path| {
        let file = TEMPLATES.get_file(path).and_then(|file| file.contents_utf8());
        Ok(file.map(str::to_owned))
    });
    engine
}

#[cfg(test)]
mod tests;
