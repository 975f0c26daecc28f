use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_async::future::timeout::{TimedOutError, Timeout};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector as Tcp, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

mod written;

use written::{Counted, NothingWritten, Written};
pub use written::{OwnConnection, nothing_was_sent};

/// The HTTP client under the SDK's clients: HTTP/1.1, in clear or over TLS, with one pool of connections.
///
/// The SDK's own brings HTTP/2 along, which AWS's endpoints do not offer, and reads its trusted roots for each client
/// that is made over it. This one reads them once, before the first connection.
/// `docs/adr/0013-an-http-client-without-http2.md`
#[derive(Debug)]
pub(crate) struct Http1Client {
    roots: Roots,
    tls: OnceLock<ClientConfig>,
    /// By how long they wait for a connection.
    connectors: Mutex<HashMap<Option<Duration>, SharedHttpConnector>>,
}

/// Whom a client trusts.
#[derive(Debug, Clone)]
pub(crate) enum Roots {
    /// Whom the system trusts.
    System,
    /// These certificates, in PEM.
    These(Vec<u8>),
}

impl Http1Client {
    pub(crate) fn new(roots: Roots) -> Self {
        Self { roots, tls: OnceLock::new(), connectors: Mutex::default() }
    }

    fn connector(&self, connect_timeout: Option<Duration>, sleep: Option<SharedAsyncSleep>) -> Connector {
        let tls = self.tls.get_or_init(|| client_config(self.roots.read())).clone();
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connect = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let connect = Connect { connect: connect.wrap_connector(tcp), within: sleep.zip(connect_timeout) };
        let mut client = legacy::Client::builder(TokioExecutor::new());
        // Idle connections are closed by the pool's own timer.
        let pooled = client.pool_timer(TokioTimer::new()).build(connect.clone());
        let unpooled = client.pool_max_idle_per_host(0).build(connect);
        Connector { pooled, unpooled }
    }
}

impl HttpClient for Http1Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connect_timeout = settings.connect_timeout();
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let connector = connectors.entry(connect_timeout).or_insert_with(|| {
            SharedHttpConnector::new(self.connector(connect_timeout, components.sleep_impl()))
        });
        connector.clone()
    }
}

impl Roots {
    fn read(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        let certificates = match self {
            Self::System => rustls_native_certs::load_native_certs().certs,
            Self::These(pem) => CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect(),
        };
        // One that cannot be read is not trusted; the others still are.
        store.add_parsable_certificates(certificates);
        store
    }
}

fn client_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS);
    #[expect(
        clippy::expect_used,
        reason = "ring knows cipher suites of both versions, whatever we are given"
    )]
    builder.expect("ring speaks TLS").with_root_certificates(roots).with_no_client_auth()
}

/// Connections of one kind, and the requests sent over them.
#[derive(Debug)]
struct Connector {
    pooled: legacy::Client<Connect, SdkBody>,
    /// For requests that carry [`OwnConnection`]: it neither takes a connection from a pool nor leaves one there.
    unpooled: legacy::Client<Connect, SdkBody>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        // The SDK does not want a connection back on which something went wrong.
        let connection = capture_connection(&mut request);
        let used = connection.clone();
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || Some(metadata(connection.clone())));
        }
        let own = request.extensions().get::<OwnConnection>().is_some();
        let response = if own { self.unpooled.request(request) } else { self.pooled.request(request) };
        HttpConnectorFuture::new(async move {
            match response.await {
                Ok(response) => HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                    .map_err(|error| ConnectorError::other(error.into(), None)),
                Err(error) if own && Written::over(&used).is_some_and(|written| written.nothing()) => {
                    Err(ConnectorError::io(NothingWritten(error).into()))
                }
                Err(error) => Err(classify(error)),
            }
        })
    }
}

fn metadata(connection: CaptureConnection) -> ConnectionMetadata {
    let poison = move || {
        if let Some(connection) = connection.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    ConnectionMetadata::builder().proxied(false).poison_fn(poison).build()
}

/// What the SDK's retries make of a failure: as its own HTTP client reports them.
fn classify(error: legacy::Error) -> ConnectorError {
    if find::<TimedOutError>(&error).is_some() {
        return ConnectorError::timeout(error.into());
    }
    let of_hyper = find::<hyper::Error>(&error);
    if of_hyper.is_some_and(hyper::Error::is_user) {
        return ConnectorError::user(error.into());
    }
    // Closed before it answered: what happened to a request that was on its way is not known.
    if of_hyper.is_some_and(hyper::Error::is_incomplete_message) {
        return ConnectorError::other(error.into(), Some(ErrorKind::TransientError));
    }
    let closed = of_hyper.is_some_and(|error| error.is_closed() || error.is_canceled());
    if closed || error.is_connect() || find::<io::Error>(&error).is_some() {
        return ConnectorError::io(error.into());
    }
    ConnectorError::other(error.into(), None)
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Makes connections, handshakes included, within a time.
#[derive(Debug, Clone)]
struct Connect {
    connect: HttpsConnector<Tcp>,
    within: Option<(SharedAsyncSleep, Duration)>,
}

impl Service<Uri> for Connect {
    type Response = Counted<<HttpsConnector<Tcp> as Service<Uri>>::Response>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connect.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.connect.call(uri);
        match &self.within {
            Some((sleep, within)) => {
                let timeout = Timeout::new(connecting, sleep.sleep(*within));
                async move { timeout.await?.map(Counted::new) }.boxed()
            }
            None => async move { connecting.await.map(Counted::new) }.boxed(),
        }
    }
}

#[cfg(test)]
mod tests;
