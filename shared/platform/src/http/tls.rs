//! TLS with rustls, if a certificate is configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::config::HttpConfig;

/// The message has one line and names the setting. It never contains a part of the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing or not PEM.
    #[error("{setting}: {}: {source}", .path.display())]
    File {
        /// `TLS_CERT` or `TLS_KEY`.
        setting: &'static str,
        path: PathBuf,
        source: pem::Error,
    },
    /// Only one of the two settings is set. Serving plain HTTP instead would expose what was meant to be encrypted.
    #[error("{0} requires {1}")]
    Incomplete(&'static str, &'static str),
    /// The key does not match the certificate, or rustls does not support them.
    #[error("TLS_CERT and TLS_KEY: {0}")]
    Pair(rustls::Error),
}

#[derive(Clone)]
pub(super) struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// `None` when no certificate is configured.
    pub(super) fn new(config: &HttpConfig) -> Result<Option<Self>, TlsError> {
        let (cert, key) = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => (cert, key),
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(TlsError::Incomplete("TLS_CERT", "TLS_KEY")),
            (None, Some(_)) => return Err(TlsError::Incomplete("TLS_KEY", "TLS_CERT")),
        };
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| file("TLS_CERT", cert, source))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|source| file("TLS_KEY", key, source))?;
        // Explicit, because the default provider is process-wide state that another library could set.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(TlsError::Pair)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self(TlsAcceptor::from(Arc::new(server)))))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

fn file(setting: &'static str, path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { setting, path: path.to_owned(), source }
}
