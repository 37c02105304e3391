//! TLS for streams: which authorities are trusted and how far a certificate is checked.
//!
//! `none` encrypts only, `authority` asks that the certificate comes from a trusted authority, `full` that it is also for the
//! host dialled. Files are named by the operator's configuration and read by the host; the guest never sees them.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::socket::Socket;
use crate::bindings::imports::towpath::connect::streams as wit;
use crate::error::chain;
use crate::guest::Scope;

/// Goes on in TLS.
///
/// # Errors
/// In a sentence, when a file cannot be used or the other side is not whom it should be.
pub(super) async fn handshake(
    scope: &Scope,
    host: &str,
    stream: Socket,
    options: wit::Tls,
) -> Result<TlsStream<Socket>, wit::StreamError> {
    let config = client_config(scope, &options).await.map_err(wit::StreamError::Tls)?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| wit::StreamError::Tls(format!("{host} is no name of a server")))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => wit::StreamError::Tls(chain(&error)),
        // The other side went away meanwhile, as a server that starts anew does: that passes.
        _ => wit::StreamError::Connection(format!("broken off during the TLS handshake: {}", chain(&error))),
    })
}

async fn client_config(scope: &Scope, options: &wit::Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let roots = match options.verify {
        wit::Verify::None => Roots::none(),
        wit::Verify::Authority | wit::Verify::Full => match file(scope, options.roots_key.as_deref()).await? {
            Some((path, pem)) => Roots::from_pem(&path, &pem)?,
            None => Roots::of_system()?,
        },
    };
    let verifier = Verifier { level: options.verify, roots, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let certificate = file(scope, options.certificate_key.as_deref()).await?;
    let key = file(scope, options.private_key_key.as_deref()).await?;
    match (certificate, key) {
        (Some((certificate_path, certificate)), Some((key_path, key))) => {
            let chain = certificates(&certificate_path, &certificate)?;
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| format!("{key_path}: {error}"))?;
            config.with_client_auth_cert(chain, key).map_err(|error| format!("{certificate_path}: {error}"))
        }
        _ => Ok(config.with_no_client_auth()),
    }
}

/// The file that the configuration names under `key`, with its path.
async fn file(scope: &Scope, key: Option<&str>) -> Result<Option<(String, Vec<u8>)>, String> {
    let Some(path) = key.and_then(|key| scope.config.get(key)).filter(|path| !path.is_empty()) else { return Ok(None) };
    let bytes = tokio::fs::read(path).await.map_err(|error| format!("{path}: {error}"))?;
    Ok(Some((path.to_owned(), bytes)))
}

fn certificates(path: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| format!("{path}: {error}"))?;
    if found.is_empty() { Err(format!("{path} holds no certificate in PEM")) } else { Ok(found) }
}

/// Whom to trust.
#[derive(Clone, Debug)]
struct Roots {
    anchors: Arc<RootCertStore>,
    /// Certificates named by the operator are trusted themselves too: a server may present one that signed itself.
    pinned: Vec<CertificateDer<'static>>,
}

impl Roots {
    fn none() -> Self {
        Self { anchors: Arc::new(RootCertStore::empty()), pinned: Vec::new() }
    }

    fn from_pem(path: &str, pem: &[u8]) -> Result<Self, String> {
        let pinned = certificates(path, pem)?;
        let mut anchors = RootCertStore::empty();
        anchors.add_parsable_certificates(pinned.iter().cloned());
        Ok(Self { anchors: Arc::new(anchors), pinned })
    }

    fn of_system() -> Result<Self, String> {
        static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        let anchors = SYSTEM.get_or_init(|| {
            let mut anchors = RootCertStore::empty();
            anchors.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(anchors)
        });
        if anchors.is_empty() {
            return Err("this machine has no list of public authorities".into());
        }
        Ok(Self { anchors: anchors.clone(), pinned: Vec::new() })
    }
}

#[derive(Debug)]
struct Verifier {
    level: wit::Verify,
    roots: Roots,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.level == wit::Verify::None {
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if !self.roots.pinned.iter().any(|pinned| pinned == end_entity) {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &self.roots.anchors,
                intermediates,
                now,
                algorithms,
            )?;
        }
        if self.level == wit::Verify::Full {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
