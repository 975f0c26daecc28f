//! A visitor's request. Everything in it comes from strangers: any unexpected value counts as absent.

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// A request, routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// The page after the payment.
    Thanks {
        /// `cs_…`, from the address that Stripe sent the customer to; `None` when it is no session id.
        session_id: Option<String>,
        /// How many folders the browser believes to be in: relative links go up so far.
        depth: usize,
    },
    /// The page with the files of a payment.
    Claim {
        /// The signed token in the address.
        token: String,
    },
    /// One of the files of a payment.
    Fetch {
        /// The signed token in the address.
        token: String,
        /// Which file, counted from 1.
        number: usize,
    },
    /// A page that is there, asked for in a way that it is not.
    WrongMethod {
        /// What it can be asked with.
        allow: &'static str,
    },
    /// A form that is none of ours.
    BadForm,
    /// Anything else.
    Nothing,
}

/// Bytes of a form. Ours has about eight.
const LARGEST_FORM: usize = 1000;

/// Characters of a session id. Stripe's have about 70.
const LONGEST_SESSION_ID: usize = 250;

/// Characters of a UTM parameter. <https://docs.stripe.com/payment-links/url-parameters>
const LONGEST_UTM: usize = 150;

const UTM: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"];

impl Route {
    /// Reads a request.
    pub(crate) fn read(request: &LambdaFunctionUrlRequest) -> Self {
        let path = request.raw_path.as_deref().unwrap_or_default();
        let method = request.request_context.http.method.as_deref().unwrap_or_default();
        let reads = matches!(method, "GET" | "HEAD");
        if is_thanks(path) {
            return if reads {
                let depth = path.matches('/').count().saturating_sub(1);
                Self::Thanks { session_id: session_id(request), depth }
            } else {
                Self::WrongMethod { allow: "GET, HEAD" }
            };
        }
        match path.strip_prefix("/d/").map(|token| token.trim_end_matches('/')) {
            Some(token) if reads => Self::Claim { token: token.to_owned() },
            Some(token) if method == "POST" => match chosen_file(request) {
                Some(number) => Self::Fetch { token: token.to_owned(), number },
                None => Self::BadForm,
            },
            Some(_) => Self::WrongMethod { allow: "GET, HEAD, POST" },
            None => Self::Nothing,
        }
    }
}

/// The first language the visitor's browser asks for: `de-AT`.
pub(crate) fn preferred_language(request: &LambdaFunctionUrlRequest) -> Option<&str> {
    let header = request.headers.get("accept-language")?.to_str().ok()?;
    let first = header.split([',', ';']).next()?.trim();
    (first.len() <= 35).then_some(first)
}

/// The UTM parameters as they came, to be passed on: `utm_source=poster&utm_medium=print`.
pub(crate) fn utm_parameters(request: &LambdaFunctionUrlRequest) -> String {
    let kept: Vec<String> = UTM
        .iter()
        .filter_map(|name| Some((name, parameter(request, name)?)))
        .filter(|(_, value)| !value.is_empty() && value.len() <= LONGEST_UTM && value.bytes().all(is_plain))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    kept.join("&")
}

/// `/thanks`, as people and programs write it: `/thanks/`, `//thanks`, `/Thanks`.
fn is_thanks(path: &str) -> bool {
    path.trim_matches('/').eq_ignore_ascii_case("thanks")
}

fn session_id(request: &LambdaFunctionUrlRequest) -> Option<String> {
    let id = parameter(request, "session_id").unwrap_or_default();
    let plausible = id.starts_with("cs_") && id.len() <= LONGEST_SESSION_ID && id.bytes().all(is_plain);
    plausible.then(|| id.to_owned())
}

/// A parameter of the address. Ours are plain, so nothing is decoded.
fn parameter<'a>(request: &'a LambdaFunctionUrlRequest, name: &str) -> Option<&'a str> {
    let query = request.raw_query_string.as_deref()?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// `file=2`
fn chosen_file(request: &LambdaFunctionUrlRequest) -> Option<usize> {
    let body = request.body.as_deref()?;
    if body.len() > LARGEST_FORM {
        return None;
    }
    let form = if request.is_base64_encoded {
        String::from_utf8(BASE64_STANDARD.decode(body).ok()?).ok()?
    } else {
        body.to_owned()
    };
    let number = form.split('&').find_map(|pair| pair.strip_prefix("file="))?;
    number.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(changes: &Value) -> LambdaFunctionUrlRequest {
        let mut request = json!({
            "version": "2.0", "rawPath": "/", "rawQueryString": "", "headers": {}, "isBase64Encoded": false,
            "requestContext": { "timeEpoch": 0, "http": { "method": "GET" } },
        });
        for (name, value) in changes.as_object().unwrap() {
            match name.as_str() {
                "method" => request["requestContext"]["http"]["method"] = value.clone(),
                _ => request[name] = value.clone(),
            }
        }
        serde_json::from_value(request).unwrap()
    }

    fn check(changes: Value, expected: &Route) {
        assert_eq!(&Route::read(&request(&changes)), expected, "{changes}");
    }

    #[test]
    fn knows_its_pages() {
        let claim = Route::Claim { token: "v1.a.b.c".to_owned() };
        check(json!({ "rawPath": "/d/v1.a.b.c" }), &claim);
        check(json!({ "rawPath": "/d/v1.a.b.c", "method": "HEAD", "rawQueryString": "x=y" }), &claim);
        let thanks = |id: Option<&str>| Route::Thanks { session_id: id.map(str::to_owned), depth: 0 };
        let at = |query: &str| json!({ "rawPath": "/thanks", "rawQueryString": query });
        check(at("session_id=cs_test_a1B"), &thanks(Some("cs_test_a1B")));
        check(at("utm_source=a&session_id=cs_live_a1B"), &thanks(Some("cs_live_a1B")));
        for other in [
            "",
            "session_id=",
            "session_id={CHECKOUT_SESSION_ID}",
            "session_id=pi_1",
            "xsession_id=cs_1",
            "session_id=cs_1%27",
            "session_id=cs_1/../x",
            &format!("session_id=cs_{}", "a".repeat(300)),
        ] {
            check(at(other), &thanks(None));
        }
        for path in ["/", "", "/d", "/admin", "//d/x", "/thanks/x", "/thank", "/thanksx"] {
            check(json!({ "rawPath": path }), &Route::Nothing);
        }
    }

    #[test]
    fn the_page_after_the_payment_is_found_however_it_is_written() {
        for (path, depth) in [
            ("/thanks", 0),
            ("/thanks/", 1),
            ("/thanks//", 2),
            ("//thanks", 1),
            ("/Thanks", 0),
            ("/THANKS/", 1),
        ] {
            let expected = Route::Thanks { session_id: Some("cs_test_a".to_owned()), depth };
            check(json!({ "rawPath": path, "rawQueryString": "session_id=cs_test_a" }), &expected);
        }
        let claim = Route::Claim { token: "v1.a.b.c".to_owned() };
        check(json!({ "rawPath": "/d/v1.a.b.c/" }), &claim);
    }

    #[test]
    fn a_form_chooses_a_file() {
        let fetch = |number| Route::Fetch { token: "t".to_owned(), number };
        let post = |body: Value, base64: bool| json!({ "rawPath": "/d/t", "method": "POST", "body": body, "isBase64Encoded": base64 });
        check(post(json!("file=2"), false), &fetch(2));
        check(post(json!("x=1&file=12"), false), &fetch(12));
        check(post(json!("ZmlsZT0z"), true), &fetch(3));
        for body in [
            json!(null),
            json!(""),
            json!("file="),
            json!("file=0"),
            json!("file=-1"),
            json!("file=1e9"),
            json!("file=two"),
            json!("file=99999999999999999999999"),
            json!("x".repeat(5000)),
        ] {
            check(post(body, false), &Route::BadForm);
        }
        check(post(json!("%%%"), true), &Route::BadForm);
    }

    #[test]
    fn other_methods_are_refused_with_the_allowed_ones() {
        for method in ["PUT", "DELETE", "OPTIONS", "get", ""] {
            check(
                json!({ "rawPath": "/d/t", "method": method }),
                &Route::WrongMethod { allow: "GET, HEAD, POST" },
            );
        }
        check(json!({ "rawPath": "/thanks", "method": "POST" }), &Route::WrongMethod { allow: "GET, HEAD" });
    }

    #[test]
    fn only_plain_utm_parameters_are_passed_on() {
        let utm = |query: &str| utm_parameters(&request(&json!({ "rawQueryString": query })));
        assert_eq!(
            utm("session_id=cs_1&utm_medium=print&utm_source=poster_2-a"),
            "utm_source=poster_2-a&utm_medium=print"
        );
        for query in
            ["", "utm_source=", "utm_source=a%22b", "utm_source=a\"b", "utm_id=1", "utm_source=javascript:"]
        {
            assert_eq!(utm(query), "", "{query}");
        }
        assert_eq!(utm(&format!("utm_term={}", "a".repeat(151))), "");
    }

    #[test]
    fn takes_the_browsers_first_language() {
        let language = |header: &str| {
            let request = request(&json!({ "headers": { "accept-language": header } }));
            preferred_language(&request).map(str::to_owned)
        };
        assert_eq!(language("de-AT,de;q=0.9,en;q=0.8").as_deref(), Some("de-AT"));
        assert_eq!(language("fr;q=1").as_deref(), Some("fr"));
        assert_eq!(language(&"x".repeat(100)), None);
    }
}
