//! Which fields are meant: names with dots between the levels, as `card` or `after.card.number`.
//!
//! A path goes through arrays as if they were not there, so `lines.price` means the price of every line. A field whose own name
//! holds dots is found by the same text.

/// What is to be done with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Nothing in it is meant.
    Keep,
    /// All of it is meant.
    Mask,
    /// These fields in it are meant.
    Into(Paths<'a>),
}

/// The paths that are left at some level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths<'a>(Vec<&'a str>);

impl<'a> Paths<'a> {
    pub(crate) fn new(fields: &'a [String]) -> Self {
        Self(fields.iter().map(String::as_str).collect())
    }

    /// The paths as texts of their own.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.iter().map(|path| (*path).to_owned()).collect()
    }

    /// What the paths say of a field of this level.
    pub(crate) fn step(&self, name: &str) -> Step<'a> {
        let rests = || self.0.iter().filter_map(|path| path.strip_prefix(name));
        if rests().any(str::is_empty) {
            return Step::Mask;
        }
        let inner: Vec<&str> = rests().filter_map(|rest| rest.strip_prefix('.')).collect();
        if inner.is_empty() { Step::Keep } else { Step::Into(Self(inner)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_masks_keeps_or_goes_in() {
        let fields = ["card".to_owned(), "after.card.number".to_owned(), "after.email".to_owned(), "a.b".to_owned()];
        let paths = Paths::new(&fields);
        assert_eq!(paths.step("card"), Step::Mask);
        assert_eq!(paths.step("cardinal"), Step::Keep);
        assert_eq!(paths.step("a.b"), Step::Mask, "a name that holds a dot");
        let Step::Into(after) = paths.step("after") else { panic!("goes in") };
        assert_eq!(after.step("email"), Step::Mask);
        assert_eq!(after.step("card"), Step::Into(Paths(vec!["number"])));
    }
}
