//! Reads single keys out of a configuration, with the defaults of the definition, and names the key that is at fault.

use std::time::Duration;

use towpath_model::{Config, Secret};

use super::{Filter, Skipped};
use crate::error::Error;
use crate::network::{Tls, Verify};
use crate::wire::{Login, SslMode};

/// The name under which the server lists the connector, cut where the server would cut it.
fn application_name(connector: Option<&str>) -> String {
    let name = connector.map_or_else(|| "Towpath".to_owned(), |connector| format!("Towpath {connector}"));
    name.chars().filter(|character| character.is_ascii_graphic() || *character == ' ').take(63).collect()
}

pub(super) fn fault(key: &'static str, reason: impl Into<String>) -> Error {
    Error::Setting { key, reason: reason.into() }
}

/// Reads keys, with the defaults of the spec.
pub(super) struct Reader<'a> {
    pub(super) config: &'a Config,
    pub(super) spec: towpath_model::Spec,
}

impl Reader<'_> {
    pub(super) fn optional(&self, key: &'static str) -> Option<&str> {
        let default = || self.spec.keys.iter().find(|known| known.name == key)?.default.as_deref();
        self.config.get(key).or_else(default)
    }

    pub(super) fn text(&self, key: &'static str) -> Result<&str, Error> {
        self.optional(key).ok_or_else(|| fault(key, "a value is required"))
    }

    pub(super) fn choice(&self, key: &'static str) -> Result<&str, Error> {
        let value = self.text(key)?;
        let allowed = self.spec.keys.iter().find(|known| known.name == key).map(|known| known.valid_values.as_slice());
        let allowed = allowed.unwrap_or_default();
        if allowed.is_empty() || allowed.iter().any(|one| one == value) {
            return Ok(value);
        }
        Err(fault(key, format!("`{value}` is not one of {}", allowed.join(", "))))
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<bool, Error> {
        match self.text(key)?.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(fault(key, "must be `true` or `false`")),
        }
    }

    pub(super) fn number(&self, key: &'static str, min: i64, max: i64) -> Result<i64, Error> {
        let number: Option<i64> = self.text(key)?.trim().parse().ok();
        number
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| fault(key, format!("must be a number from {min} to {max}")))
    }

    pub(super) fn filter(&self, include: &'static str, exclude: &'static str) -> Result<Filter, Error> {
        let list = |key| self.optional(key).map(str::trim).filter(|list| !list.is_empty());
        let (included, excluded) = (list(include), list(exclude));
        if included.is_some() && excluded.is_some() {
            return Err(fault(exclude, format!("cannot be used together with `{include}`")));
        }
        Filter::new(included, excluded)
            .map_err(|reason| fault(if included.is_some() { include } else { exclude }, reason))
    }

    pub(super) fn login(&self) -> Result<Login, Error> {
        let mode = self.choice("database.sslmode")?;
        let (ssl, verify) = match mode {
            "disable" => (SslMode::Disable, Verify::None),
            "allow" | "prefer" => (SslMode::Prefer, Verify::None),
            "require" => (SslMode::Require, Verify::None),
            "verify-ca" => (SslMode::Require, Verify::Authority),
            _ => (SslMode::Require, Verify::Full),
        };
        let file = |key: &'static str| self.config.get(key).is_some_and(|path| !path.is_empty()).then_some(key);
        let timeout = self.number("database.query.timeout.ms", 1_000, 86_400_000)?;
        Ok(Login {
            host: self.text("database.hostname")?.into(),
            port: self.number("database.port", 1, 65_535)? as u16,
            user: self.text("database.user")?.into(),
            password: self.optional("database.password").map(Secret::new),
            database: self.text("database.dbname")?.into(),
            ssl,
            tls: Tls {
                verify,
                roots_key: file("database.sslrootcert"),
                certificate_key: file("database.sslcert"),
                private_key_key: file("database.sslkey"),
            },
            application_name: application_name(self.config.get("name")),
            timeout: Duration::from_millis(timeout.unsigned_abs()),
        })
    }

    pub(super) fn skipped(&self) -> Result<Skipped, Error> {
        let mut skipped = Skipped::default();
        for operation in self.text("skipped.operations")?.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            match operation {
                "c" => skipped.creates = true,
                "u" => skipped.updates = true,
                "d" => skipped.deletes = true,
                "t" => skipped.truncates = true,
                "none" => {}
                other => return Err(fault("skipped.operations", format!("`{other}` is not one of c, u, d, t, none"))),
            }
        }
        Ok(skipped)
    }
}
