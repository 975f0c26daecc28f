use std::collections::BTreeMap;

use crate::typed::{bare, is_nearly, value};

/// The key that names one file, of a product or a link.
pub(crate) const ONE_FILE: &str = "file";

/// What a key of a Payment Link's metadata is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// The product, and what customers get of it.
    Product,
    /// Where the sale came from, for analysts.
    Attribution,
    /// What the payment page says.
    Page,
}

/// How many values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// One text.
    One,
    /// Several, with commas between them.
    Several,
}

/// Declares the keys: the one table that attribution, the link contract, `publish`, `doctor` and the tests of the
/// marketers' handbook read.
macro_rules! metadata_keys {
    ($($(#[$doc:meta])* $key:ident: $name:literal, $concern:ident, $arity:ident;)+) => {
        /// A key of a Payment Link's metadata that Afterlink reads. Marketers read of them in `docs/PAYMENT-LINKS.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum MetadataKey {
            $($(#[$doc])* $key,)+
        }

        impl MetadataKey {
            /// Every key, in the order they are listed to people.
            pub const ALL: &[Self] = &[$(Self::$key),+];

            /// The key as a marketer types it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$key => $name),+ }
            }

            /// What it is about.
            pub const fn concern(self) -> Concern {
                match self { $(Self::$key => Concern::$concern),+ }
            }

            /// How many values it takes.
            pub const fn arity(self) -> Arity {
                match self { $(Self::$key => Arity::$arity),+ }
            }
        }
    };
}

metadata_keys! {
    /// The kind of product; without it a link is another business's.
    Fulfilment: "fulfilment", Product, One;
    /// The campaigns' codes.
    Campaign: "campaign", Attribution, Several;
    /// The channel.
    Source: "source", Attribution, One;
    /// Which button or banner.
    Component: "component", Attribution, One;
    /// What kind of thing that is.
    ComponentType: "component_type", Attribution, One;
    /// Free words.
    Labels: "labels", Attribution, Several;
    /// Tests and their variants, each `test:variant`.
    AbTest: "ab_test", Attribution, Several;
    /// The mail template.
    ThankYou: "thank_you", Product, One;
    /// The files of a download.
    Files: "files", Product, Several;
    /// The name of what is sold, as the customer reads it.
    ShownAs: "shown_as", Product, One;
    /// What analysts count the sale as.
    Item: "item", Attribution, One;
    /// That the page shows the notice of a soft opt-in where no event has it.
    SoftOptIn: "soft_opt_in", Page, One;
}

impl MetadataKey {
    /// The keys that are about a subject.
    pub fn about(concern: Concern) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |key| key.concern() == concern)
    }

    /// The key of a name that is typed exactly.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// The value in a link's metadata. A key that differs in nothing but case, blanks and invisible characters counts
    /// where the exact one is missing.
    pub fn value_in(self, metadata: &BTreeMap<String, String>) -> Option<&str> {
        value(metadata, self.name())
    }

    /// The key that a typed one was most likely meant to be, where it is read as none: `campain`. Short keys may be
    /// one letter off, longer ones two.
    pub fn meant_by(typed: &str) -> Option<Self> {
        let typed = bare(typed);
        if typed == ONE_FILE || Self::from_name(&typed).is_some() {
            return None;
        }
        let errors = |name: &str| if name.len() < 8 { 1 } else { 2 };
        Self::ALL.iter().copied().find(|key| is_nearly(&typed, key.name(), errors(key.name())))
    }
}

#[cfg(test)]
mod tests;
