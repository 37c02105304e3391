//! Include and exclude lists: regular expressions that must match a whole name, in either case.

use regex::{Regex, RegexBuilder};

/// Which names are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Option<Regex>,
    exclude: Option<Regex>,
}

impl Filter {
    /// Reads lists of expressions between commas.
    ///
    /// # Errors
    /// When one is not a regular expression; the text says which.
    pub fn new(include: Option<&str>, exclude: Option<&str>) -> Result<Self, String> {
        Ok(Self { include: include.map(compile).transpose()?, exclude: exclude.map(compile).transpose()? })
    }

    /// One expression, commas and all.
    ///
    /// # Errors
    /// When it is not a regular expression.
    pub fn whole(expression: &str) -> Result<Self, String> {
        Ok(Self { include: Some(anchored(&[expression])?), exclude: None })
    }

    /// Whether a name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(name))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(name))
    }
}

/// Expressions are anchored and divided by commas; `\,` is a comma within one.
fn compile(list: &str) -> Result<Regex, String> {
    let mut expressions = vec![String::new()];
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        let last = expressions.last_mut().expect("there is always one");
        match character {
            ',' => expressions.push(String::new()),
            '\\' if characters.peek() == Some(&',') => last.extend(characters.next()),
            other => last.push(other),
        }
    }
    let expressions: Vec<_> = expressions.iter().map(|one| one.trim()).filter(|one| !one.is_empty()).collect();
    anchored(&expressions)
}

fn anchored(expressions: &[&str]) -> Result<Regex, String> {
    for expression in expressions {
        Regex::new(expression).map_err(|_| format!("`{expression}` is not a regular expression"))?;
    }
    let whole = format!("^(?:{})$", expressions.join("|"));
    RegexBuilder::new(&whole).case_insensitive(true).build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_whole() {
        let filter = Filter::new(Some(r"public\.orders, shop\..*"), None).expect("valid");
        assert!(filter.wants("public.orders") && filter.wants("shop.x") && filter.wants("Public.Orders"));
        assert!(!filter.wants("public.orders_old") && !filter.wants("public.x"));
        let filter = Filter::new(None, Some("public.audit")).expect("valid");
        assert!(filter.wants("public.orders") && !filter.wants("public.audit"));
        assert!(Filter::default().wants("anything"));
    }
}
