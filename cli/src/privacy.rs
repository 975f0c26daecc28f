use fulfilment::PaymentId;
use stripe_events::Personal;

/// Whether personal data is written as it is. Masked unless the operator asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privacy {
    Masked,
    Shown,
}

impl Privacy {
    /// An address: `a***@e***.org`. Enough to distinguish two customers, not enough to write to one.
    pub(crate) fn email(self, email: &Personal<String>) -> String {
        let email = email.expose();
        match self {
            Self::Shown => email.clone(),
            Self::Masked => masked_email(email),
        }
    }

    /// A payment's id. A session id opens the customer's pages for a day, so its reference stands in its place.
    pub(crate) fn payment(self, payment_id: &PaymentId) -> String {
        match self {
            Self::Shown => payment_id.to_string(),
            Self::Masked => payment_id.reference().into_owned(),
        }
    }

    /// A name: `A. L.`.
    pub(crate) fn name(self, name: &Personal<String>) -> String {
        match self {
            Self::Shown => name.expose().clone(),
            Self::Masked => initials(name.expose()),
        }
    }
}

fn masked_email(email: &str) -> String {
    let first = |text: &str| text.chars().next().map_or_else(String::new, String::from);
    let Some((user, domain)) = email.rsplit_once('@') else {
        return "***".to_owned();
    };
    let (host, top) = domain.rsplit_once('.').unwrap_or((domain, ""));
    let dot = if top.is_empty() { "" } else { "." };
    format!("{}***@{}***{dot}{top}", first(user), first(host))
}

fn initials(name: &str) -> String {
    let letters = name.split_whitespace().filter_map(|word| word.chars().next());
    letters.map(|letter| format!("{letter}.")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_addresses() {
        for (email, expected) in [
            ("ada@example.org", "a***@e***.org"),
            ("ada.lovelace@mail.example.co.uk", "a***@m***.uk"),
            ("é@ü.de", "é***@ü***.de"),
            ("a@localhost", "a***@l***"),
            ("not an address", "***"),
            ("", "***"),
        ] {
            assert_eq!(Privacy::Masked.email(&Personal::new(email.to_owned())), expected);
            assert_eq!(Privacy::Shown.email(&Personal::new(email.to_owned())), email);
        }
    }

    #[test]
    fn masks_names() {
        for (name, expected) in
            [("Ada Lovelace", "A. L."), ("  Ada  ", "A."), ("", ""), ("李 小龙", "李. 小.")]
        {
            assert_eq!(Privacy::Masked.name(&Personal::new(name.to_owned())), expected);
        }
    }
}
