//! Ours beside theirs. What differs on purpose stands here with the reason, and for users in `runtime/registry/README.md`.

use towpath_convert::definition::{Earlier, Level, Parsed, SchemaType, incompatibilities};

use super::{Case, Outcome, Verdict};
use crate::case::Recorded;

/// The cases in which ours and theirs differ, as text.
pub(crate) fn differing(recorded: &[Recorded<Case, Outcome>]) -> Vec<String> {
    let differing = recorded.iter().filter_map(|recorded| {
        let ours = ours(&recorded.case);
        let shown = |outcome: &Outcome| serde_json::to_string(outcome).unwrap_or_default();
        (!alike(&recorded.case, &ours, &recorded.original)).then(|| {
            let Case { language, earlier, next } = &recorded.case;
            let (theirs, ours) = (shown(&recorded.original), shown(&ours));
            format!("{language}\n  {}\n  next   {next}\n  theirs {theirs}\n  ours   {ours}", earlier.join("\n  "))
        })
    });
    differing.collect()
}

/// What we say to a case. Levels are checked on the way: each is what follows from the pairs.
fn ours(case: &Case) -> Outcome {
    let mut schemas = Vec::new();
    for (index, text) in case.earlier.iter().chain([&case.next]).enumerate() {
        match Parsed::new(case.language, text, &[]) {
            Ok(schema) => schemas.push(schema),
            Err(error) => return Outcome::Invalid(index, error.to_string()),
        }
    }
    let next = schemas.pop().expect("the next one is a schema");
    let earlier: Vec<_> = (1..).zip(schemas).map(|(version, schema)| Earlier { version, schema }).collect();
    let verdicts = earlier.iter().map(|earlier| {
        let against = |level| kinds(&incompatibilities(level, &next, std::slice::from_ref(earlier)));
        Verdict { backward: against(Level::Backward), forward: against(Level::Forward) }
    });
    let verdicts: Vec<_> = verdicts.collect();
    for level in Level::ALL {
        let allowed = incompatibilities(level, &next, &earlier).is_empty();
        assert_eq!(allowed, follows(level, &verdicts), "{level} {case:?}");
    }
    Outcome::Verdicts(verdicts)
}

/// Whether a level allows what pairs of schemas say.
fn follows(level: Level, verdicts: &[Verdict]) -> bool {
    let counted = if level.name().ends_with("_TRANSITIVE") { 0 } else { verdicts.len().saturating_sub(1) };
    let (backward, forward) = match level.name().trim_end_matches("_TRANSITIVE") {
        "BACKWARD" => (true, false),
        "FORWARD" => (false, true),
        "FULL" => (true, true),
        _ => (false, false),
    };
    let allows =
        |verdict: &Verdict| !(backward && !verdict.backward.is_empty() || forward && !verdict.forward.is_empty());
    verdicts.iter().skip(counted).all(allows)
}

/// Kinds and places in what the registry answers.
fn kinds(messages: &[String]) -> Vec<String> {
    let between = |text: &str, from: &str, to: &str| {
        let rest = text.split_once(from)?.1;
        Some(rest.split_once(to)?.0.to_owned())
    };
    let kinds = messages.iter().filter_map(|message| {
        let kind = between(message, "{errorType:'", "'")?;
        let path = between(message, "path '", "'").unwrap_or_default();
        Some(format!("{kind} {path}").trim_end().to_owned())
    });
    kinds.collect()
}

fn alike(case: &Case, ours: &Outcome, theirs: &Outcome) -> bool {
    match (ours, theirs) {
        (Outcome::Invalid(ours, _), Outcome::Invalid(theirs, _)) if ours == theirs => true,
        (Outcome::Invalid(_, reason), _) => refused_on_purpose(case, reason),
        (Outcome::Verdicts(ours), Outcome::Verdicts(theirs)) if case.language == SchemaType::Avro => {
            let same = |(ours, theirs): (&Verdict, &Verdict)| {
                same_kinds(&ours.backward, &theirs.backward) && same_kinds(&ours.forward, &theirs.forward)
            };
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
        }
        (Outcome::Verdicts(ours), Outcome::Verdicts(theirs)) => {
            let allowed = |verdict: &Verdict| (verdict.backward.is_empty(), verdict.forward.is_empty());
            ours.iter().map(allowed).eq(theirs.iter().map(allowed))
        }
        _ => false,
    }
}

/// Whether kinds are the same, and the first place. Where Java's library gives up, a field is several of the other schema's; what it finds
/// again in the same two types it places where it found it first, in branches of unions from there.
fn same_kinds(ours: &[String], theirs: &[String]) -> bool {
    match theirs {
        [fault] if fault.contains("matches multiple fields in writer record schema") => {
            matches!(ours, [kind] if kind.starts_with("READER_FIELD_AMBIGUOUS "))
        }
        _ => {
            let split = |difference: &str| {
                let (kind, place) = difference.split_once(' ').unwrap_or((difference, ""));
                (kind.to_owned(), place.to_owned())
            };
            let same = |(index, (our, their)): (usize, (&String, &String))| {
                let ((our_kind, our_place), (their_kind, their_place)) = (split(our), split(their));
                our_kind == their_kind && (index > 0 || our_place.ends_with(&their_place))
            };
            ours.len() == theirs.len() && ours.iter().zip(theirs).enumerate().all(same)
        }
    }
}

/// Whether a text is refused for a reason that `runtime/registry/README.md` gives.
fn refused_on_purpose(case: &Case, reason: &str) -> bool {
    let undefined = reason.split_once("Undefined schema: ").map(|(_, name)| name.rsplit('.').next().unwrap_or(name));
    // The name is defined, after it was used.
    let defined =
        |name: &str| case.earlier.iter().chain([&case.next]).any(|text| text.contains(&format!("\"name\":\"{name}\"")));
    case.language == SchemaType::Avro && undefined.is_some_and(defined)
}
