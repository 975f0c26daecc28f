//! Over TLS on loopback. What becomes of silence, refusals and lost replies is tested with each client over this one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_runtime_api::client::result::SdkError;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// A server that answers every connection's first request with the version of HTTP it was asked in, and its
/// certificate in PEM.
fn server() -> (SocketAddr, Vec<u8>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(tls, connection.unwrap());
            let mut buffer = [0; 4096];
            // A client that does not trust us is gone by now.
            let Ok(length) = stream.read(&mut buffer) else {
                continue;
            };
            let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let version = head.lines().next().unwrap().rsplit(' ').next().unwrap();
            let answer = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{version}", version.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, cert.pem().into_bytes())
}

/// What a server that has this to itself answers to a client that trusts these.
async fn get(address: SocketAddr, roots: Roots) -> Result<String, SdkError<Never, HttpResponse>> {
    let get = Operation::builder()
        .service_name("test")
        .operation_name("Get")
        .http_client(Http1Client::new(roots))
        .sleep_impl(TokioSleep::new())
        .endpoint_url(&format!("https://{address}"))
        .no_auth()
        .no_retry()
        .serializer(|()| Ok(HttpRequest::new(SdkBody::empty())))
        .deserializer(|response: &HttpResponse| {
            Ok::<_, OrchestratorError<Never>>(
                String::from_utf8_lossy(response.body().bytes().unwrap()).into_owned(),
            )
        })
        .build();
    get.invoke(()).await
}

#[derive(Debug, thiserror::Error)]
#[error("no answer of these servers is an error")]
struct Never;

#[tokio::test]
async fn speaks_only_to_a_peer_it_trusts() {
    let (address, certificate) = server();
    assert_eq!(get(address, Roots::These(certificate)).await.unwrap(), "HTTP/1.1");
    for roots in
        [Roots::System, Roots::These(crate::clients::AMAZON_ROOTS.to_vec()), Roots::These(Vec::new())]
    {
        let SdkError::DispatchFailure(failure) = get(address, roots).await.unwrap_err() else {
            panic!("the server is not to be trusted");
        };
        let why = crate::cause_chain(failure.as_connector_error().unwrap());
        assert!(failure.is_io() && why.contains("invalid peer certificate"), "{why}");
    }
}

#[test]
fn reads_amazons_five_roots() {
    let text = str::from_utf8(crate::clients::AMAZON_ROOTS).unwrap();
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 5);
    assert_eq!(Roots::These(crate::clients::AMAZON_ROOTS.to_vec()).read().len(), 5);
}
