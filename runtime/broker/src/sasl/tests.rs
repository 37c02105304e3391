//! SCRAM against the RFC's own numbers, users in their file, and what a connection may do at which point.

use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::ApiKey;
use proptest::prelude::*;
use rand::SeedableRng;

use super::scram::{Credential, Hash, base64, from_base64};
use super::{Answer, Exchange, Machine, Mechanism, Random, RestAccess, Step, Users};
use crate::error::{Error, Hangup};

fn random() -> Random {
    Random::seed_from_u64(3)
}

fn users() -> (tempfile::TempDir, Users) {
    let dir = tempfile::tempdir().expect("a directory");
    let users = Users::open(dir.path().join("users.json"), 1).expect("none yet");
    (dir, users)
}

#[test]
fn the_example_of_rfc_7677_comes_out() {
    let salt = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let iterations = NonZeroU32::new(4096).expect("not zero");
    let credential = Credential::salted(Hash::Sha256, "pencil", salt, iterations);
    let messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let proof = from_base64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").expect("base64");
    assert!(credential.is_proven(Hash::Sha256, messages.as_bytes(), &proof));
    assert!(!credential.is_proven(Hash::Sha256, messages.as_bytes(), &proof[1..]));
    let signature = base64(&credential.signature(Hash::Sha256, messages.as_bytes()));
    assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn users_stand_in_a_file_that_only_its_owner_reads_and_that_holds_no_password() {
    let (dir, users) = users();
    let path = dir.path().join("users.json");
    assert!(users.put("alice", "wonder,land=1", &mut random()).expect("put"));
    assert!(!users.put("alice", "wonderland", &mut random()).expect("put"), "another password for the same");
    users.put("bob", "builder", &mut random()).expect("put");
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(!text.contains("wonder") && !text.contains("builder"), "{text}");
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let other = Users::open(&path, 2).expect("sound");
    assert_eq!(other.all().expect("read"), [("alice".to_owned(), None), ("bob".to_owned(), None)]);
    assert!(users.remove("bob").expect("removed") && !users.remove("bob").expect("nobody there"));
    assert_eq!(other.all().expect("read"), [("alice".to_owned(), None)], "a change is seen at once");
    assert_eq!(other.rest_access("alice", "wonderland"), None, "nobody said so");
    assert!(users.allow_rest("alice", Some(RestAccess::Read)).expect("allowed"));
    assert!(!users.allow_rest("bob", Some(RestAccess::Read)).expect("read"), "there is none");
    users.put("alice", "in wonderland", &mut random()).expect("put");
    assert_eq!(other.rest_access("alice", "in wonderland"), Some(RestAccess::Read), "another password takes nothing");
    assert_eq!((other.rest_access("alice", "wonderland"), other.rest_access("bob", "builder")), (None, None));
    users.put("alice", "wonderland", &mut random()).expect("put");
    for (name, password) in [("", "p"), ("a\0b", "p"), ("carol", ""), ("carol", "a\0b")] {
        assert!(matches!(users.put(name, password, &mut random()), Err(Error::User(_))), "{name:?} {password:?}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let open = Users::open(&path, 2).err().expect("others may read it").to_string();
    assert!(open.contains("chmod 600"), "{open}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("changed");
    std::fs::write(&path, r#"{"users":{"a":1}}"#).expect("written");
    assert!(Users::open(&path, 2).is_err(), "it holds something else");
}

#[test]
fn plain_takes_the_password_and_nothing_else() {
    let (_dir, users) = users();
    users.put("alice", "wonderland", &mut random()).expect("put");
    let step = |token: &str| Exchange::new(Mechanism::Plain).step(token.as_bytes(), &users, &mut random());
    let done = Step::Done { user: "alice".to_owned(), last: Vec::new() };
    assert_eq!(step("\0alice\0wonderland"), done);
    assert_eq!(step("alice\0alice\0wonderland"), done);
    let refused = step("\0alice\0wonder");
    assert!(matches!(refused, Step::Refused(_)));
    for token in ["\0mallory\0wonderland", "bob\0alice\0wonderland", "\0\0"] {
        assert_eq!(step(token), refused, "{token:?} must not be told apart");
    }
    for token in ["alice", "", "\0alice\0wonderland\0"] {
        assert!(matches!(step(token), Step::Refused(_)), "{token:?}");
    }
}

#[test]
fn someone_who_does_not_exist_gets_the_same_salt_each_time_and_no_way_in() {
    let (_dir, users) = users();
    let salt = |name: &str| users.credential(name, Mechanism::ScramSha256).salt;
    assert_eq!(salt("mallory"), salt("mallory"));
    assert_ne!(salt("mallory"), salt("trudy"));
    assert!(!users.credential("mallory", Mechanism::Plain).fits(Hash::Sha512, ""));
}

fn machine(lifetime: Duration) -> Machine {
    Machine::new(vec![Mechanism::Plain, Mechanism::ScramSha256], "SASL_PLAINTEXT", lifetime)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const METADATA: i16 = ApiKey::Metadata as i16;

fn log_in(machine: &mut Machine, user: &str, now: Duration) -> Answer {
    machine.handshake("PLAIN", false).expect("offered");
    let exchange = machine.take().expect("chosen");
    machine.give(exchange, false, Step::Done { user: user.to_owned(), last: Vec::new() }, now)
}

#[test]
fn before_its_login_a_client_may_only_log_in() {
    let mut machine = machine(Duration::ZERO);
    assert!(machine.admit(ApiKey::ApiVersions as i16, at(0)).is_ok());
    assert!(matches!(machine.admit(METADATA, at(0)), Err(Hangup::NotLoggedIn { key: METADATA, .. })));
    assert_eq!(machine.take().err(), Some(Code::IllegalSaslState), "it has not said how");
    let mut machine = self::machine(Duration::ZERO);
    assert_eq!(machine.handshake("GSSAPI", false), Err(Code::UnsupportedSaslMechanism));
    assert_eq!(machine.handshake("SCRAM-SHA-512", false), Err(Code::UnsupportedSaslMechanism), "not offered");
    assert_eq!(machine.handshake("PLAIN", false), Ok(()));
    assert!(machine.admit(METADATA, at(0)).is_err());
    assert_eq!(machine.handshake("PLAIN", false), Err(Code::IllegalSaslState), "one login is under way");
    let exchange = machine.take().expect("chosen");
    let refused = machine.give(exchange, false, Step::Refused("no"), at(0));
    assert!(matches!(refused, Answer::Out { code: Code::SaslAuthenticationFailed, .. }));
    assert!(machine.admit(METADATA, at(0)).is_err() && machine.take().is_err(), "there is no second try");
}

#[test]
fn a_login_expires_unless_the_same_user_logs_in_again() {
    let mut machine = machine(at(60));
    assert_eq!(log_in(&mut machine, "alice", at(0)), Answer::In { token: Vec::new(), lifetime: at(60) });
    assert!(machine.admit(METADATA, at(59)).is_ok());
    assert!(matches!(machine.admit(METADATA, at(60)), Err(Hangup::LoginExpired)));
    assert!(matches!(log_in(&mut machine, "alice", at(60)), Answer::In { .. }));
    assert!(machine.admit(METADATA, at(119)).is_ok());
    assert!(matches!(log_in(&mut machine, "bob", at(60)), Answer::Out { .. }), "a connection stays with its user");
}

proptest! {
    #[test]
    fn any_token_is_answered(tokens in proptest::collection::vec(".{0,80}", 1..4), scram in any::<bool>()) {
        let (_dir, users) = users();
        let mechanism = if scram { Mechanism::ScramSha256 } else { Mechanism::Plain };
        let mut exchange = Exchange::new(mechanism);
        for token in tokens {
            let step = exchange.step(token.as_bytes(), &users, &mut random());
            let is_in = matches!(step, Step::Done { .. });
            prop_assert!(!is_in, "{token:?} let someone in");
        }
    }
}
