use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};
use toml_datetime::Date;

use crate::{
    AccessPolicy, AttributionPolicy, ConsentName, FulfilmentKind, MarketersPolicy, MarketingPolicy,
    PolicyError, TemplateName, TimeZone,
};

/// What the business decides: `policy.toml`, compiled in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Who writes to the customer.
    pub organisation: Organisation,
    /// How a payment page asks about marketing.
    pub marketing: MarketingPolicy,
    /// Which campaigns there are.
    #[serde(default)]
    pub attribution: AttributionPolicy,
    /// How customers fetch the files they bought.
    pub files: FilesPolicy,
    /// How much mail one address gets.
    #[serde(default)]
    pub mail: MailPolicy,
    /// Who writes the templates; no mail goes to marketers without the table.
    #[serde(default)]
    pub marketers: MarketersPolicy,
    contribution: KindPolicy,
    download: KindPolicy,
    membership: KindPolicy,
}

/// Who writes to the customer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// As shown in mails.
    pub name: String,
    /// Where a customer can get help.
    pub contact: String,
    /// Where customers go from our pages: an `https` address.
    pub site: String,
    /// What a day is: the date of a payment in a mail.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// The name in the register, where it is another one.
    #[serde(default)]
    pub legal_name: Option<String>,
    /// The postal address, one line each.
    #[serde(default)]
    pub address: Option<String>,
    /// The number by which tax offices, or registers of charities, know it: as it is to be shown.
    #[serde(default)]
    pub tax_id: Option<String>,
    /// Where subscribers change and end what they pay for: an `https` address.
    #[serde(default)]
    pub manage_subscription: Option<String>,
}

impl Organisation {
    /// The lines of the postal address.
    pub fn address_lines(&self) -> impl Iterator<Item = &str> {
        self.address.as_deref().unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// Checks what its types cannot; names the first mistake.
    fn check(&self) -> Result<(), PolicyError> {
        const MOST_LINES: usize = 8;
        const LONGEST_LINE: usize = 100;
        let wrong = |problem: &str| Err(PolicyError::new(format!("[organisation] {problem}")));
        if self.name.trim().is_empty() {
            return wrong("`name` is empty; write the name customers know you by");
        }
        if !self.contact.contains('@') {
            return wrong("`contact` must be an email address");
        }
        if !is_web_address(&self.site) {
            return wrong("`site` must be an address like https://example.org");
        }
        let is_line = |text: &str| {
            !text.trim().is_empty()
                && text.chars().count() <= LONGEST_LINE
                && !text.contains(char::is_control)
        };
        if self.legal_name.as_deref().is_some_and(|name| !is_line(name)) {
            return wrong("`legal_name` must be one line of at most 100 characters; leave it out for none");
        }
        if self.tax_id.as_deref().is_some_and(|id| !is_line(id)) {
            return wrong(
                "`tax_id` must be one line of at most 100 characters, like \"VAT ID: DE123456789\"",
            );
        }
        let lines = self.address_lines().count();
        let fits = (1..=MOST_LINES).contains(&lines) && self.address_lines().all(is_line);
        if self.address.is_some() && !fits {
            return wrong(
                "`address` must have one to eight lines of at most 100 characters; leave it out for none",
            );
        }
        if self.manage_subscription.as_deref().is_some_and(|address| !is_web_address(address)) {
            return wrong(
                "`manage_subscription` must be an address like https://billing.stripe.com/p/login/…",
            );
        }
        Ok(())
    }
}

/// Whether it is an `https` address with a host, and nothing that could end it in a mail.
fn is_web_address(text: &str) -> bool {
    let ends_it = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>');
    text.strip_prefix("https://").is_some_and(|host| host.contains('.') && !host.contains(ends_it))
}

/// How customers fetch the files they bought.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesPolicy {
    /// How long the link works, in days from the payment.
    pub days: i64,
    /// How often each file may be fetched.
    pub fetches: i64,
    /// Whether the link works while a bank decides about a dispute.
    pub while_disputed: bool,
}

/// How much mail one address gets.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailPolicy {
    /// Mails about payments that cost nothing, to one address in 24 hours.
    pub free_mails_a_day: i64,
}

impl Default for MailPolicy {
    fn default() -> Self {
        Self { free_mails_a_day: 5 }
    }
}

/// The policy of each kind of product.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindPolicy {
    /// The product's name in records and reports.
    pub product: String,
    /// What the customer reads, by language.
    shown_as: BTreeMap<String, String>,
    /// The mail template, unless the link names its own.
    pub thank_you: TemplateName,
    /// Whether a subscriber is thanked for each renewal, and not for the first payment alone.
    #[serde(default)]
    pub thank_renewals: bool,
    /// How long records are kept, in days from the payment.
    pub retention_days: i64,
    /// What the customer may agree to.
    #[serde(default)]
    pub consents: Vec<ConsentPolicy>,
    /// What its buyers may do; nothing that applications ask about without it.
    #[serde(default)]
    pub access: Option<AccessPolicy>,
}

/// Something a customer may agree to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentPolicy {
    /// Its name in the records.
    pub name: ConsentName,
    /// The version of the question's wording.
    pub question: String,
    /// Where it may be assumed; nowhere without.
    #[serde(default)]
    pub soft_opt_in: Option<SoftOptInPolicy>,
}

/// Where a consent may be assumed of a customer who was informed and did not refuse.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftOptInPolicy {
    /// The customer's countries: ISO 3166-1 alpha-2.
    pub countries: Vec<String>,
    /// The version of the notice on the payment page, whose words are in [`MarketingPolicy`].
    pub notice: String,
    /// When the notice went on the page, as midnight UTC in Unix seconds: nothing is assumed of an earlier customer,
    /// not even when an old event is replayed.
    #[serde(deserialize_with = "midnight")]
    pub since: i64,
}

fn midnight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Date::deserialize(deserializer).map(unix_seconds)
}

/// Midnight UTC of a date, by the calendar's own rules.
fn unix_seconds(date: Date) -> i64 {
    const DAYS_BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    /// 1 January 1970, counted in days from 1 January of the year 1, which is day 1.
    const UNIX_EPOCH: i64 = 719_163;
    let year = i64::from(date.year);
    let month = usize::from(date.month);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leap_day = i64::from(is_leap && month > 2);
    let years = year - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400;
    let day = days + DAYS_BEFORE_MONTH[month - 1] + leap_day + i64::from(date.day);
    (day - UNIX_EPOCH) * 86_400
}

impl Policy {
    /// A link ends so many days before its record may be deleted. A bank debit's record counts from the day it was
    /// begun, its link from the day the money came, which is up to two weeks later; the rest is a margin.
    pub const RECORD_OUTLIVES_LINK_DAYS: i64 = 30;

    /// The policy this build was made with.
    ///
    /// # Errors
    ///
    /// When the file is wrong, which `cargo xtask test` catches before a build ships.
    pub fn compiled_in() -> Result<Self, PolicyError> {
        static COMPILED_IN: LazyLock<Result<Policy, PolicyError>> = LazyLock::new(|| {
            // By the build script, of `policy.toml`.
            let json = include_str!(concat!(env!("OUT_DIR"), "/policy.json"));
            serde_json::from_str::<Policy>(json)
                .map_err(|error| PolicyError::new(error.to_string()))?
                .checked()
        });
        COMPILED_IN.clone()
    }

    /// Reads a policy as people write it.
    #[cfg(test)]
    fn parse(text: &str) -> Result<Self, PolicyError> {
        toml::from_str::<Self>(text).map_err(|error| PolicyError::new(error.to_string()))?.checked()
    }

    /// Checks what its types cannot; names the first mistake and where it is.
    fn checked(self) -> Result<Self, PolicyError> {
        let wrong = |problem: String| Err(PolicyError::new(problem));
        self.organisation.check()?;
        self.marketing.check()?;
        self.attribution.check()?;
        self.marketers.check()?;
        if self.mail.free_mails_a_day < 1 {
            return wrong("[mail] `free_mails_a_day` must be at least 1".into());
        }
        if self.files.days < 1 || self.files.fetches < 1 {
            return wrong("[files] `days` and `fetches` must be at least 1".into());
        }
        if self.files.days > self.download.retention_days.saturating_sub(Self::RECORD_OUTLIVES_LINK_DAYS) {
            return wrong(format!(
                "[files] `days` must be at least {} less than [download] `retention_days`: the record says who paid \
                 and what went back, so it must outlive every link",
                Self::RECORD_OUTLIVES_LINK_DAYS
            ));
        }
        let languages = self.languages();
        for kind in FulfilmentKind::ALL {
            let decided = self.kind(kind);
            if decided.product.trim().is_empty() {
                return wrong(format!("[{kind}] `product` is empty; write the name used in reports"));
            }
            if !decided.shown_as.contains_key("en") {
                return wrong(format!("[{kind}] `shown_as` lacks `en`, the name shown when no other fits"));
            }
            if let Some(language) =
                languages.iter().find(|language| !decided.shown_as.contains_key(**language))
            {
                return wrong(format!(
                    "[{kind}] `shown_as` lacks `{language}`, a language other products are shown in; customers who \
                     read it would get the English name in their mail"
                ));
            }
            if decided.retention_days < 1 {
                return wrong(format!("[{kind}] `retention_days` must be at least 1"));
            }
            decided.check_consents(kind)?;
            if let Some(access) = &decided.access {
                access.check(kind)?;
            }
        }
        self.marketing.check_languages(languages)?;
        if self.download.thank_renewals {
            return wrong(
                "[download] `thank_renewals` cannot be true: the mail for a download lists its files, and a renewal \
                 names none"
                    .into(),
            );
        }
        Ok(self)
    }

    /// The languages that any product is shown in.
    fn languages(&self) -> BTreeSet<&str> {
        FulfilmentKind::ALL
            .iter()
            .flat_map(|kind| self.kind(*kind).shown_as.keys())
            .map(String::as_str)
            .collect()
    }

    /// Settings that are valid and yet do less than their author expects, a sentence each.
    ///
    /// A soft opt-in whose notice has no words is one: policies of before 0.2.0 named the version alone.
    pub fn warnings(&self) -> Vec<String> {
        let consents = FulfilmentKind::ALL
            .into_iter()
            .flat_map(|kind| self.kind(kind).consents.iter().map(move |consent| (kind, consent)));
        consents
            .filter_map(|(kind, consent)| Some((kind, consent, consent.soft_opt_in.as_ref()?)))
            .filter(|(_, _, soft_opt_in)| !self.marketing.has_words_of(&soft_opt_in.notice))
            .map(|(kind, consent, soft_opt_in)| {
                let name = &consent.name;
                let notice = &soft_opt_in.notice;
                format!(
                    "policy.toml: [{kind}] consent `{name}`: the words of notice \"{notice}\" are missing, so \
                     nothing is assumed but where a link's metadata says `soft_opt_in` = `shown`; write them under \
                     [marketing.notices.\"{notice}\"]"
                )
            })
            .collect()
    }

    /// Whether subscribers of any kind are thanked for renewals. Where none is, no task needs to know what a renewal's
    /// subscription sells to leave it alone.
    pub fn thanks_renewals(&self) -> bool {
        FulfilmentKind::ALL.into_iter().any(|kind| self.kind(kind).thank_renewals)
    }

    /// The policy of a kind.
    pub const fn kind(&self, kind: FulfilmentKind) -> &KindPolicy {
        match kind {
            FulfilmentKind::Contribution => &self.contribution,
            FulfilmentKind::Download => &self.download,
            FulfilmentKind::Membership => &self.membership,
        }
    }

    /// The policy of a kind, to be changed: the file is compiled in, and a test may want another.
    pub const fn kind_mut(&mut self, kind: FulfilmentKind) -> &mut KindPolicy {
        match kind {
            FulfilmentKind::Contribution => &mut self.contribution,
            FulfilmentKind::Download => &mut self.download,
            FulfilmentKind::Membership => &mut self.membership,
        }
    }
}

impl KindPolicy {
    /// The product's name in a language (`de`), in English when there is none.
    pub fn shown_as(&self, language: &str) -> &str {
        let name = self.shown_as.get(language).or_else(|| self.shown_as.get("en"));
        name.unwrap_or(&self.product)
    }

    fn check_consents(&self, kind: FulfilmentKind) -> Result<(), PolicyError> {
        for (i, consent) in self.consents.iter().enumerate() {
            let ConsentPolicy { name, question, soft_opt_in } = consent;
            let wrong =
                |problem: String| Err(PolicyError::new(format!("[{kind}] consent `{name}`: {problem}")));
            if self.consents[..i].iter().any(|other| other.name == *name) {
                return wrong("is there twice; give each consent a name of its own".into());
            }
            if question.trim().is_empty() {
                return wrong("`question` is empty; name the version of the question's wording".into());
            }
            let Some(soft_opt_in) = soft_opt_in else { continue };
            if soft_opt_in.notice.trim().is_empty() {
                return wrong("`notice` is empty; name the version of the notice customers are shown".into());
            }
            if soft_opt_in.countries.is_empty() {
                return wrong("`soft_opt_in` lists no country; leave it out to assume nothing".into());
            }
            for country in &soft_opt_in.countries {
                if country == "UK" {
                    return wrong("the United Kingdom is \"GB\", not \"UK\"".into());
                }
                if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_uppercase()) {
                    return wrong(format!("country \"{country}\" must be two capital letters, like \"GB\""));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
