use icu_locale_core::subtags::{Language, Region};
use icu_locale_core::{LanguageIdentifier, Locale, langid, locale};

use crate::language::{BuiltInLanguage, LANGUAGES};

/// The evidence of the customer's language.
#[derive(Debug, Clone, Copy)]
pub struct LocaleRequest<'a> {
    /// The session's `locale`. Nothing, `auto` and nonsense all mean that it is not known.
    pub session: Option<&'a str>,
    /// The customer's country, as Stripe writes it: `DE`.
    pub country: Option<&'a str>,
}

/// The language when nothing is known.
const DEFAULT: LanguageIdentifier = langid!("en");

impl LocaleRequest<'_> {
    /// The locales a wording may be in, best first: exact, then its language, then English.
    pub fn wordings(&self) -> Vec<LanguageIdentifier> {
        let wanted = self.wanted();
        let language = LanguageIdentifier::from(wanted.language);
        let mut locales = vec![wanted];
        for fallback in [language, DEFAULT] {
            if !locales.contains(&fallback) {
                locales.push(fallback);
            }
        }
        locales
    }

    /// The best built-in language.
    pub fn built_in(&self) -> &'static BuiltInLanguage {
        let tags = self.wordings().into_iter().map(|wording| wording.to_string());
        // The last of the wordings is English, which is built in.
        tags.into_iter().find_map(|tag| BuiltInLanguage::from_tag(&tag)).unwrap_or(&LANGUAGES[0])
    }

    /// How a wording's language writes numbers and dates where the customer lives.
    ///
    /// The language is always the wording's, so that a mail does not speak two. The region is the one the
    /// customer asked for, else their country if the language is at home there. English without a region is
    /// the world's, not the United States': `21 November 2026`, and `US$` where "$" could be anyone's.
    pub fn format_of(&self, wording: &LanguageIdentifier) -> Locale {
        let wanted = self.wanted();
        let asked = wanted.region.filter(|_| wanted.language == wording.language);
        let region = wording.region.or(asked).or_else(|| self.country_speaking(wording.language));
        if region.is_none() && wording.language == DEFAULT.language {
            return locale!("en-001");
        }
        let mut id = wording.clone();
        id.region = region;
        id.into()
    }

    fn wanted(&self) -> LanguageIdentifier {
        let session = self.session.filter(|tag| *tag != "auto");
        let session = session.and_then(|tag| tag.parse::<LanguageIdentifier>().ok());
        session.filter(|id| !id.language.is_unknown()).or_else(|| self.main_language()).unwrap_or(DEFAULT)
    }

    fn main_language(&self) -> Option<LanguageIdentifier> {
        let country = self.country()?;
        let built_in = LANGUAGES.iter().find(|built_in| built_in.is_first_in(country))?;
        Some(built_in.language.into())
    }

    fn country_speaking(&self, language: Language) -> Option<Region> {
        let country = self.country()?;
        let built_in = LANGUAGES.iter().find(|built_in| built_in.language == language)?;
        built_in.is_read_in(country).then_some(country)
    }

    fn country(&self) -> Option<Region> {
        self.country?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(session: Option<&str>, country: Option<&str>, wordings: &str, built_in_format: &str) {
        let request = LocaleRequest { session, country };
        let candidates = request.wordings();
        let tags: Vec<String> = candidates.iter().map(ToString::to_string).collect();
        assert_eq!(tags.join(" "), wordings, "{request:?}");
        let built_in = request.built_in().tag().parse().unwrap();
        let format = request.format_of(&built_in);
        assert_eq!(format.to_string(), built_in_format, "{request:?}");
    }

    #[test]
    fn the_session_decides() {
        check(Some("de"), None, "de en", "de");
        check(Some("de"), Some("FR"), "de en", "de");
        check(Some("fr-CA"), Some("CA"), "fr-CA fr en", "fr-CA");
        check(Some("en-GB"), Some("DE"), "en-GB en", "en-GB");
        check(Some("EN-gb"), None, "en-GB en", "en-GB");
    }

    #[test]
    fn the_country_decides_when_the_session_is_silent() {
        for silent in [None, Some("auto"), Some(""), Some("und"), Some("not a tag"), Some("<b>")] {
            check(silent, Some("DE"), "de en", "de-DE");
            check(silent, Some("CH"), "de en", "de-CH");
            check(silent, Some("LU"), "fr en", "fr-LU");
            check(silent, Some("US"), "en", "en-US");
            check(silent, Some("gb"), "en", "en-GB");
            check(silent, Some("BE"), "nl en", "nl-BE");
            check(silent, Some("NL"), "nl en", "nl-NL");
            check(silent, Some("MX"), "es en", "es-MX");
            check(silent, Some("IT"), "it en", "it-IT");
            check(silent, Some("JP"), "en", "en-001");
            check(silent, Some("?"), "en", "en-001");
            check(silent, None, "en", "en-001");
        }
    }

    #[test]
    fn numbers_follow_the_language_and_where_it_is_spoken() {
        check(Some("de"), Some("CH"), "de en", "de-CH");
        check(Some("fr"), Some("CH"), "fr en", "fr-CH");
        check(Some("fr"), Some("BE"), "fr en", "fr-BE");
        check(Some("nl"), Some("BE"), "nl en", "nl-BE");
        check(Some("es-419"), Some("MX"), "es-419 es en", "es-419");
        check(Some("es"), Some("US"), "es en", "es-US");
        check(Some("it"), Some("CH"), "it en", "it-CH");
        check(Some("en"), Some("US"), "en", "en-US");
        check(Some("en"), Some("DE"), "en", "en-001");
        // A language without a wording: English words, and no Brazilian English.
        check(Some("pt-BR"), Some("BR"), "pt-BR pt en", "en-001");
        check(Some("ja"), Some("US"), "ja en", "en-US");
        check(Some("eo-001"), None, "eo-001 eo en", "en-001");
        check(Some("fil"), None, "fil en", "en-001");
    }
}
