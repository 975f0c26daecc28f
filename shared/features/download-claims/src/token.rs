use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use fulfilment::PaymentId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The keys that sign the links of customers: the first signs, all verify.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKeys(Vec<TokenKey>);

#[derive(Clone, PartialEq, Eq)]
struct TokenKey {
    /// Names the key to verify with, and reveals nothing of it.
    id: String,
    key: String,
}

/// A text holds no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret holds no key: each line must be at least {SHORTEST_KEY} characters, random and without spaces"
)]
pub struct NoKeys;

/// What a token turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Signed by one of the keys.
    Payment {
        /// For this payment.
        payment_id: PaymentId,
        /// How often the payment's link had been renewed. Only the newest generation counts.
        generation: u32,
    },
    /// Signed by a key that is not known here: newer than the keys that were read, taken out, or invented.
    UnknownKey,
    /// Not one of our tokens.
    Forged,
}

/// 32 random bytes in base64 have 44 characters, in hexadecimal 64.
const SHORTEST_KEY: usize = 40;

/// Characters. The longest payment ids, those of sessions, make tokens of about 180.
const LONGEST_TOKEN: usize = 400;

/// A token of the first generation. It says nothing of generations, as those in old mails do not.
const FIRST: &str = "v1";

/// A token of a link that was renewed: it names its generation before the signature.
const RENEWED: &str = "v2";

impl TokenKeys {
    /// Reads the keys from a text with one in each line.
    ///
    /// # Errors
    ///
    /// When there is none, or one is too short to be random.
    pub fn parse(text: &str) -> Result<Self, NoKeys> {
        let keys: Vec<_> = text.split_whitespace().map(TokenKey::new).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(NoKeys) } else { Ok(Self(keys)) }
    }

    /// The token of a payment: `v1.<key id>.<payment>.<signature>`, once its link was renewed
    /// `v2.<key id>.<payment>.<generation>.<signature>`, all plain in an address.
    pub fn sign(&self, payment_id: &PaymentId, generation: u32) -> String {
        // `parse` leaves at least one.
        let key = &self.0[0];
        let payment = BASE64.encode(payment_id.as_str());
        let signed = match generation {
            0 => format!("{FIRST}.{}.{payment}", key.id),
            _ => format!("{RENEWED}.{}.{payment}.{generation}", key.id),
        };
        let signature = BASE64.encode(key.mac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// A name for a text that says nothing of it without the key, 128 bits in base64: for counting what must not be
    /// written down. `purpose` keeps the names of one use apart from those of all others. Another newest key makes
    /// other names.
    pub fn opaque(&self, purpose: &str, text: &str) -> String {
        // `parse` leaves at least one. Tokens are signed over texts that begin with their version.
        let mac = self.0[0].mac(&format!("opaque.{purpose}.{text}")).finalize().into_bytes();
        BASE64.encode(&mac[..16])
    }

    /// The payment that a token names, if one of the keys signed it.
    pub fn verify(&self, token: &str) -> Verified {
        if token.len() > LONGEST_TOKEN {
            return Verified::Forged;
        }
        let parts: Vec<&str> = token.split('.').collect();
        let (key_id, payload, generation, signature) = match parts[..] {
            [FIRST, key_id, payload, signature] => (key_id, payload, Some(0), signature),
            [RENEWED, key_id, payload, generation, signature] => {
                (key_id, payload, parse_generation(generation), signature)
            }
            _ => return Verified::Forged,
        };
        let Some(generation) = generation else {
            return Verified::Forged;
        };
        let Some(key) = self.0.iter().find(|key| key.id == key_id) else {
            return Verified::UnknownKey;
        };
        let signed = &token[..token.len() - signature.len() - 1];
        // `verify_slice` compares in constant time.
        let signature = BASE64.decode(signature).unwrap_or_default();
        if key.mac(signed).verify_slice(&signature).is_err() {
            return Verified::Forged;
        }
        let payment_id = BASE64.decode(payload).ok().and_then(|id| String::from_utf8(id).ok());
        payment_id
            .map_or(Verified::Forged, |id| Verified::Payment { payment_id: PaymentId::new(id), generation })
    }
}

/// A generation as [`TokenKeys::sign`] writes it: from 1, without signs and leading zeros.
fn parse_generation(text: &str) -> Option<u32> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|generation| plain && *generation > 0)
}

impl TokenKey {
    fn new(text: &str) -> Result<Self, NoKeys> {
        if text.len() < SHORTEST_KEY {
            return Err(NoKeys);
        }
        let id = hex::encode(&Sha256::digest(text)[..4]);
        Ok(Self { id, key: text.to_owned() })
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = match Hmac::<Sha256>::new_from_slice(self.key.as_bytes()) {
            Ok(mac) => mac,
            Err(error) => unreachable!("HMAC accepts keys of every length: {error}"),
        };
        mac.update(signed.as_bytes());
        mac
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "old-0123456789abcdef0123456789abcdef012345";
    const NEW: &str = "new-0123456789abcdef0123456789abcdef012345";

    fn keys(text: &str) -> TokenKeys {
        TokenKeys::parse(text).unwrap()
    }

    fn payment() -> PaymentId {
        PaymentId::new("pi_3QExample")
    }

    fn verified(generation: u32) -> Verified {
        Verified::Payment { payment_id: payment(), generation }
    }

    #[test]
    fn a_renewed_link_names_its_generation_and_the_signature_covers_it() {
        let keys = keys(NEW);
        let renewed = keys.sign(&payment(), 1);
        assert_ne!(renewed, keys.sign(&payment(), 0));
        assert_eq!(keys.verify(&renewed), verified(1));
        assert_eq!(keys.verify(&keys.sign(&payment(), u32::MAX)), verified(u32::MAX));
        let parts: Vec<_> = renewed.split('.').collect();
        for generation in ["0", "2", "01", "+1", "", "1 ", "99999999999"] {
            let forged = format!("v2.{}.{}.{generation}.{}", parts[1], parts[2], parts[4]);
            assert_eq!(keys.verify(&forged), Verified::Forged, "{generation}");
        }
        let older = format!("v1.{}.{}.{}", parts[1], parts[2], parts[4]);
        assert_eq!(keys.verify(&older), Verified::Forged);
    }

    #[test]
    fn the_same_payment_always_has_the_same_token() {
        let token = keys(NEW).sign(&payment(), 0);
        assert_eq!(token, keys(&format!(" {NEW}\n{OLD}\n")).sign(&payment(), 0));
        assert_eq!(keys(NEW).verify(&token), verified(0));
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{token}");
    }

    #[test]
    fn an_opaque_name_depends_on_key_purpose_and_text_and_is_no_token() {
        let name = keys(NEW).opaque("mail-limit", "ada@example.org");
        assert_eq!(name, keys(&format!("{NEW}\n{OLD}")).opaque("mail-limit", "ada@example.org"));
        assert_eq!(name.len(), 22);
        for other in [
            keys(OLD).opaque("mail-limit", "ada@example.org"),
            keys(NEW).opaque("other", "ada@example.org"),
            keys(NEW).opaque("mail-limit", "eve@example.org"),
        ] {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn a_token_outlives_the_replacement_of_its_key_as_long_as_the_old_one_is_there() {
        let token = keys(OLD).sign(&payment(), 0);
        let both = keys(&format!("{NEW}\n{OLD}"));
        assert_eq!(both.verify(&token), verified(0));
        assert_ne!(both.sign(&payment(), 0), token);
        assert_eq!(keys(NEW).verify(&token), Verified::UnknownKey);
    }

    #[test]
    fn a_key_that_cannot_be_random_is_none() {
        for text in ["", " \n", "changeme", &format!("{NEW}\nshort")] {
            assert_eq!(TokenKeys::parse(text), Err(NoKeys), "{text}");
        }
    }

    #[test]
    fn never_prints_a_key() {
        let shown = format!("{:?}", keys(NEW));
        assert!(!shown.contains("new-") && shown.len() == 12, "{shown}");
    }

    #[test]
    fn nothing_of_a_token_can_be_exchanged() {
        let keys = keys(&format!("{NEW}\n{OLD}"));
        let token = keys.sign(&payment(), 0);
        let other = keys.sign(&PaymentId::new("pi_3QAnother"), 0);
        let (parts, others): (Vec<_>, Vec<_>) = (token.split('.').collect(), other.split('.').collect());
        let forged = [
            format!("{}.{}.{}.{}", parts[0], parts[1], others[2], parts[3]),
            format!("{}.{}.{}.{}", parts[0], parts[1], parts[2], others[3]),
            format!("{}.{}.{}.", parts[0], parts[1], parts[2]),
            format!("v2.{}.{}.{}", parts[1], parts[2], parts[3]),
            format!("{token}.{}", parts[3]),
            format!("{token}="),
            format!("{token} "),
            "v1".to_owned(),
            String::new(),
            "v1....".to_owned(),
            format!("v1.{}.{}.{}", parts[1], "A".repeat(500), parts[3]),
        ];
        for token in forged {
            assert_eq!(keys.verify(&token), Verified::Forged, "{token}");
        }
        let old_key = TokenKeys::parse(OLD).unwrap().0[0].id.clone();
        let wrong_key = format!("v1.{old_key}.{}.{}", parts[2], parts[3]);
        assert_eq!(keys.verify(&wrong_key), Verified::Forged);
    }

    proptest! {
        #[test]
        fn any_change_of_any_character_is_noticed(place in 0_usize..80, to in "[A-Za-z0-9_.-]") {
            let keys = keys(NEW);
            let token = keys.sign(&payment(), 0);
            let place = place % token.len();
            let mut changed = token.clone();
            changed.replace_range(place..=place, &to);
            prop_assume!(changed != token);
            let verified = matches!(keys.verify(&changed), Verified::Payment { .. });
            prop_assert!(!verified, "{}", changed);
        }

        #[test]
        fn no_text_is_a_token(text in ".{0,120}") {
            let verified = matches!(keys(NEW).verify(&text), Verified::Payment { .. });
            prop_assert!(!verified);
        }
    }
}
