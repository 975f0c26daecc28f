//! A certificate that the functions trust, for one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Where systems keep the certificates they trust: Debian, then Amazon Linux and Fedora, then macOS.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

const AMAZON_ROOTS: &str = include_str!("../../../shared/platform/aws/src/amazon-roots.pem");

/// A server's side of TLS, and the file of roots that makes clients trust it.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) server: Arc<ServerConfig>,
    /// For `SSL_CERT_FILE`: the system's roots and ours. All of them, because a function pays for reading them.
    pub(crate) system_roots: PathBuf,
    /// For `AWS_CA_BUNDLE`: Amazon's roots and ours.
    pub(crate) amazon_roots: PathBuf,
}

impl Tls {
    /// A certificate for `127.0.0.1`, its roots written into `folder`.
    pub(crate) fn on_loopback(folder: &Path) -> Result<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        // AWS's endpoints that we call offer no HTTP/2.
        server.alpn_protocols = vec![b"http/1.1".to_vec()];

        let system = SYSTEM_ROOTS.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let with_ours = |name: &str, roots: &str| {
            let path = folder.join(name);
            fs::write(&path, format!("{roots}\n{}", cert.pem()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(path)
        };
        Ok(Self {
            server: Arc::new(server),
            system_roots: with_ours("system-roots.pem", &system)?,
            amazon_roots: with_ours("amazon-roots.pem", AMAZON_ROOTS)?,
        })
    }
}
