//! The pages in a real browser: Chromium, driven by ChromeDriver over the WebDriver protocol.
//!
//! <https://www.w3.org/TR/webdriver2/>

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use testkit::stripe::{CorrectionEvent, SessionEvent};
use xtask::aws::{http, unix_now};

use crate::downloads::{Early, thanks_url, upload};
use crate::stack::{Cloud, address};

/// A browser of this test's own; it ends with it.
struct Browser {
    driver: Child,
    /// `http://127.0.0.1:<port>/session/<id>`
    session: String,
    /// Where downloads and screenshots go.
    folder: PathBuf,
}

/// What finds the one button of a page with one file.
const BUTTON: &str = "main button";

/// An element's key in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    /// `None` where no browser is installed, which is printed.
    #[expect(clippy::disallowed_methods, reason = "the environment says whether a browser must be there")]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn start(name: &str) -> Option<Self> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut driver = match driver {
            Ok(driver) => driver,
            Err(_) if std::env::var_os("AFTERLINK_BROWSER").is_none() => {
                eprintln!("skipped: no chromedriver (Debian: apt install chromium chromium-driver)");
                return None;
            }
            Err(error) => {
                panic!("AFTERLINK_BROWSER asks for a browser, and chromedriver does not start: {error}")
            }
        };
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            Some(line.split_once("started successfully on port ")?.1.trim_end_matches('.').to_owned())
        });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let base = format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"));
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--window-size=1000,900",
        ];
        let options = json!({
            "args": arguments,
            "prefs": { "download.default_directory": folder, "download.prompt_for_download": false },
        });
        let capabilities = json!({ "alwaysMatch": { "goog:chromeOptions": options } });
        let mut browser = Self { driver, session: base.clone(), folder };
        let made = browser.post("/session", &json!({ "capabilities": capabilities }));
        browser.session = format!("{base}/session/{}", made["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let url = format!("{}{command}", self.session);
        let mut answer = http().post(&url).content_type("application/json").send(body.to_string()).unwrap();
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        assert!(answer["value"]["error"].is_null(), "{command}: {answer}");
        answer["value"].clone()
    }

    fn get(&self, command: &str) -> Value {
        let mut answer = http().get(format!("{}{command}", self.session)).call().unwrap();
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        answer["value"].clone()
    }

    fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// The text of the first element that a CSS selector finds.
    fn text(&self, selector: &str) -> String {
        let text = self.get(&format!("/element/{}/text", self.find(selector)));
        text.as_str().unwrap().to_owned()
    }

    /// What the page is headed; nothing while another one is loading.
    fn heading(&self) -> String {
        let script = "return document.querySelector('h1')?.textContent ?? ''";
        self.run(script).as_str().unwrap_or_default().trim().to_owned()
    }

    fn click(&self, selector: &str) {
        self.post(&format!("/element/{}/click", self.find(selector)), &json!({}));
    }

    fn find(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn count(&self, selector: &str) -> usize {
        let found = self.post("/elements", &json!({ "using": "css selector", "value": selector }));
        found.as_array().unwrap().len()
    }

    fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Pictures of the page as most people see it, in dark mode and on a phone.
    fn look(&self, name: &str) {
        for (kind, scheme, width) in
            [("light", "light", 1000), ("dark", "dark", 1000), ("phone", "light", 360)]
        {
            let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.devtools("Emulation.setEmulatedMedia", &media);
            let phone = width < 500;
            let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 2, "mobile": phone });
            self.devtools("Emulation.setDeviceMetricsOverride", &size);
            let wider = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(self.run(wider), false, "{name} {kind} scrolls sideways");
            let picture = self.get("/screenshot");
            let picture = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
            fs::write(self.folder.join(format!("{name}-{kind}.png")), picture).unwrap();
        }
        self.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = http().delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn a_customer_goes_from_the_page_after_paying_to_the_files_own_bytes() {
    let Some(browser) = Browser::start("download") else { return };
    let cloud = Cloud::shared();
    let guide = "The guide, word for word.\n".repeat(40_000);
    upload(&cloud, "files/e2e/browser/The-guide.txt", &guide);
    let metadata = json!({ "fulfilment": "download", "files": "e2e/browser/The-guide.txt" });
    // Stripe has sent the customer back; its event is still on its way.
    let early = Early::deliver(&cloud, SessionEvent::paid(), "Browser", metadata);
    browser.open(&format!("{}&utm_source=poster", thanks_url(&cloud, "Browser")));
    assert_eq!(browser.text("h1"), "Thank you");
    assert_eq!(browser.text(".name"), "The-guide.txt");
    browser.look("thanks");
    let onward = browser.run("return document.querySelector('.onward:last-of-type a').href");
    assert_eq!(onward, "https://example.org/?utm_source=poster");

    // By keyboard alone: the button is the first thing to reach.
    let keys = json!({ "actions": [{ "type": "key", "id": "keys", "actions": [
        { "type": "keyDown", "value": "\u{e004}" }, { "type": "keyUp", "value": "\u{e004}" },
        { "type": "keyDown", "value": "\u{e007}" }, { "type": "keyUp", "value": "\u{e007}" },
    ] }] });
    browser.post("/actions", &keys);
    let file = browser.folder.join("The-guide.txt");
    cloud.wait_until(true, || fs::read_to_string(&file).is_ok_and(|text| text == guide));
    assert_eq!(browser.text("h1"), "Thank you", "the page stays");

    early.arrives("email#thank-you done");
    cloud.wait_for_effect("pi_Browser", "contribution#paid done");
    let mail = cloud.mails_to(&address("Browser")).pop().unwrap();
    let link = mail.text.split_whitespace().find(|word| word.contains("/d/v1.")).unwrap();
    let link = cloud.stack.reachable(link).unwrap();
    browser.open(&link);
    assert_eq!((browser.text("h1").as_str(), browser.count(BUTTON)), ("Your downloads", 1));
    browser.look("downloads");
    fs::remove_file(&file).unwrap();
    browser.click(BUTTON);
    cloud.wait_until(true, || fs::read_to_string(&file).is_ok_and(|text| text == guide));

    let now = i64::try_from(unix_now()).unwrap();
    let refund = CorrectionEvent::refund("Browser", "re_Browser", "created").amount(1250, "gbp").at(now);
    cloud.post_json(&refund.to_json());
    cloud.wait_for_effect("pi_Browser", "contribution#refund#re_Browser done");
    fs::remove_file(&file).unwrap();
    browser.click(BUTTON);
    cloud.wait_until("This payment has been refunded", || browser.heading());
    browser.look("refunded");
    assert!(!file.exists());
}

#[test]
fn the_pages_that_offer_nothing_read_well_too() {
    let Some(browser) = Browser::start("notices") else { return };
    let cloud = Cloud::shared();
    let metadata = || json!({ "fulfilment": "download", "files": "e2e/nowhere/missing.pdf" });
    let deliver = |event, payment| Early::deliver(&cloud, event, payment, metadata());
    let debit = deliver(SessionEvent::unpaid().locale("de"), "BrowserDebit");
    browser.open(&thanks_url(&cloud, "BrowserDebit"));
    assert_eq!(browser.text("h1"), "Ihre Zahlung wird bestätigt");
    browser.look("pending");
    let soon = deliver(SessionEvent::paid().locale("fr"), "BrowserSoon");
    browser.open(&thanks_url(&cloud, "BrowserSoon"));
    assert_eq!((browser.text("h1").as_str(), browser.count(BUTTON)), ("Merci", 0));
    browser.look("follows");
    browser.open(&thanks_url(&cloud, "BrowserNobody"));
    assert_eq!(browser.text("h1"), "Page not found");
    browser.look("unknown");
    // The browser blocked nothing that a page needs.
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('main')).borderRadius"), "14px");
    debit.arrives("email#payment-pending done");
    soon.arrives("email#thank-you done");
}
