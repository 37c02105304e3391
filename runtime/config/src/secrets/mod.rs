//! References to secrets, where they may point, and the store of literals that came over REST.
//!
//! A reference stands in a value as `${env:X}`, `${file:/path:key}`, `${dir:/path:file}`, `${exec:command:argument}` or
//! `${secret:connector:key}`, as with Kafka's config providers. It is resolved just before a task starts; everything stored or shown
//! holds references. Commands take time, so whoever resolves asks them before and brings their answers along.

mod properties;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use towpath_model::{Config, Endpoint, Redactor, Spec, ValueType, passwords};

pub use self::properties::properties;
pub(crate) use self::properties::property;
pub use self::store::SecretStore;
pub(crate) use self::store::create_private;
use crate::Error;
use crate::check::framework_keys;
use crate::reach::Files;
use crate::words::closest;

/// The largest file a secret is read from.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where references of a configuration may point.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Anywhere: the operator's own files.
    Trusted,
    /// Only there, and to the connector's own stored secrets: configurations that came over REST.
    Allowed {
        /// Names of environment variables; a trailing `*` stands for any rest.
        env: Vec<String>,
        /// Files and folders.
        paths: Vec<PathBuf>,
        /// Commands.
        commands: Vec<String>,
        /// Files that a connector may read and write.
        files: Files,
    },
}

/// A reference that cannot be resolved. Never shows a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ResolveError {
    /// The key in whose value it stands.
    pub key: String,
    /// A stable code, such as `config.secret_missing`.
    pub code: &'static str,
    /// Why, in a sentence.
    pub reason: String,
}

/// A configuration with its references resolved.
#[derive(Clone)]
pub struct Resolved {
    /// The configuration to run with; never to be shown or stored.
    pub config: Config,
    /// Takes the resolved values out of texts.
    pub redactor: Redactor,
    /// The files that were read, to be watched.
    pub files: Vec<PathBuf>,
    /// What commands had answered.
    pub answers: Answers,
}

/// What a reference asks of a command: the name by which the operator knows the command, and the argument.
pub type Question = (String, String);

/// What commands answered: the secret, or why there is none.
pub type Answers = BTreeMap<Question, Result<String, String>>;

/// Where references lead.
#[derive(Clone, Copy)]
pub struct Providers<'a> {
    /// The store of literals.
    pub store: Option<&'a SecretStore>,
    /// Reads the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What the commands answered that [`questions`] named.
    pub answers: &'a Answers,
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved").field("files", &self.files).finish_non_exhaustive()
    }
}

const PROVIDERS: [&str; 5] = ["env", "file", "dir", "exec", "secret"];

/// A reference in a value.
#[derive(Debug, PartialEq)]
struct Reference<'a> {
    /// Bytes of the value before it.
    before: &'a str,
    provider: &'a str,
    /// What stands after the provider.
    target: &'a str,
}

/// Finds the next reference in a value, and what follows it. `${x}` without a colon is a text like any other.
fn next_reference(value: &str) -> Option<(Reference<'_>, &str)> {
    let mut from = 0;
    loop {
        let start = from + value.get(from..)?.find("${")?;
        let rest = value.get(start + 2..)?;
        let end = rest.find('}')?;
        match rest.get(..end)?.split_once(':') {
            Some((provider, target)) if !provider.is_empty() && !provider.contains("${") => {
                return Some((Reference { before: value.get(..start)?, provider, target }, rest.get(end + 1..)?));
            }
            _ => from = start + 2,
        }
    }
}

/// Whether a value has a reference that is resolved, or was meant to be.
pub fn has_reference(value: &str) -> bool {
    let mut rest = value;
    while let Some((reference, after)) = next_reference(rest) {
        // A slip in the provider's name makes no literal of it: it is told when it is resolved.
        if closest(reference.provider, PROVIDERS).is_some() {
            return true;
        }
        rest = after;
    }
    false
}

/// What the references of a configuration ask of commands, as far as the policy lets them.
pub fn questions(config: &Config, policy: &Policy) -> BTreeSet<Question> {
    let mut questions = BTreeSet::new();
    for (_, value) in config.iter() {
        let mut rest = value;
        while let Some((reference, after)) = next_reference(rest) {
            if let Some((command, argument)) =
                (reference.provider == "exec").then(|| question(reference.target)).flatten()
                && policy.allows_command(command)
            {
                questions.insert((command.to_owned(), argument.to_owned()));
            }
            rest = after;
        }
    }
    questions
}

fn question(target: &str) -> Option<(&str, &str)> {
    target.split_once(':').filter(|(command, _)| !command.is_empty())
}

impl Policy {
    fn allows_command(&self, command: &str) -> bool {
        match self {
            Self::Trusted => true,
            Self::Allowed { commands, .. } => commands.iter().any(|allowed| allowed == command),
        }
    }
}

/// Resolves every `${env:X}`, `${file:/path:key}`, `${dir:/path:file}`, `${exec:command:argument}` and `${secret:connector:key}` of
/// `config`. `spec` says which keys are secret, and all that is secret is known to the redactor of the answer.
///
/// # Errors
/// All references that cannot be resolved or are not allowed.
pub fn resolve(
    config: &Config,
    spec: &Spec,
    policy: &Policy,
    providers: Providers<'_>,
) -> Result<Resolved, Vec<ResolveError>> {
    let mut resolver = Resolver { connector: config.get("name"), policy, providers, files: BTreeSet::new() };
    let mut resolved = Resolved {
        config: Config::default(),
        redactor: Redactor::default(),
        files: Vec::new(),
        answers: providers.answers.clone(),
    };
    let mut errors = Vec::new();
    for (key, value) in config.iter() {
        let plain = is_plain(spec, key, value);
        match resolver.value(value, (!plain).then_some(&mut resolved.redactor)) {
            Ok(value) => resolved.config.set(key, value),
            Err((code, reason)) => errors.push(ResolveError { key: key.to_owned(), code, reason }),
        }
    }
    resolved.files = resolver.files.into_iter().collect();
    resolved.redactor.add_secrets(spec, &resolved.config);
    if errors.is_empty() { Ok(resolved) } else { Err(errors) }
}

type Fault = (&'static str, String);

struct Resolver<'a> {
    connector: Option<&'a str>,
    policy: &'a Policy,
    providers: Providers<'a>,
    files: BTreeSet<PathBuf>,
}

impl Resolver<'_> {
    fn value(&mut self, value: &str, mut redactor: Option<&mut Redactor>) -> Result<String, Fault> {
        let mut out = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((reference, after)) = next_reference(rest) {
            out.push_str(reference.before);
            if PROVIDERS.contains(&reference.provider) {
                let secret = self.secret(reference.provider, reference.target)?;
                if let Some(redactor) = &mut redactor {
                    redactor.add(&secret);
                }
                out.push_str(&secret);
            } else if let Some(meant) = closest(reference.provider, PROVIDERS) {
                let reason = format!("${{{}:…}} refers to nothing; was ${{{meant}:…}} meant?", reference.provider);
                return Err(("config.secret_provider", reason));
            } else {
                // As in Kafka, what no provider knows stays as it is.
                out.push_str(&format!("${{{}:{}}}", reference.provider, reference.target));
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn secret(&mut self, provider: &str, target: &str) -> Result<String, Fault> {
        match provider {
            "env" => self.variable(target),
            "secret" => self.stored(target),
            "exec" => self.answer(target),
            _ => {
                let (path, name) = target.rsplit_once(':').ok_or_else(|| {
                    let reason = format!("${{{provider}:{target}}} names no key; write ${{{provider}:/path:key}}");
                    ("config.secret_malformed", reason)
                })?;
                let path = if provider == "dir" { Path::new(path).join(name) } else { PathBuf::from(path) };
                let text = self.read(&path)?;
                if provider == "dir" {
                    // Editors and `echo` end a file with a line break that is no part of the secret.
                    return Ok(text
                        .strip_suffix('\n')
                        .map(|text| text.strip_suffix('\r').unwrap_or(text))
                        .unwrap_or(&text)
                        .to_owned());
                }
                properties::get(&text, name)
                    .ok_or_else(|| ("config.secret_missing", format!("{} has no key {name}", path.display())))
            }
        }
    }

    fn variable(&self, name: &str) -> Result<String, Fault> {
        if let Policy::Allowed { env, .. } = self.policy {
            let allowed = |pattern: &String| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            };
            if !env.iter().any(allowed) {
                return Err(denied(format!("the environment variable {name}")));
            }
        }
        (self.providers.env)(name)
            .ok_or_else(|| ("config.secret_missing", format!("the environment variable {name} is not set")))
    }

    fn answer(&self, target: &str) -> Result<String, Fault> {
        let (command, argument) = question(target).ok_or_else(|| {
            let reason = format!("${{exec:{target}}} names no argument; write ${{exec:command:argument}}");
            ("config.secret_malformed", reason)
        })?;
        if !self.policy.allows_command(command) {
            return Err(denied(format!("the command {command}")));
        }
        match self.providers.answers.get(&(command.to_owned(), argument.to_owned())) {
            Some(Ok(secret)) => Ok(secret.clone()),
            Some(Err(reason)) => {
                Err(("config.secret_command", format!("the command {command} gave no secret: {reason}")))
            }
            None => Err(("config.secret_command", format!("the command {command} was not asked"))),
        }
    }

    fn stored(&self, target: &str) -> Result<String, Fault> {
        let (connector, key) = target.split_once(':').unwrap_or((target, ""));
        if matches!(self.policy, Policy::Allowed { .. }) && self.connector != Some(connector) {
            return Err(denied(format!("a secret of the connector {connector}")));
        }
        let found = self.providers.store.and_then(|store| store.get(connector, key));
        found.ok_or_else(|| {
            ("config.secret_missing", format!("no secret is stored for {key} of the connector {connector}"))
        })
    }

    fn read(&mut self, path: &Path) -> Result<String, Fault> {
        if let Policy::Allowed { paths, .. } = self.policy {
            // Both are resolved first, so that neither `..` nor a link leads out of what is allowed.
            let real = path.canonicalize().ok();
            let inside = |allowed: &PathBuf| {
                allowed.canonicalize().ok().zip(real.as_ref()).is_some_and(|(allowed, real)| real.starts_with(allowed))
            };
            if !paths.iter().any(inside) {
                return Err(denied(path.display().to_string()));
            }
        }
        self.files.insert(path.to_owned());
        let mut text = String::new();
        let opened = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
        match opened {
            Ok(_) if text.len() as u64 > FILE_BYTES_MAX => {
                Err(("config.secret_unreadable", format!("{} is larger than 1 MiB", path.display())))
            }
            Ok(_) => Ok(text),
            Err(error) => Err(("config.secret_unreadable", format!("{} cannot be read: {error}", path.display()))),
        }
    }
}

fn denied(what: String) -> Fault {
    (
        "config.secret_denied",
        format!("a configuration that comes over REST may not use {what}; the worker's own settings allow it"),
    )
}

/// Whether a value that is one whole reference stands for something that is no secret, such as the name of a host, so that hiding it
/// would only garble what users read. What the key or the reference's own name do not make clear is taken for a secret.
fn is_plain(spec: &Spec, key: &str, value: &str) -> bool {
    const SECRET: [&str; 9] = ["PASS", "PWD", "SECRET", "TOKEN", "KEY", "AUTH", "CRED", "PRIVATE", "SIGN"];
    let Some((reference, "")) = next_reference(value) else { return false };
    let name = reference.target.rsplit([':', '/']).next().unwrap_or(reference.target).to_uppercase();
    if !reference.before.is_empty() || reference.provider == "secret" || SECRET.iter().any(|word| name.contains(word)) {
        return false;
    }
    let known = spec.keys.iter().find(|known| known.name == key || known.aliases.iter().any(|alias| alias == key));
    match known {
        Some(known) => {
            let names_a_place = matches!(known.endpoint, Some(Endpoint::Url | Endpoint::Store));
            !known.secret && known.value_type != ValueType::Password && !names_a_place
        }
        None => framework_keys(spec.kind).iter().any(|known| known.name == key),
    }
}

/// Moves literals of secret keys, and passwords inside URLs, to the store and puts references in their place.
///
/// # Errors
/// When the store cannot be written.
pub fn withhold_literals(connector: &str, config: &mut Config, spec: &Spec, store: &SecretStore) -> Result<(), Error> {
    let secret = spec.keys.iter().filter(|key| key.secret);
    let secret: Vec<_> = secret.flat_map(|key| std::iter::once(&key.name).chain(&key.aliases)).collect();
    withhold(config, |name| secret.iter().any(|key| *key == name), |key, value| store.put(connector, key, value))
}

/// Hands literals of secret keys, and passwords inside URLs, to `put`, whose answer stands in their place then.
///
/// # Errors
/// Those of `put`.
pub(crate) fn withhold<E>(
    config: &mut Config,
    secret: impl Fn(&str) -> bool,
    mut put: impl FnMut(&str, &str) -> Result<String, E>,
) -> Result<(), E> {
    for (name, value) in config.0.iter_mut().filter(|(_, value)| !value.is_empty() && !has_reference(value)) {
        if secret(name) {
            *value = put(name, value)?;
            continue;
        }
        let found: Vec<_> = passwords(value).collect();
        for (number, range) in found.into_iter().enumerate().rev() {
            let password = value.get(range.clone()).unwrap_or_default();
            // The resolver puts back what stood there, so that the URL stays as it was written.
            let key = if number == 0 { format!("{name}:password") } else { format!("{name}:password{number}") };
            let reference = put(&key, password)?;
            value.replace_range(range, &reference);
        }
    }
    Ok(())
}
