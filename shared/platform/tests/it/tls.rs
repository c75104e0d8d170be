//! TLS: a port with a certificate accepts nothing else; an invalid certificate is an error of one line.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use clap::Parser;
use millrace_platform::http::HttpServer;
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
async fn a_port_with_a_certificate_accepts_tls_only() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, generated.cert.pem()).unwrap();
    std::fs::write(&key, generated.signing_key.serialize_pem()).unwrap();
    let serving = HttpServer::new(&config(&cert, &key)).unwrap();
    assert_eq!((serving.scheme(), serving.plain().scheme()), ("https", "http"));
    let server = Server::start(serving, Router::new().route("/", get(async || "answered"))).await;

    let stream = server.connect().await;
    let name = ServerName::try_from("localhost").unwrap();
    let mut secured = connector(generated.cert.der().clone()).connect(name, stream).await.unwrap();
    secured.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    in_time("the response has arrived", secured.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("answered"), "{answer}");

    let plain = server.get("/", "").await;
    assert!(!plain.contains("answered"), "{plain}");
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "", "a connection without a handshake is closed");
}

#[test]
fn errors_name_the_file_and_hide_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let error = || HttpServer::new(&config(&cert, &key)).unwrap_err().to_string();
    assert!(error().contains("TLS_CERT"), "{}", error());
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, generated.cert.pem()).unwrap();
    std::fs::write(&key, "hunter2").unwrap();
    let text = error();
    assert!(text.contains("TLS_KEY") && !text.contains("hunter2"), "{text}");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    assert!(error().contains("TLS_CERT and TLS_KEY"), "{}", error());
    let limits: Limits = config(&cert, &key).limits();
    assert_eq!(limits.header, Duration::from_millis(200));
}

#[test]
fn one_setting_without_the_other_is_an_error() {
    let path = Path::new("file.pem");
    let mut only_cert = config(path, path);
    only_cert.tls_key = None;
    assert_eq!(HttpServer::new(&only_cert).unwrap_err().to_string(), "TLS_CERT requires TLS_KEY");
    let mut only_key = config(path, path);
    only_key.tls_cert = None;
    assert_eq!(HttpServer::new(&only_key).unwrap_err().to_string(), "TLS_KEY requires TLS_CERT");
}
