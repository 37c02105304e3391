//! Listeners as they are written, and what is said of those that cannot be.

use std::net::SocketAddr;

use super::{Listener, ListenerConfig, Protocol};
use crate::config::Config;
use crate::sasl::Mechanism;

fn parse(listeners: &[&str], advertised: &[&str], protocols: &[&str]) -> Result<Vec<ListenerConfig>, String> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let parsed = ListenerConfig::parse_all(&owned(listeners), &owned(advertised), &owned(protocols));
    parsed.map_err(|error| error.to_string())
}

#[test]
fn listeners_are_written_as_in_kafka() {
    let one = ListenerConfig { advertised: Some("h:1".into()), ..ListenerConfig::plaintext("127.0.0.1:9092") };
    assert_eq!(parse(&["127.0.0.1:9092"], &["h:1"], &[]), Ok(vec![one]));
    let several = parse(
        &["INTERNAL://127.0.0.1:9092", "sasl_ssl://0.0.0.0:9093", "SSL://[::]:9094"],
        &["SASL_SSL://kafka.example.com:443", "SSL://[2001:db8::1]:9094"],
        &["internal:plaintext"],
    )
    .expect("sound");
    let told: Vec<_> = several.iter().map(|one| (one.name.as_str(), one.protocol, one.advertised.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("INTERNAL", Protocol::Plaintext, None),
            ("SASL_SSL", Protocol::SaslSsl, Some("kafka.example.com:443")),
            ("SSL", Protocol::Ssl, Some("[2001:db8::1]:9094")),
        ]
    );
}

#[test]
fn what_is_wrong_is_named_with_what_mends_it() {
    let cases: [(&[&str], &[&str], &[&str], &str); 13] = [
        (&["EXTERNAL://0.0.0.0:9093"], &[], &[], "Add EXTERNAL:SSL"),
        (&["127.0.0.1"], &[], &[], "host:port"),
        (&["127.0.0.1:many"], &[], &[], "no number"),
        (&[":9092"], &[], &[], "0.0.0.0"),
        (&["::1:9092"], &[], &[], "brackets"),
        (&["127.0.0.1:1", "127.0.0.1:2"], &[], &[], "a name of its own"),
        (&["127.0.0.1:1", "SSL://127.0.0.1:2"], &["h:1"], &[], "which one is meant"),
        (&["127.0.0.1:1"], &["OTHER://h:1"], &[], "no listener is called OTHER"),
        (&["127.0.0.1:1"], &["0.0.0.0:9092"], &[], "that the clients can reach"),
        (&["127.0.0.1:1"], &["h:0"], &[], "port 0"),
        (&["127.0.0.1:1"], &["h"], &[], "host:port"),
        (&["A://h:1"], &[], &["A"], "NAME:PROTOCOL"),
        (&["A://h:1"], &[], &["A:TLS"], "SASL_SSL"),
    ];
    for (listeners, advertised, protocols, said) in cases {
        let error = parse(listeners, advertised, protocols).expect_err("it is wrong");
        assert!(error.contains(said), "{listeners:?} {advertised:?} {protocols:?}: {error}");
    }
}

fn open(text: &str, address: &str, change: impl FnOnce(&mut Config)) -> Result<Listener, String> {
    let wanted = parse(&[text], &[], &[]).expect("sound").remove(0);
    let mut config = Config::new(Vec::new(), 1);
    change(&mut config);
    let address: SocketAddr = address.parse().expect("an address");
    Listener::open(&wanted, address, &config).map_err(|error| error.to_string())
}

#[test]
fn off_loopback_someone_must_be_asked_who_it_is() {
    let plain = "PLAINTEXT://0.0.0.0:9092";
    assert!(open(plain, "0.0.0.0:9092", |_| {}).err().expect("exposed").contains("asks nobody"));
    assert!(open(plain, "0.0.0.0:9092", |config| config.allow_remote = true).is_ok());
    assert!(open(plain, "127.0.0.1:9092", |_| {}).is_ok());
    assert!(open("SASL_PLAINTEXT://0.0.0.0:9092", "0.0.0.0:9092", |_| {}).is_ok());
    let error = open("SSL://127.0.0.1:9092", "127.0.0.1:9092", |_| {}).err().expect("no certificate");
    assert!(error.contains("no certificate"), "{error}");
}

#[test]
fn passwords_in_the_clear_are_asked_for_only_where_nobody_listens_in() {
    let names = |listener: Listener| listener.mechanisms.iter().map(|one| one.name()).collect::<Vec<_>>();
    let scram = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
    let open = |address, change: fn(&mut Config)| open("SASL_PLAINTEXT://h:1", address, change).expect("open");
    assert_eq!(names(open("10.0.0.1:9092", |_| {})), scram);
    assert_eq!(names(open("127.0.0.1:9092", |_| {})).len(), 3);
    let told = names(open("10.0.0.1:9092", |config| config.mechanisms = Some(vec![Mechanism::Plain])));
    assert_eq!(told, ["PLAIN"], "it is told to in so many words");
}

#[test]
fn a_client_is_told_the_address_it_came_to_unless_there_is_a_better_one() {
    let local: SocketAddr = "[::ffff:10.0.0.7]:9092".parse().expect("an address");
    let endpoint = |advertised: Option<&str>| {
        let wanted =
            ListenerConfig { advertised: advertised.map(str::to_owned), ..ListenerConfig::plaintext("127.0.0.1:9092") };
        let open = Listener::open(&wanted, "127.0.0.1:9092".parse().expect("an address"), &Config::new(Vec::new(), 1));
        let (host, port) = open.expect("open").endpoint(local);
        (host.to_string(), port)
    };
    assert_eq!(endpoint(None), ("10.0.0.7".to_owned(), 9092), "an IPv4 address is told as one");
    assert_eq!(endpoint(Some("[2001:db8::1]:19092")), ("2001:db8::1".to_owned(), 19092));
}
