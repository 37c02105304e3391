//! The messages of one login, from the first token of a client to the last answer. Tokens are bytes of strangers.

use rand::RngExt;

use super::scram::{Credential, Hash, base64, from_base64};
use super::{Mechanism, Random, Users};

/// What a user may be called at most, in bytes.
const NAME_BYTES_MAX: usize = 255;
const NONCE_BYTES: usize = 24;
/// The one thing that is said of a name or password that is wrong.
const WRONG: &str = "the user or the password is wrong";

/// One login under way.
pub(crate) enum Exchange {
    Plain,
    Scram(Mechanism),
    /// SCRAM, when the client has said who it is.
    Proof {
        mechanism: Mechanism,
        user: String,
        /// What the client must repeat in its last message, and all that was said before it.
        header: String,
        nonce: String,
        said: String,
        credential: Credential,
    },
    /// Nothing more is to be said.
    Over,
}

/// What comes of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client is to answer this.
    Continue(Vec<u8>),
    /// It has logged in, and is told this.
    Done { user: String, last: Vec<u8> },
    /// It is refused, in words that it may hear.
    Refused(&'static str),
}

impl Exchange {
    /// The beginning of a login.
    pub(crate) fn new(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Self::Plain,
            scram => Self::Scram(scram),
        }
    }

    /// Takes the next token of the client in. Computes for some milliseconds.
    pub(crate) fn step(&mut self, token: &[u8], users: &Users, random: &mut Random) -> Step {
        let Ok(text) = std::str::from_utf8(token) else { return Step::Refused("its message is no UTF-8") };
        match std::mem::replace(self, Self::Over) {
            Self::Plain => plain(text, users),
            Self::Scram(mechanism) => match first(text, mechanism, users, random) {
                Ok((next, challenge)) => {
                    *self = next;
                    Step::Continue(challenge.into_bytes())
                }
                Err(reason) => Step::Refused(reason),
            },
            Self::Proof { mechanism, user, header, nonce, said, credential } => {
                let hash = Hash::of(mechanism);
                let Some((without_proof, proof)) = text.rsplit_once(",p=") else {
                    return Step::Refused("its proof is missing");
                };
                // Clients of librdkafka before 2.2 put their own nonce ahead of the common one once more, and Kafka lets them.
                let repeated = without_proof.strip_prefix("c=").and_then(|rest| rest.split_once(",r="));
                if !repeated.is_some_and(|(given, said)| given == header && said.ends_with(&nonce)) {
                    return Step::Refused("its last message does not fit its first");
                }
                let messages = format!("{said},{without_proof}");
                let proof = from_base64(proof).unwrap_or_default();
                if !credential.is_proven(hash, messages.as_bytes(), &proof) {
                    return Step::Refused(WRONG);
                }
                let signature = base64(&credential.signature(hash, messages.as_bytes()));
                Step::Done { user, last: format!("v={signature}").into_bytes() }
            }
            Self::Over => Step::Refused("there is no login under way"),
        }
    }
}

/// PLAIN (RFC 4616): whom to act for, who it is, and the password, with zeros between.
fn plain(text: &str, users: &Users) -> Step {
    let mut parts = text.split('\0');
    let (Some(act_for), Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Step::Refused("its message is not that of PLAIN");
    };
    if user.is_empty() || user.len() > NAME_BYTES_MAX || !(act_for.is_empty() || act_for == user) {
        return Step::Refused(WRONG);
    }
    // Someone who does not exist takes as long to refuse.
    let fits = users.credential(user, Mechanism::Plain).fits(Hash::of(Mechanism::Plain), password);
    if fits { Step::Done { user: user.to_owned(), last: Vec::new() } } else { Step::Refused(WRONG) }
}

/// The client's first message, and the challenge to it.
fn first(
    text: &str,
    mechanism: Mechanism,
    users: &Users,
    random: &mut Random,
) -> Result<(Exchange, String), &'static str> {
    const SHAPE: &str = "its message is not that of SCRAM";
    let (binding, rest) = text.split_once(',').ok_or(SHAPE)?;
    if !matches!(binding, "n" | "y") {
        return Err("it wants to bind its channel, which is not offered");
    }
    let (act_for, bare) = rest.split_once(',').ok_or(SHAPE)?;
    let mut fields = bare.split(',');
    let name = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or(SHAPE)?;
    let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(SHAPE)?;
    if nonce.is_empty() || fields.any(|extension| extension.starts_with("tokenauth")) {
        return Err(SHAPE);
    }
    let user = unescaped(name).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX).ok_or(SHAPE)?;
    if !(act_for.is_empty() || act_for.strip_prefix("a=").and_then(unescaped).as_ref() == Some(&user)) {
        return Err(WRONG);
    }
    let own: [u8; NONCE_BYTES] = random.random();
    let nonce = format!("{nonce}{}", base64(&own));
    let credential = users.credential(&user, mechanism);
    let challenge = format!("r={nonce},s={},i={}", base64(&credential.salt), credential.iterations);
    let header = base64(format!("{binding},{act_for},").as_bytes());
    let said = format!("{bare},{challenge}");
    Ok((Exchange::Proof { mechanism, user, header, nonce, said, credential }, challenge))
}

/// A name without its escapes; none where an escape is wrong.
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(2)?;
        text.push(match escaped {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        text.push_str(rest);
    }
    Some(text)
}
