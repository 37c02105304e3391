//! Streams that go on in TLS: how far each level checks the other side's certificate.
//!
//! The folder `tls` holds a server's certificate for `localhost` with its key, the authority that signed it, whose own key was
//! thrown away, and an authority that did not. They guard nothing and are valid for a hundred years.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::Bench;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/tls").join(name)
}

/// A server that says back each line it hears through TLS; gives its port.
async fn server() -> String {
    let certificate = CertificateDer::from_pem_file(file("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate breaks off here.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            if stream.read_line(&mut line).await.is_ok() {
                stream.write_all(format!("heard {line}").as_bytes()).await.expect("written");
                stream.flush().await.expect("flushed");
            }
        }
    });
    port.to_string()
}

#[tokio::test]
async fn each_level_checks_as_far_as_it_says() {
    let bench = Bench::new();
    let port = server().await;
    let check = async |mode: &str, host: &str, roots: &str, expected: &str| {
        let roots = file(roots).display().to_string();
        let settings = [("mode", mode), ("hostname", host), ("port", port.as_str()), ("tls.roots", roots.as_str())];
        let said = bench.task(&settings).await.said().await;
        assert!(said.starts_with(expected), "{mode} {host} {roots}: {said}");
    };
    check("stream-tls-full", "localhost", "authority.pem", "heard hello").await;
    check("stream-tls-full", "localhost", "server.pem", "heard hello").await;
    check("stream-tls-full", "127.0.0.1", "authority.pem", "Tls").await;
    check("stream-tls-full", "localhost", "stranger.pem", "Tls").await;
    check("stream-tls-authority", "127.0.0.1", "authority.pem", "heard hello").await;
    check("stream-tls-authority", "localhost", "stranger.pem", "Tls").await;
    check("stream-tls-none", "127.0.0.1", "stranger.pem", "heard hello").await;
    check("stream-tls-full", "localhost", "absent.pem", "Tls").await;
}
