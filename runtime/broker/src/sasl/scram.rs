//! SCRAM (RFC 5802, RFC 7677): what is stored of a password, and the arithmetic by which both sides prove that they know it.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{Rng, RngExt};
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Mechanism;

/// How often the password is hashed; RFC 7677 asks for 4096 at least.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(8192).expect("not zero");
/// Fewer are not believed, should a file say so.
const ITERATIONS_MIN: u32 = 4096;
const SALT_BYTES: usize = 16;

/// The hash of a mechanism. PLAIN is checked against what SCRAM-SHA-512 stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub(super) fn of(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::ScramSha256 => Self::Sha256,
            Mechanism::ScramSha512 | Mechanism::Plain => Self::Sha512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    pub(super) fn sign(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hmac(), key), text).as_ref().to_vec()
    }

    fn salted(self, password: &str, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, digest::SHA512_OUTPUT_LEN),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }
}

/// What is stored of a password for one mechanism. The password cannot be had from it, other than by guessing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    #[serde(with = "in_base64")]
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    #[serde(with = "in_base64")]
    stored_key: Vec<u8>,
    #[serde(with = "in_base64")]
    server_key: Vec<u8>,
}

impl Credential {
    /// What is to be stored of a password.
    pub(super) fn new(hash: Hash, password: &str, random: &mut impl Rng) -> Self {
        let salt: [u8; SALT_BYTES] = random.random();
        Self::salted(hash, password, salt.to_vec(), ITERATIONS)
    }

    /// One that no password fits, the same for a name each time, so that nobody learns from it which names there are.
    pub(super) fn of_nobody(hash: Hash, secret: &[u8], name: &str) -> Self {
        let mut salt = hash.sign(secret, name.as_bytes());
        let (stored_key, server_key) = (hash.sign(secret, &salt), hash.sign(secret, b"server"));
        salt.truncate(SALT_BYTES);
        Self { salt, iterations: ITERATIONS, stored_key, server_key }
    }

    pub(super) fn salted(hash: Hash, password: &str, salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        let salted = hash.salted(password, &salt, iterations);
        let stored_key = hash.digest(&hash.sign(&salted, b"Client Key"));
        Self { salt, iterations, stored_key, server_key: hash.sign(&salted, b"Server Key") }
    }

    /// Whether it could have been made here.
    pub(super) fn is_sound(&self, hash: Hash) -> bool {
        let length = hash.digest(b"").len();
        let lengths = self.stored_key.len() == length && self.server_key.len() == length;
        lengths && !self.salt.is_empty() && self.iterations.get() >= ITERATIONS_MIN
    }

    /// Whether this is the password.
    pub(super) fn fits(&self, hash: Hash, password: &str) -> bool {
        let given = Self::salted(hash, password, self.salt.clone(), self.iterations);
        given.stored_key.ct_eq(&self.stored_key).into()
    }

    /// Whether a client that sent this proof knows the password.
    pub(super) fn is_proven(&self, hash: Hash, messages: &[u8], proof: &[u8]) -> bool {
        let signature = hash.sign(&self.stored_key, messages);
        if signature.len() != proof.len() {
            return false;
        }
        let client_key: Vec<u8> = signature.iter().zip(proof).map(|(signature, proof)| signature ^ proof).collect();
        hash.digest(&client_key).ct_eq(&self.stored_key).into()
    }

    /// What proves to the client that the password is known here, too.
    pub(super) fn signature(&self, hash: Hash, messages: &[u8]) -> Vec<u8> {
        hash.sign(&self.server_key, messages)
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

mod in_base64 {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::base64(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_base64(&text).ok_or_else(|| D::Error::custom("it is no base64"))
    }
}
