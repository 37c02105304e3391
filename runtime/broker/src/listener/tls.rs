//! The certificate of a listener, by rustls: loaded at the start, and again when its files have changed. One that cannot be used then
//! leaves the last good one in force, and says so once.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;
use crate::error::Error;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

/// A certificate and what it was made of.
pub struct Certificate {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    stamp: Stamp,
    looked_at: Duration,
}

/// By what a change of the files is seen.
type Stamp = Vec<Option<(SystemTime, u64)>>;

impl Certificate {
    /// Loads a certificate.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn load(files: &TlsFiles) -> Result<Self, Error> {
        let stamp = stamp(files);
        let acceptor = acceptor(files)?;
        let loaded = Loaded { acceptor, stamp, looked_at: Duration::ZERO };
        Ok(Self { files: files.clone(), loaded: Mutex::new(loaded) })
    }

    /// Whether clients must show a certificate, too.
    pub(crate) fn is_demanded(&self) -> bool {
        self.files.client_authority.is_some()
    }

    /// What takes a client in, by the newest files that can be used.
    pub fn acceptor(&self, now: Duration) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(loaded.looked_at) >= LOOK_EVERY {
            loaded.looked_at = now;
            let stamp = stamp(&self.files);
            if stamp != loaded.stamp {
                loaded.stamp = stamp;
                match acceptor(&self.files) {
                    Ok(acceptor) => {
                        loaded.acceptor = acceptor;
                        tracing::info!(certificate = %self.files.certificate.display(), "a listener has a new certificate");
                    }
                    Err(error) => tracing::error!(%error, "a listener keeps the certificate that it has"),
                }
            }
        }
        loaded.acceptor.clone()
    }
}

/// Whether bytes that come first on a connection are those of TLS.
pub(crate) fn is_tls(first: &[u8]) -> bool {
    matches!(first, [HANDSHAKE, 3, ..])
}

fn stamp(files: &TlsFiles) -> Stamp {
    let of = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    let authority = files.client_authority.as_deref();
    [files.certificate.as_path(), files.key.as_path()].into_iter().chain(authority).map(of).collect()
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Error> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| refused(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&files.certificate, &error))?;
    let config = match &files.client_authority {
        None => config.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| refused(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.with_client_cert_verifier(verifier.map_err(|error| refused(path, &error))?)
        }
    };
    let config = config.with_single_cert(chain, key).map_err(|error| refused(&files.certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| refused(path, &error))?;
    if all.is_empty() {
        return Err(refused(path, &"it holds no certificate in PEM"));
    }
    Ok(all)
}

fn refused(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Tls { path: path.to_owned(), reason: reason.to_string() }
}
