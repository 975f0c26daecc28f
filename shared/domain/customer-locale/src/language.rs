use icu_locale_core::subtags::{Language, Region, language};

/// A language that ships with Afterlink: there is a wording of every mail and every page in it.
///
/// To add one, put it into [`LANGUAGES`] and ask `cargo xtask language` for the rest.
#[derive(Debug)]
pub struct BuiltInLanguage {
    pub(crate) language: Language,
    /// Countries where most people read it.
    pub(crate) first_in: &'static str,
    /// Countries where many do, but more read another.
    pub(crate) also_in: &'static str,
    /// Between a whole number and its tenths: `1.2`.
    pub decimal_mark: char,
    /// The prefix of a thousand bytes: `KB`, `ko`.
    pub kilo: char,
    /// The symbol of a byte, after the prefix of a unit: `MB`, `Mo`.
    pub byte: char,
}

/// The built-in languages; English is what all others fall back to.
///
/// Belgium's first language is Dutch, which most people there speak. A Belgian who chose French or German in Checkout gets
/// it, with Belgium's own numbers. Switzerland's is German for the same reason.
pub const LANGUAGES: &[BuiltInLanguage] = &[
    BuiltInLanguage {
        language: language!("en"),
        first_in: "AU CA GB IE NZ US",
        also_in: "IN MT SG ZA",
        decimal_mark: '.',
        kilo: 'K',
        byte: 'B',
    },
    BuiltInLanguage {
        language: language!("de"),
        first_in: "AT CH DE LI",
        also_in: "BE LU",
        decimal_mark: ',',
        kilo: 'K',
        byte: 'B',
    },
    BuiltInLanguage {
        language: language!("fr"),
        first_in: "FR LU MC",
        also_in: "BE CA CH",
        decimal_mark: ',',
        kilo: 'k',
        byte: 'o',
    },
    BuiltInLanguage {
        language: language!("es"),
        first_in: "AR BO CL CO CR CU DO EC ES GT HN MX NI PA PE PR PY SV UY VE",
        also_in: "AD GI US",
        decimal_mark: ',',
        kilo: 'k',
        byte: 'B',
    },
    BuiltInLanguage {
        language: language!("it"),
        first_in: "IT SM VA",
        also_in: "CH",
        decimal_mark: ',',
        kilo: 'K',
        byte: 'B',
    },
    BuiltInLanguage {
        language: language!("nl"),
        first_in: "BE NL SR",
        also_in: "AW CW SX",
        decimal_mark: ',',
        kilo: 'K',
        byte: 'B',
    },
];

impl BuiltInLanguage {
    /// Its BCP 47 tag, which the files of its wordings are named after: `de`.
    pub const fn tag(&self) -> &str {
        self.language.as_str()
    }

    /// The built-in language of a tag without a region.
    pub fn from_tag(tag: &str) -> Option<&'static Self> {
        LANGUAGES.iter().find(|language| language.tag() == tag)
    }

    /// Whether most people of a country read it.
    pub(crate) fn is_first_in(&self, country: Region) -> bool {
        lists(self.first_in, country)
    }

    /// Whether many people of a country read it.
    pub(crate) fn is_read_in(&self, country: Region) -> bool {
        self.is_first_in(country) || lists(self.also_in, country)
    }
}

fn lists(countries: &str, country: Region) -> bool {
    countries.split(' ').any(|code| code == country.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_found_by_its_tag_and_no_country_has_two_first_languages() {
        let mut countries = Vec::new();
        for built_in in LANGUAGES {
            assert_eq!(
                BuiltInLanguage::from_tag(built_in.tag()).map(|found| found.byte),
                Some(built_in.byte)
            );
            countries.extend(built_in.first_in.split(' '));
        }
        let all = countries.len();
        countries.sort_unstable();
        countries.dedup();
        assert_eq!(countries.len(), all, "{countries:?}");
    }
}
