//! Schemas of a registry beside the rules they come from: a subject's earlier schemas and one that may follow them or not. `make originals`
//! asks Java; recordings are replayed without it.

mod avro;
mod compare;
mod edit;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use towpath_convert::definition::{Parsed, SchemaType};

pub(crate) use compare::differing;

use crate::schema::pick;

/// A schema that is to follow others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) language: SchemaType,
    /// In the order of their versions.
    pub(crate) earlier: Vec<String>,
    pub(crate) next: String,
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// One for each earlier schema.
    Verdicts(Vec<Verdict>),
    /// Which text is no schema, and why.
    Invalid(usize, String),
}

/// What keeps two schemas apart: kinds of differences, with the place where it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Why the next one cannot read data of the earlier one.
    pub(crate) backward: Vec<String>,
    /// Why the earlier one cannot read data of the next one.
    pub(crate) forward: Vec<String>,
}

/// Makes a schema, or another one of it.
type Make = fn(&mut StdRng, Option<&str>) -> String;

const LANGUAGES: [(SchemaType, Make); 1] = [(SchemaType::Avro, avro::text)];

/// A case of a language whose name holds `only`.
pub(crate) fn case(random: &mut StdRng, only: &str) -> Case {
    let wanted: Vec<_> = LANGUAGES.into_iter().filter(|(language, _)| language.name().contains(only)).collect();
    let (language, make) = *pick(random, &wanted);
    let mut texts = vec![text(random, language, make, None)];
    for _ in 0..*pick(random, &[1, 1, 1, 2, 3]) {
        let again = texts.last().filter(|_| random.random_bool(0.97)).cloned();
        texts.push(text(random, language, make, again.as_deref()));
    }
    let next = texts.pop().unwrap_or_default();
    Case { language, earlier: texts, next }
}

/// A text that is mostly a schema.
fn text(random: &mut StdRng, language: SchemaType, make: Make, earlier: Option<&str>) -> String {
    loop {
        let text = make(random, earlier);
        if random.random_bool(0.05) || Parsed::new(language, &text, &[]).is_ok() {
            return text;
        }
    }
}
