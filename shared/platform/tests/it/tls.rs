//! TLS: with a certificate a port speaks nothing else; a certificate that cannot be used is refused in one line.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use clap::Parser;
use millrace_platform::http::Serving;
use millrace_platform::http::config::{HttpConfig, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::client::{Server, in_time, rest};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    http: HttpConfig,
}

fn config(cert: &Path, key: &Path) -> HttpConfig {
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    Arguments::parse_from(["test", "--tls-cert", cert, "--tls-key", key, "--http-header-timeout", "200ms"])
        .http
}

fn connector(certificate: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(client))
}

#[tokio::test]
async fn a_port_with_a_certificate_speaks_tls_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let serving = Serving::new(&config(&cert, &key)).unwrap();
    assert_eq!((serving.scheme(), serving.plain().scheme()), ("https", "http"));
    let server = Server::start(serving, Router::new().route("/", get(async || "answered"))).await;

    let stream = server.connect().await;
    let name = ServerName::try_from("localhost").unwrap();
    let mut secured = connector(made.cert.der().clone()).connect(name, stream).await.unwrap();
    secured.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    in_time("it answers", secured.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("answered"), "{answer}");

    let plain = server.get("/", "").await;
    assert!(!plain.contains("answered"), "{plain}");
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "", "a handshake that never begins is cut");
}

#[test]
fn files_that_cannot_be_used_are_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let refusal = || Serving::new(&config(&cert, &key)).unwrap_err().to_string();
    assert!(refusal().contains("TLS_CERT"), "{}", refusal());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, "hunter2").unwrap();
    let refused = refusal();
    assert!(refused.contains("TLS_KEY") && !refused.contains("hunter2"), "{refused}");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    assert!(refusal().contains("TLS_CERT and TLS_KEY"), "{}", refusal());
    let limits: Limits = config(&cert, &key).limits();
    assert_eq!(limits.header, Duration::from_millis(200));
}
