//! `towpath explain [CODE]`: what a code means, who can mend it and how; without one, all of them.

use serde_json::json;
use towpath_model::{Code, codes, find_code};

use crate::failure::{Failure, Result};
use crate::output::{print, print_json};

/// Explain a code such as config.unknown_key, or list all of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The code, or its beginning.
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Print JSON.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let found: Vec<&Code> = match &arguments.code {
        None => codes().collect(),
        Some(wanted) => match find_code(wanted) {
            Some(code) => vec![code],
            None => codes().filter(|code| code.code.starts_with(wanted.as_str())).collect(),
        },
    };
    if found.is_empty() {
        let wanted = arguments.code.as_deref().unwrap_or_default();
        return Err(Failure::input(format!(
            "no code begins with {wanted}; `towpath explain` lists those of Towpath and its own connectors"
        )));
    }
    if arguments.json {
        let object = |code: &&Code| json!({"code": code.code, "blame": code.blame.name(), "meaning": code.meaning, "remedy": code.remedy});
        return print_json(&found.iter().map(object).collect::<Vec<_>>());
    }
    match found.as_slice() {
        [code] => print([
            code.code.to_owned(),
            format!("  means    {}", code.meaning),
            format!("  do       {}", code.remedy),
            format!("  mends    {}", code.blame.name()),
        ]),
        several => {
            let width = several.iter().map(|code| code.code.len()).max().unwrap_or(0);
            print(several.iter().map(|code| format!("{:width$}  {}", code.code, code.meaning)))
        }
    }
}
