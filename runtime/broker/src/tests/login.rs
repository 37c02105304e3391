//! TLS and SASL over the wire, with a client that does its own arithmetic.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsRequest, MetadataRequest, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use ring::{digest, hmac, pbkdf2};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Client, Served, fetch, fetched, produce, produced, values_batch};
use crate::{Config, ListenerConfig, TlsFiles, Users};

const USER: &str = "ali=ce,1";
const PASSWORD: &str = "wonder land";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/tls").join(name)
}

fn listen(config: &mut Config, protocol: &str) {
    let text = [format!("{protocol}://127.0.0.1:0")];
    config.listeners = ListenerConfig::parse_all(&text, &[], &[]).expect("a listener");
    let (certificate, key) = (file("server.pem"), file("server.key"));
    config.tls = Some(TlsFiles { certificate, key, client_authority: None });
}

/// A broker that asks for a login of [`USER`].
async fn guarded(change: impl FnOnce(&mut Config)) -> (Served, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("users.json");
    let users = Users::open(&path, 1).expect("none yet");
    users.put(USER, PASSWORD, &mut StdRng::seed_from_u64(5)).expect("put");
    let served = Served::start_with(|config| {
        listen(config, "SASL_PLAINTEXT");
        config.users = Some(path);
        change(config);
    });
    (served.await, dir)
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, version: i16, mechanism: &str) -> i16 {
    let mechanism = StrBytes::from_string(mechanism.to_owned());
    client.call(version, &SaslHandshakeRequest::default().with_mechanism(mechanism)).await.error_code
}

async fn token<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    version: i16,
    token: &str,
) -> SaslAuthenticateResponse {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(token.as_bytes()));
    client.call(version, &request).await
}

/// What a client of SCRAM answers a challenge with, and what the server must prove itself with.
fn proof(sha512: bool, password: &str, first: &str, challenge: &str, ahead: &str) -> (String, String) {
    let field = |name: &str| challenge.split(',').find_map(|field| field.strip_prefix(name)).expect(name).to_owned();
    let (algorithm, hash, derive) = match sha512 {
        false => (hmac::HMAC_SHA256, &digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256),
        true => (hmac::HMAC_SHA512, &digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512),
    };
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec();
    let mut salted = vec![0; hash.output_len()];
    let salt = STANDARD.decode(field("s=")).expect("base64");
    let iterations = field("i=").parse().expect("a number");
    pbkdf2::derive(derive, iterations, &salt, password.as_bytes(), &mut salted);
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(hash, &client_key);
    let last = format!("c=biws,r={ahead}{}", field("r="));
    let messages = format!("{first},{challenge},{last}");
    let signature = sign(stored_key.as_ref(), messages.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
    let server = sign(&sign(&salted, b"Server Key"), messages.as_bytes());
    (format!("{last},p={}", STANDARD.encode(proof)), format!("v={}", STANDARD.encode(server)))
}

/// Logs in; what the last answer says.
async fn scram(client: &mut Client, sha512: bool, user: &str, password: &str) -> SaslAuthenticateResponse {
    scram_with(client, sha512, user, password, "").await
}

async fn scram_with(
    client: &mut Client,
    sha512: bool,
    user: &str,
    password: &str,
    ahead: &str,
) -> SaslAuthenticateResponse {
    let first = format!("n={},r=abcdef", user.replace('=', "=3D").replace(',', "=2C"));
    let challenge = token(client, 2, &format!("n,,{first}")).await;
    assert_eq!(challenge.error_code, 0);
    let challenge = String::from_utf8(challenge.auth_bytes.to_vec()).expect("text");
    let (last, server) = proof(sha512, password, &first, &challenge, ahead);
    let answer = token(client, 2, &last).await;
    if answer.error_code == 0 {
        assert_eq!(answer.auth_bytes, server.as_bytes(), "the server must prove that it knows the password");
    }
    answer
}

async fn is_in<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) {
    let answer = client.call(9, &MetadataRequest::default().with_topics(None)).await;
    assert_eq!(answer.brokers.len(), 1);
}

#[tokio::test]
async fn a_user_logs_in_by_every_mechanism_and_in_every_version() {
    let (served, _dir) = guarded(|_| {}).await;
    for (mechanism, sha512) in [("SCRAM-SHA-256", false), ("SCRAM-SHA-512", true)] {
        let mut client = served.client().await;
        assert_eq!(handshake(&mut client, 1, mechanism).await, 0);
        assert_eq!(scram(&mut client, sha512, USER, PASSWORD).await.error_code, 0);
        is_in(&mut client).await;
    }
    // Older clients of librdkafka repeat their own nonce.
    let mut client = served.client().await;
    handshake(&mut client, 1, "SCRAM-SHA-256").await;
    assert_eq!(scram_with(&mut client, false, USER, PASSWORD, "abcdef").await.error_code, 0);
    for version in 0..=2 {
        let mut client = served.client().await;
        assert_eq!(handshake(&mut client, 1, "PLAIN").await, 0);
        assert_eq!(token(&mut client, version, &format!("\0{USER}\0{PASSWORD}")).await.error_code, 0);
        is_in(&mut client).await;
    }
    // The oldest clients send tokens without the head of a request.
    let mut client = served.client().await;
    assert_eq!(handshake(&mut client, 0, "PLAIN").await, 0);
    let bare = format!("\0{USER}\0{PASSWORD}");
    client.stream.write_u32(bare.len() as u32).await.expect("sent");
    client.stream.write_all(bare.as_bytes()).await.expect("sent");
    assert_eq!(client.receive().await, Some(Bytes::new()));
    is_in(&mut client).await;
    assert_eq!(served.handle.metrics().logins_total, 7);
}

#[tokio::test]
async fn who_is_not_logged_in_gets_nothing_but_the_way_to_log_in() {
    let (served, _dir) = guarded(|config| config.limits.login_bytes = 1000).await;
    let mut client = served.client().await;
    assert_eq!(client.call(3, &ApiVersionsRequest::default()).await.error_code, 0);
    client.send(9, &MetadataRequest::default().with_topics(None)).await;
    assert_eq!(client.receive().await, None, "the connection ends");
    let mut client = served.client().await;
    let answer =
        client.call(1, &SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("GSSAPI"))).await;
    assert_eq!((answer.error_code, answer.mechanisms.len()), (33, 3), "it is told what there is");
    let mut wrong = Vec::new();
    for (user, password) in [(USER, "wonderland"), ("mallory", PASSWORD)] {
        let mut client = served.client().await;
        handshake(&mut client, 1, "SCRAM-SHA-256").await;
        let answer = scram(&mut client, false, user, password).await;
        assert_eq!(answer.error_code, 58);
        wrong.push(answer.error_message);
        assert_eq!(client.receive().await, None, "there is no second try");
    }
    assert_eq!(wrong[0], wrong[1], "nobody learns which names there are");
    let mut client = served.client().await;
    client.stream.write_all(&[0, 0, 0x10, 0, 0, 3]).await.expect("sent");
    assert_eq!(client.receive().await, None, "a large request is not read before a login");
    assert_eq!(served.handle.metrics().logins_refused_total, 2);
}

#[tokio::test]
async fn who_takes_too_long_to_log_in_is_let_go_and_makes_room() {
    let (served, _dir) = guarded(|config| {
        config.limits.login = Duration::from_millis(400);
        config.limits.strangers = 1;
    })
    .await;
    let mut silent = served.client().await;
    let mut next = served.client().await;
    assert_eq!(next.receive().await, None, "there is one place for strangers");
    assert_eq!(silent.receive().await, None, "and it is not kept for ever");
    let mut client = served.client().await;
    handshake(&mut client, 1, "PLAIN").await;
    token(&mut client, 1, &format!("\0{USER}\0{PASSWORD}")).await;
    is_in(&mut client).await;
    is_in(&mut client).await;
    let mut other = served.client().await;
    assert_eq!(handshake(&mut other, 1, "PLAIN").await, 0, "who is in takes no stranger's place");
    assert_eq!(served.handle.metrics().turned_away_total, 1);
}

#[tokio::test]
async fn a_login_ends_unless_it_is_repeated_on_the_same_connection() {
    let (served, _dir) = guarded(|config| config.session_lifetime = Duration::from_millis(600)).await;
    let mut client = served.client().await;
    for round in 0..2 {
        assert_eq!(handshake(&mut client, 1, "PLAIN").await, 0, "round {round}");
        let answer = token(&mut client, 1, &format!("\0{USER}\0{PASSWORD}")).await;
        assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 600));
        is_in(&mut client).await;
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        client.send(9, &MetadataRequest::default().with_topics(None)).await;
        if client.receive().await.is_none() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it stays in for ever");
    }
}

async fn tls(served: &Served, identity: Option<&str>) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("authority.pem")).expect("a certificate")).expect("sound");
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(file(&format!("{name}.pem"))).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).expect("a key");
            config.with_client_auth_cert(chain, key).expect("an identity")
        }
    };
    let stream = TcpStream::connect(served.address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    Ok(Client::over(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

#[tokio::test]
async fn over_tls_records_go_both_ways_whatever_their_size() {
    let served = Served::start_with(|config| listen(config, "SSL")).await;
    served.topic("orders", 1).await;
    let mut client = tls(&served, None).await.expect("connected");
    let large = "x".repeat(700_000);
    for (offset, value) in ["a", large.as_str(), "b"].into_iter().enumerate() {
        let request = produce("orders", uuid::Uuid::nil(), -1, &[(0, values_batch(&[value]))]);
        assert_eq!(produced(&client.call(9, &request).await), [(0, offset as i64)]);
    }
    let answer = client.call(12, &fetch("orders", uuid::Uuid::nil(), 0, &[(0, 0)])).await;
    let found: usize = fetched(&answer)[0].as_ref().expect("records").iter().map(|(_, value)| value.len()).sum();
    assert_eq!(found, large.len() + 2);
}

#[tokio::test]
async fn clients_of_the_wrong_kind_are_let_go_at_once() {
    let served = Served::start_with(|config| listen(config, "SSL")).await;
    let mut plain = served.client().await;
    plain.send(3, &ApiVersionsRequest::default()).await;
    assert_eq!(plain.receive().await, None);
    let served = Served::start().await;
    assert!(tls(&served, None).await.is_err());
    assert_eq!(served.handle.metrics().hangups, [("tls", 1)]);
}

#[tokio::test]
async fn where_clients_must_show_a_certificate_only_those_that_do_come_in() {
    let served = Served::start_with(|config| {
        listen(config, "SSL");
        config.tls.as_mut().expect("set").client_authority = Some(file("authority.pem"));
    })
    .await;
    is_in(&mut tls(&served, Some("client")).await.expect("connected")).await;
    // With TLS 1.3 a client learns of its refusal by its first read.
    if let Ok(mut refused) = tls(&served, None).await {
        assert!(refused.stream.read_u8().await.is_err());
    }
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_used_without_a_restart_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
    let place = |name: &str| {
        std::fs::copy(file(&format!("{name}.key")), &key).expect("copied");
        std::fs::copy(file(&format!("{name}.pem")), &certificate).expect("copied");
    };
    place("server");
    let served = Served::start_with(|config| {
        listen(config, "SSL");
        config.tls = Some(TlsFiles { certificate: certificate.clone(), key: key.clone(), client_authority: None });
    })
    .await;
    let shown = async || {
        let client = tls(&served, None).await.expect("connected");
        let (_, connection) = client.stream.get_ref();
        connection.peer_certificates().expect("shown")[0].to_vec()
    };
    let (first, renewed) = (shown().await, CertificateDer::from_pem_file(file("renewed.pem")).expect("a certificate"));
    std::fs::write(&certificate, "not yet written").expect("written");
    assert_eq!(shown().await, first);
    place("renewed");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while shown().await != renewed.to_vec() {
        assert!(tokio::time::Instant::now() < deadline, "the old one is shown for ever");
    }
}
